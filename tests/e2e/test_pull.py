"""`sluice pull` against a hub on this machine (local_hub.py) with broken transfers."""

import concurrent.futures
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from local_hub import LocalHub, Repository, git_sha1, sha256
from sluice_process import BINARY, DEMO_MODEL, run

TOKEN = "hf_aVerySecretToken"
MIB = 1 << 20


def demo_files():
    return {path.name: path.read_bytes() for path in DEMO_MODEL.iterdir()}


def big_file(size=70 * MIB, seed=1):
    """Larger than two segments of a download."""
    return random.Random(seed).randbytes(size)


@pytest.fixture
def hub():
    with LocalHub() as local:
        local.repositories["demo/phone"] = Repository(demo_files())
        yield local


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hub cache"


def pull(hub, cache, *words, status=0, env=None, timeout=120):
    done = run("pull", *words, "--retries", "8", env=hub.environment(cache, **(env or {})), timeout=timeout)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert TOKEN not in done.stdout + done.stderr
    return done


def snapshot(cache, repository, ref="main"):
    folder = cache / ("models--" + repository.replace("/", "--"))
    return folder / "snapshots" / (folder / "refs" / ref).read_text()


def check_files(hub, cache, repository, paths, ref="main"):
    """The snapshot holds these files with the hub's content, as links to blobs with the hub's names."""
    place = snapshot(cache, repository, ref)
    found = {str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()}
    assert found == set(paths)
    for path in paths:
        content = hub.repositories[repository].files[path]
        assert (place / path).read_bytes() == content, path
        assert (place / path).is_symlink() and not os.readlink(place / path).startswith("/")
    blobs = cache / ("models--" + repository.replace("/", "--")) / "blobs"
    assert not list(blobs.glob("*incomplete*")) and not list(cache.rglob("*.tmp"))


DEMO_NEEDS = ["chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
              "tokenizer_config.json"]


def test_pull_takes_what_a_model_needs(hub, cache):
    done = pull(hub, cache, "demo/phone")
    assert done.stdout.strip() == str(snapshot(cache, "demo/phone"))
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)
    blobs = {path.name for path in (cache / "models--demo--phone/blobs").iterdir()}
    files = hub.repositories["demo/phone"].files
    assert blobs == {sha256(files[p]) if p.endswith(".safetensors") else git_sha1(files[p]) for p in DEMO_NEEDS}
    # Nothing is asked for twice, and again nothing is downloaded.
    before = len(hub.requests)
    done = pull(hub, cache, "demo/phone")
    assert "up to date" in done.stderr and len(hub.requests) == before + 1


def test_every_command_finds_it(hub, cache):
    env = hub.environment(cache)
    done = run("inspect", "demo/phone", env=env)
    assert done.returncode == 1 and "sluice pull demo/phone" in done.stderr
    pull(hub, cache, "demo/phone")
    assert json.loads(run("inspect", "demo/phone", "--json", env=env).stdout)["name"] == "demo/phone"
    ids = json.loads(run("tokenize", "demo/phone", stdin='["Hi"]', env=env).stdout)
    assert ids == json.loads(run("tokenize", DEMO_MODEL, stdin='["Hi"]').stdout)
    words = ("Hello", "--max-tokens", "4", "--temperature", "0")
    by_name = run("generate", "demo/phone@main", *words, env=env)
    assert by_name.returncode == 0 and by_name.stdout == run("generate", DEMO_MODEL, *words).stdout
    assert "sluice pull demo/other" in run("chat", "demo/other", stdin="", env=env).stderr


def test_huggingface_hub_reads_the_cache(hub, cache, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    pull(hub, cache, "demo/phone")
    path = huggingface_hub.hf_hub_download("demo/phone", "config.json", cache_dir=cache, local_files_only=True)
    assert Path(path).read_bytes() == hub.repositories["demo/phone"].files["config.json"]
    folder = huggingface_hub.snapshot_download("demo/phone", cache_dir=cache, local_files_only=True)
    assert Path(folder) == snapshot(cache, "demo/phone")
    repository, = huggingface_hub.scan_cache_dir(cache).repos
    assert repository.repo_id == "demo/phone" and repository.nb_files == len(DEMO_NEEDS)
    assert not huggingface_hub.scan_cache_dir(cache).warnings


def test_huggingface_hub_first_then_sluice(hub, cache):
    """What huggingface_hub downloaded is found, and not downloaded again."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    hub.redirect_to_cdn = False
    huggingface_hub.hf_hub_download("demo/phone", "model.safetensors", cache_dir=cache, endpoint=hub.url())
    before = len(hub.requests)
    pull(hub, cache, "demo/phone")
    assert not [path for path in hub.paths()[before:] if path.endswith("model.safetensors")]
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_transfers(hub, cache, ranges):
    hub.ranges = ranges
    hub.cuts = 6
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": big_file()})
    done = pull(hub, cache, "a/b")
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])
    assert "again in" in done.stderr and hub.cuts == 0


def test_ranges_run_in_parallel(hub, cache):
    content = big_file(100 * MIB)
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": content})
    hub.chunk_delay = 0.0005
    pull(hub, cache, "a/b", "--connections", "4")
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])
    spans = sorted(tuple(map(int, headers["range"].removeprefix("bytes=").split("-")))
                   for where, _, _, headers in hub.requests if where == "cdn")
    # Each byte once, in several pieces; the hub is asked for the address once.
    assert len(spans) > 2 and spans[0][0] == 0 and spans[-1][1] == len(content) - 1
    assert all(before[1] + 1 == after[0] for before, after in zip(spans, spans[1:]))
    assert len([path for path in hub.paths("hub") if path.endswith("model.safetensors")]) == 1


def test_wrong_bytes_once(hub, cache):
    hub.wrong_bytes = {"model.safetensors": 1, "config.json": 1}
    done = pull(hub, cache, "demo/phone")
    assert "checksum is wrong" in done.stderr
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


def test_wrong_bytes_always(hub, cache):
    hub.wrong_bytes = {"model.safetensors": 1000}
    done = pull(hub, cache, "demo/phone", status=1)
    assert "checksum" in done.stderr and "model.safetensors" in done.stderr
    assert not (cache / "models--demo--phone/refs").exists()
    assert not list((cache / "models--demo--phone/blobs").glob(sha256(hub.repositories["demo/phone"].files["model.safetensors"]) + "*"))


def test_busy_server(hub, cache):
    hub.statuses = [("/api/models/demo", 503, {}), ("/api/models/demo", 429, {"Retry-After": "1"}),
                    ("/resolve/", 500, {}), ("cdn", 429, {"Retry-After": "2"}), ("/resolve/", 502, {})]
    begin = time.monotonic()
    pull(hub, cache, "demo/phone")
    assert time.monotonic() - begin >= 3 and not hub.statuses
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


def test_gives_up_after_so_many_failures(hub, cache):
    hub.statuses = [("/config.json", 500, {})] * 50
    done = run("pull", "demo/phone", "--retries", "1", env=hub.environment(cache))
    assert done.returncode == 1 and "HTTP 500" in done.stderr and len(hub.statuses) == 48


def test_token_goes_to_the_hub_alone(hub, cache):
    hub.token = TOKEN
    hub.repositories["demo/phone"].gated = True
    pull(hub, cache, "demo/phone", env={"HF_TOKEN": TOKEN})
    at_hub = [headers for where, _, _, headers in hub.requests if where == "hub"]
    at_cdn = [headers for where, _, _, headers in hub.requests if where == "cdn"]
    assert at_hub and all(headers["authorization"] == f"Bearer {TOKEN}" for headers in at_hub)
    assert at_cdn and all(TOKEN not in str(headers) for headers in at_cdn)
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


def test_token_file_and_process_list(hub, cache):
    hub.token = TOKEN
    home = Path(str(cache) + "-home")
    home.mkdir()
    (home / "token").write_text(TOKEN + "\n")
    hub.chunk_delay = 0.02
    env = {**os.environ, **hub.environment(cache)}
    with subprocess.Popen([BINARY, "pull", "demo/phone"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        time.sleep(0.3)
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and TOKEN.encode() not in command and TOKEN not in output


def test_gated_and_missing(hub, cache):
    hub.repositories["demo/gated"] = Repository(demo_files(), gated=True)
    done = pull(hub, cache, "demo/gated", status=1)
    assert "HF_TOKEN" in done.stderr and f"{hub.url()}/demo/gated" in done.stderr and "licence" in done.stderr
    done = pull(hub, cache, "demo/phon", status=1)
    assert "did you mean demo/phone?" in done.stderr and "HF_TOKEN" in done.stderr
    assert "revision" in pull(hub, cache, "demo/phone@v9", status=1).stderr
    assert pull(hub, cache, "../phone", status=2).stderr.startswith("sluice: '../phone' is no model's name")
    hub.token = "another"
    done = pull(hub, cache, "demo/phone", status=1, env={"HF_TOKEN": TOKEN})
    assert "HF_TOKEN" in done.stderr
    assert "characters" in pull(hub, cache, "demo/phone", status=2, env={"HF_TOKEN": "a\x01b"}).stderr


def test_a_file_that_changes_in_the_middle(hub, cache):
    old, new = big_file(seed=1), big_file(seed=2)
    repository = hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": old})
    calls = []

    def change(path):
        calls.append(path)
        if path == "model.safetensors" and calls.count(path) == 2:
            repository.files[path] = new
    hub.on_body = change
    done = pull(hub, cache, "a/b", "--connections", "1")
    assert "changed" in done.stderr
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])
    assert (snapshot(cache, "a/b") / "model.safetensors").read_bytes() == new


def test_stalls_are_tried_again(hub, cache):
    hub.stalls = 2
    begin = time.monotonic()
    done = pull(hub, cache, "demo/phone", "--stall-timeout", "1")
    assert time.monotonic() - begin < 30 and "again in" in done.stderr
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_pull_goes_on(hub, cache, stop):
    content = big_file(96 * MIB)
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": content})
    hub.chunk_delay = 0.005
    env = {**os.environ, **hub.environment(cache)}
    process = subprocess.Popen([BINARY, "pull", "a/b", "--connections", "4"], env=env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    part = cache / "models--a--b/blobs" / (sha256(content) + ".sluice.incomplete")
    for _ in range(400):
        time.sleep(0.05)
        if part.exists() and part.stat().st_blocks * 512 > 24 * MIB:
            break
    time.sleep(1.2)  # a killed process has recorded its progress at least once
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    if stop == signal.SIGINT:
        assert process.returncode == 130 and "goes on from there" in errors
    assert part.exists()
    assert "not whole" in run("inspect", "a/b", env=hub.environment(cache)).stderr
    hub.chunk_delay = 0
    plan = json.loads(pull(hub, cache, "a/b", "--dry-run", "--json").stdout)
    kept = next(file["kept_bytes"] for file in plan["files"] if file["path"] == "model.safetensors")
    assert kept > 4 * MIB
    before = len(hub.requests)
    done = json.loads(pull(hub, cache, "a/b", "--json").stdout)
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])
    asked = sum(int(h["range"].split("-")[1]) - int(h["range"].removeprefix("bytes=").split("-")[0]) + 1
                for where, _, _, h in hub.requests[before:] if where == "cdn")
    assert asked == len(content) - kept == done["downloaded_bytes"]


def test_two_pulls_at_once(hub, cache):
    content = big_file(40 * MIB)
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": content})
    hub.chunk_delay = 0.002
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: pull(hub, cache, "a/b"), range(3)))
    assert len({done.stdout for done in results}) == 1
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])
    assert any("another program" in done.stderr for done in results)
    asked = sum(int(h["range"].split("-")[1]) - int(h["range"].removeprefix("bytes=").split("-")[0]) + 1
                for where, _, _, h in hub.requests if where == "cdn")
    assert asked == len(content)


def test_lock_of_huggingface_hub_is_honoured(hub, cache):
    import fcntl
    pull(hub, cache, "demo/phone", "--include", "config.json")
    name = sha256(hub.repositories["demo/phone"].files["model.safetensors"])
    with open(cache / ".locks/models--demo--phone" / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([BINARY, "pull", "demo/phone"], env={**os.environ, **hub.environment(cache)},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        assert process.poll() is None and not hub.paths("cdn")
    assert process.wait(timeout=30) == 0
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


def test_signed_addresses_run_out(hub, cache):
    hub.signatures_end = 2
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": big_file(130 * MIB)})
    pull(hub, cache, "a/b", "--connections", "2")
    check_files(hub, cache, "a/b", ["config.json", "model.safetensors"])


def test_mirror_without_sizes(hub, cache):
    hub.blobs_in_listing = False
    hub.wrong_bytes = {"model.safetensors": 1}
    done = pull(hub, cache, "demo/phone")
    assert "checksum is wrong" in done.stderr
    check_files(hub, cache, "demo/phone", DEMO_NEEDS)


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a\\b", "a//b", ".", "a\x00b", "x" * 300])
def test_hostile_names(hub, cache, path):
    hub.listing_override = json.dumps({"sha": "0" * 40, "siblings": [
        {"rfilename": "config.json", "size": 2, "blobId": git_sha1(b"{}")},
        {"rfilename": path, "size": 2, "blobId": git_sha1(b"{}")}]}).encode()
    done = pull(hub, cache, "demo/phone", "--include", "*", status=1)
    assert "would not stay inside" in done.stderr and not cache.exists()


@pytest.mark.parametrize("listing", [
    b"", b"[]", b"{}", b'{"sha":"zz","siblings":[]}', b'{"sha":"' + b"0" * 40 + b'","siblings":[{"rfilename":"config.json","size":-5}]}',
    b'{"sha":"' + b"0" * 40 + b'","siblings":[{"rfilename":"config.json","size":1e300}]}', b"[" * 100000])
def test_broken_listings(hub, cache, listing):
    hub.listing_override = listing
    done = pull(hub, cache, "demo/phone", status=1)
    assert "hub" in done.stderr and not cache.exists()


def test_disk_space_is_checked_first(hub, cache):
    hub.listing_override = json.dumps({"sha": "0" * 40, "siblings": [
        {"rfilename": "model.safetensors", "size": 1 << 43, "lfs": {"sha256": "0" * 64, "size": 1 << 43}}]}).encode()
    done = pull(hub, cache, "demo/phone", status=1)
    assert "8.00 TiB" in done.stderr and "HF_HUB_CACHE" in done.stderr and not cache.exists()


GGUF_FILES = {"README.md": b"#", "m-Q4_K_M.gguf": b"GGUF4", "m-Q8_0.gguf": b"GGUF8", "mmproj-m-F16.gguf": b"GGUFp",
              "BF16/m-BF16-00001-of-00002.gguf": b"GGUFa", "BF16/m-BF16-00002-of-00002.gguf": b"GGUFb"}


def test_gguf_choice(hub, cache):
    hub.repositories["g/m"] = Repository(GGUF_FILES)
    pull(hub, cache, "g/m")
    check_files(hub, cache, "g/m", ["m-Q4_K_M.gguf"])
    pull(hub, cache, "g/m:q8_0")
    check_files(hub, cache, "g/m", ["m-Q4_K_M.gguf", "m-Q8_0.gguf"])
    pull(hub, cache, "g/m", "--file", "BF16")
    check_files(hub, cache, "g/m", [path for path in GGUF_FILES if path.endswith(".gguf") and "mmproj" not in path])
    done = pull(hub, cache, "g/m:Q2_K", status=1)
    assert "BF16, Q4_K_M, Q8_0" in done.stderr
    # The program looks for the file it was asked for: these are no real GGUF files.
    assert "m-Q8_0.gguf" in run("inspect", "g/m:Q8_0", env=hub.environment(cache)).stderr


def test_only_one_set_of_weights(hub, cache):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode(),
             "model-00001-of-00002.safetensors": b"1", "model-00002-of-00002.safetensors": b"2", "tokenizer.model": b"t",
             "consolidated.safetensors": b"c", "pytorch_model-00001-of-00001.bin": b"p", "tf_model.h5": b"h",
             "original/consolidated.00.pth": b"o", "onnx/model.onnx": b"x", "README.md": b"r", "extra.safetensors": b"e",
             "flax_model.msgpack": b"f", "additional_chat_templates/tool.jinja": b"j", "LICENSE": b"l"}
    hub.repositories["a/b"] = Repository(files)
    needed = ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
              "model-00002-of-00002.safetensors", "tokenizer.model", "additional_chat_templates/tool.jinja"]
    listed = json.loads(pull(hub, cache, "a/b", "--dry-run", "--json").stdout)
    assert {file["path"] for file in listed["files"]} == set(needed) and not cache.exists()
    pull(hub, cache, "a/b")
    check_files(hub, cache, "a/b", needed)
    pull(hub, cache, "a/b", "--include", "*.md,original/", "--exclude", "*.pth")
    check_files(hub, cache, "a/b", needed + ["README.md"])
    hub.repositories["a/bin"] = Repository({"config.json": b"{}", "pytorch_model.bin": b"p"})
    assert "PyTorch" in pull(hub, cache, "a/bin", status=1).stderr
    hub.repositories["a/sub"] = Repository({"x/model.safetensors": b"p"})
    assert "--include 'x/*'" in pull(hub, cache, "a/sub", status=1).stderr


def test_equal_files_come_once(hub, cache):
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "generation_config.json": b"{}", "empty.gguf": b"",
                                          "tokenizer.json": b""})
    pull(hub, cache, "a/b", "--include", "*")
    check_files(hub, cache, "a/b", list(hub.repositories["a/b"].files))


def test_modelscope(hub, cache):
    hub.repositories["demo/phone"].branches = {"master"}
    hub.token = TOKEN
    hub.cuts = 2
    hub.wrong_bytes = {"tokenizer.json": 1}
    pull(hub, cache, "demo/phone", "--source", "modelscope", env={"MODELSCOPE_API_TOKEN": TOKEN})
    check_files(hub, cache, "demo/phone", DEMO_NEEDS, ref="master")
    assert all("authorization" not in h and "cookie" not in h for where, _, _, h in hub.requests if where == "cdn")
    report = json.loads(run("inspect", "demo/phone", "--json", env=hub.environment(cache)).stdout)
    assert report["architecture"] == "glm4"
    done = pull(hub, cache, "demo/phone@v1", "--source", "modelscope", status=1, env={"MODELSCOPE_API_TOKEN": TOKEN})
    assert "no files" in done.stderr
    assert "MODELSCOPE_API_TOKEN" in pull(hub, cache, "demo/phone", "--source", "modelscope", status=1).stderr


def test_offline(hub, cache):
    done = pull(hub, cache, "demo/phone", "--offline", status=1)
    assert "offline" in done.stderr and not hub.requests
    pull(hub, cache, "demo/phone")
    before = len(hub.requests)
    done = pull(hub, cache, "demo/phone", env={"HF_HUB_OFFLINE": "1"})
    assert done.stdout.strip() == str(snapshot(cache, "demo/phone")) and len(hub.requests) == before


def test_revisions(hub, cache):
    hub.repositories["demo/phone"].branches.add("refs/pr/1")
    pull(hub, cache, "demo/phone@refs/pr/1", "--include", "config.json")
    assert (cache / "models--demo--phone/refs/refs/pr/1").read_text() == hub.repositories["demo/phone"].commit()
    commit = hub.repositories["demo/phone"].commit()
    pull(hub, cache, "demo/phone", "--revision", commit)
    assert run("inspect", f"demo/phone@{commit}", env=hub.environment(cache)).returncode == 0


def test_progress_on_a_terminal(hub, cache):
    import pty
    hub.repositories["a/b"] = Repository({"config.json": b"{}", "model.safetensors": big_file(40 * MIB)})
    hub.chunk_delay = 0.002
    master, slave = pty.openpty()
    process = subprocess.Popen([BINARY, "pull", "a/b"], env={**os.environ, **hub.environment(cache)}, stderr=slave,
                               stdout=subprocess.DEVNULL)
    os.close(slave)
    output = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    os.close(master)
    assert process.wait(timeout=30) == 0
    assert b"model.safetensors" in output and b"MiB/s" in output and b" left" in output and b"\x1b[2K" in output


def test_address_without_a_hub(hub, cache):
    env = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = run("pull", "demo/phone", "--retries", "0", env=hub.environment(cache, **env))
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr
    pull(hub, cache, "demo/phone")
    done = run("pull", "demo/phone", "--retries", "0", env=hub.environment(cache, **env))
    assert done.returncode == 1 and "can be used meanwhile" in done.stderr
    done = run("pull", "demo/phone", env=hub.environment(cache, HF_ENDPOINT="ftp://x"))
    assert done.returncode == 2 and "HF_ENDPOINT" in done.stderr
