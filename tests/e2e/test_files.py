"""Model files: converted, interrupted, cut short while they are served."""

import json
import os
import shutil
import signal
import struct
import subprocess
import time

import pytest
from sluice_process import BINARY, DEMO_MODEL, SHARED, Server, run

TEXTS = ["Hello, world", "打开微信 😀 one two", "  spaces\n\ttabs", "def f(x):\n    return x ** 2", "1234567 naïve"]
STORIES = SHARED / "weights/stories260K"


def ids(model):
    return json.loads(run("tokenize", model, stdin=json.dumps(TEXTS)).stdout)


def greedy(model):
    done = run("generate", model, "Once upon a time", "--temperature", "0", "--max-tokens", "24", "--json",
               "--dtype", "f32")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["text"]


def test_convert_there_and_back(tmp_path):
    gguf, back = tmp_path / "demo.gguf", tmp_path / "back"
    done = run("convert", DEMO_MODEL, gguf)
    assert done.returncode == 0, done.stderr
    assert "%" in done.stderr and "MB/s" in done.stderr
    assert run("convert", gguf, back).returncode == 0
    assert ids(gguf) == ids(DEMO_MODEL) == ids(back)
    assert greedy(gguf) == greedy(DEMO_MODEL) == greedy(back)
    assert (back / "model.safetensors").read_bytes()[-4096:] and (back / "config.json").exists()
    refused = run("convert", DEMO_MODEL, gguf)
    assert refused.returncode == 2 and "--force" in refused.stderr


@pytest.mark.skipif(not STORIES.exists(), reason="no shared data")
def test_convert_a_foreign_gguf(tmp_path):
    source, back = STORIES / "gguf/stories260K-F32.gguf", tmp_path / "back"
    assert run("convert", source, back).returncode == 0
    assert ids(source) == ids(back)
    assert greedy(source) == greedy(back)
    assert run("convert", back, tmp_path / "q8.gguf", "--type", "q8_0").returncode == 0
    report = json.loads(run("inspect", tmp_path / "q8.gguf", "--json").stdout)
    assert report["tensor_types"]["Q8_0"] > 0


def big_model(folder, rows=1 << 20):
    """A Llama of zeros whose embedding alone takes a while to convert; sparse on disk."""
    folder.mkdir()
    hidden = 256
    shapes = {"model.embed_tokens.weight": [rows, hidden], "model.norm.weight": [hidden]}
    layer = {"input_layernorm": [hidden], "post_attention_layernorm": [hidden], "self_attn.q_proj": [hidden, hidden],
             "self_attn.k_proj": [hidden, hidden], "self_attn.v_proj": [hidden, hidden],
             "self_attn.o_proj": [hidden, hidden], "mlp.gate_proj": [hidden, hidden], "mlp.up_proj": [hidden, hidden],
             "mlp.down_proj": [hidden, hidden]}
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": hidden,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": rows,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}))


@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_interrupted_conversion_leaves_nothing(tmp_path, kind):
    big_model(tmp_path / "big")
    out = tmp_path / ("out.gguf" if kind == "gguf" else "out")
    process = subprocess.Popen([str(BINARY), "convert", str(tmp_path / "big"), str(out), "--type", "f32"],
                               stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(path.name.endswith(".partial") for path in tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big"]


def test_no_room_is_said_before_anything_is_written(tmp_path):
    big_model(tmp_path / "big", rows=1 << 23)
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    if free > (1 << 23) * 256 * 4:
        pytest.skip("this disk has room for it")
    done = run("convert", tmp_path / "big", tmp_path / "out.gguf", "--type", "f32")
    assert done.returncode == 1 and "free" in done.stderr, done.stderr
    assert not (tmp_path / "out.gguf.partial").exists()


def test_file_cut_short_while_it_is_served(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, model)
    with Server(model) as server:
        assert server.request("/v1/completions", {"prompt": "Hi", "max_tokens": 2})[0] == 200
        os.truncate(model / "model.safetensors", 4096)
        try:
            server.request("/v1/completions", {"prompt": "Hello there", "max_tokens": 8}, timeout=60)
        except OSError:
            pass  # the connection ends with the process
        assert server.process.wait(timeout=60) == 74  # EX_IOERR
        server.reader.join(timeout=10)
        text = "".join(server.lines)
        assert "model.safetensors" in text and "cut short while in use" in text, text


def test_file_replaced_while_it_is_served_goes_on(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, model)
    with Server(model) as server:
        body = {"prompt": "Hello there", "max_tokens": 8, "temperature": 0}
        before = server.request("/v1/completions", body)[1]["choices"][0]["text"]
        (model / "new").write_bytes(b"something else")
        os.replace(model / "new", model / "model.safetensors")
        assert server.request("/v1/completions", body)[1]["choices"][0]["text"] == before
