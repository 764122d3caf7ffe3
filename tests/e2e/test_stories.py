"""A real model from its Hugging Face directory and both GGUFs gives the reference's greedy text exactly."""

import json

import pytest
from sluice_process import ROOT, SHARED, Server, run

STORIES = SHARED / "weights/stories260K"
pytestmark = pytest.mark.skipif(not STORIES.exists(), reason="shared data is absent")
FILES = {"safetensors": "hf", "gguf_f32": "gguf/stories260K-F32.gguf", "gguf_q8_0": "gguf/stories260K-Q8_0.gguf"}


@pytest.fixture(scope="module", params=FILES)
def stories(request):
    with Server(STORIES / FILES[request.param], "--served-model-name", "stories") as server:
        server.kind = request.param
        yield server


def test_greedy_goldens(stories):
    """Text, and the log-probability of every token of prompt and answer, asked for by echo."""
    goldens = json.loads((STORIES / "goldens/greedy_goldens.dev.json").read_text())
    for case in goldens["cases"]:
        status, answer, _ = stories.request("/v1/completions", {
            "prompt": case["prompt_ids"], "max_tokens": len(case["greedy_ids"]), "temperature": 0, "logprobs": 1,
            "echo": True})
        assert status == 200, answer
        choice = answer["choices"][0]
        assert choice["text"].strip() == case["text"].strip()
        expected = case["prompt_logprobs"] + case["greedy_logprobs"]
        got = choice["logprobs"]["token_logprobs"]
        assert len(got) == len(expected) and got[0] is None
        tolerance = 0.1 if stories.kind == "gguf_q8_0" else 2e-4
        assert max(abs(a - b) for a, b in zip(got[1:], expected[1:])) < tolerance


def test_prompts_as_text_are_tokenised_as_the_reference_does(stories):
    goldens = json.loads((STORIES / "goldens/greedy_goldens.dev.json").read_text())
    for case in goldens["cases"]:
        _, answer, _ = stories.request("/tokenize", {"content": case["prompt"], "add_special": True})
        assert answer["tokens"] == case["prompt_ids"]


def test_upstream_text(stories):
    # The Q8_0 file holds other weights; its own exact text comes from tools/goldens/stories_q8_0.py.
    path = STORIES / "goldens/upstream_greedy_200.txt"
    if stories.kind == "gguf_q8_0":
        path = ROOT / "tests/golden/stories260K_q8_0_greedy_200.txt"
    text = path.read_text()
    status, answer, _ = stories.request("/v1/completions", {"prompt": [1], "max_tokens": 200, "temperature": 0})
    assert status == 200
    assert answer["choices"][0]["text"].strip() == text.strip()


def test_generate_command(stories):
    path = STORIES / FILES[stories.kind]
    done = run("generate", path, "Once upon a time", "--temperature", "0", "--max-tokens", "20")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(", there was a little girl named Lily")
