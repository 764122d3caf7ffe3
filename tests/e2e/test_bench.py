"""sluice bench: that every bench measures what it says. How fast is not for tests."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sluice_process import BINARY, DEMO_MODEL, run

LOAD = ("--requests", "6", "--streams", "3", "--prompt-tokens", "40", "--shared-tokens", "32", "--answer-tokens", "8")


def bench(*words):
    done = run("bench", *words, "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["sluice"] and report["machine"]["cpus"] >= 1
    return report


def test_roofline():
    report = bench("roofline", "--repeat", "1")
    limits = {limit["name"]: limit for limit in report["limits"]}
    assert limits["fp32 fma"]["one_thread"] > 1e9 and limits["fp32 fma"]["unit"] == "FLOP/s"
    assert max(limit["all_threads"] for name, limit in limits.items() if name.startswith("read")) > 1e8
    assert "fp32 fma" in run("bench", "roofline", "--repeat", "1").stdout


def test_model_with_and_without_the_word():
    shape = ("--repeat", "1", "--prompt-tokens", "64", "--batch", "1,2", "--depth", "0,200")
    report = bench("model", DEMO_MODEL, *shape)
    assert [(r["test"], r["batch"], r["depth"]) for r in report["results"]] == [
        ("prefill", 1, 0), ("decode", 1, 0), ("decode", 2, 0), ("decode", 1, 200), ("decode", 2, 200)]
    for result in report["results"]:
        assert result["of_floor"] > 0 and result["tokens_per_s"] > 0
    assert "of what" in run("bench", DEMO_MODEL, *shape).stdout
    refused = run("bench", DEMO_MODEL, "--depth", "100000")
    assert refused.returncode == 2 and "2048" in refused.stderr


def test_serve_starts_a_server_or_measures_one_that_runs(demo):
    for where in ((DEMO_MODEL,), ("--url", demo.url + "/v1/")):
        report = bench("serve", *where, *LOAD)
        assert report["failed"] == 0 and report["completion_tokens"] == 6 * 8 and report["prompt_tokens"] == 6 * 40
        assert report["cached_tokens"] >= 32 * 2  # at least those that begin after the first three have ended
        assert 0 < report["ttft_s"]["p50"] <= report["e2e_s"]["p99"] and report["tpot_s"]["p50"] > 0
    open_loop = bench("serve", "--url", demo.url, *LOAD, "--rate", "50", "--slo-ttft-ms", "0.001")
    assert open_loop["rate"] == 50 and open_loop["goodput_requests_per_s"] == 0 < open_loop["requests_per_s"]


def test_serve_reports_failures(demo):
    done = run("bench", "serve", "--url", demo.url, *LOAD, "--served-model-name", "no-such-model", "--json")
    assert done.returncode == 1 and "no-such-model" in json.loads(done.stdout)["errors"][0]
    nobody = run("bench", "serve", "--url", "http://127.0.0.1:9")
    assert nobody.returncode == 1 and "127.0.0.1:9" in nobody.stderr
    assert run("bench", "serve").returncode == 2
    assert run("bench", "serve", "/no/such/model").returncode == 1


def test_tune_measures_and_is_remembered(tmp_path):
    cache = ("--pack-cache", tmp_path)
    before = json.loads(run("inspect", DEMO_MODEL, "--json", *cache).stdout)
    assert before["tuning"] is None
    tuning = bench("tune", DEMO_MODEL, *cache)["tuning"]
    assert {one["what"] for one in tuning["measurements"]} == {"decode", "prefill"}
    assert tuning["max_concurrency"] >= 64
    assert tuning["chunk_tokens"] in [one["rows"] for one in tuning["measurements"] if one["what"] == "prefill"]
    after = json.loads(run("inspect", DEMO_MODEL, "--json", *cache).stdout)
    assert after["tuning"] == tuning and after["memory_plan"]["sequences_max"] == tuning["max_concurrency"]
    off = json.loads(run("inspect", DEMO_MODEL, "--json", *cache, "--auto-tuning", "off").stdout)
    assert off["tuning"] is None and off["memory_plan"]["sequences_max"] == 64
    assert "chosen: chunks of" in run("bench", "tune", DEMO_MODEL, *cache).stdout


def test_startup():
    report = bench("startup", DEMO_MODEL, "--repeat", "1")
    assert 0 < report["ready_s"] < report["first_token_s"] < 60
    assert report["resident_bytes"] > report["anonymous_bytes"] > 0 < report["weight_file_bytes"]


def test_compare_adds_one_optimisation_at_a_time(tmp_path):
    chart = tmp_path / "chart.svg"
    report = bench("compare", DEMO_MODEL, *LOAD, "--chart", chart)
    steps = report["steps"]
    assert steps[0]["times_plain"] == 1 and "--dtype=f32" in steps[0]["flags"] and len(steps) >= 4
    assert steps[0]["cached_tokens"] == 0 < steps[-1]["cached_tokens"]
    assert all(step["failed"] == 0 and step["floor_s"] > 0 for step in steps)
    assert all(step["floor_set_by"].split()[0] in ("memory", "arithmetic") for step in steps)
    assert report["interrupted"] is False
    assert chart.read_text().startswith("<svg") and "prefix cache" in chart.read_text()


def test_compare_reports_what_is_done_at_ctrl_c():
    process = subprocess.Popen([str(BINARY), "bench", "compare", str(DEMO_MODEL), "--requests", "40", "--streams", "4",
                                "--prompt-tokens", "40", "--answer-tokens", "60", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/tmp", start_new_session=True)
    # Its servers are its children: when the second one is there, the first step is done.
    children, seen = Path(f"/proc/{process.pid}/task/{process.pid}/children"), set()
    deadline = time.monotonic() + 200
    while len(seen) < 2 and time.monotonic() < deadline and process.poll() is None:
        seen.update(children.read_text().split())
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped after" in errors
    report = json.loads(out)
    assert report["interrupted"] and 1 <= len(report["steps"]) < 4
    assert not any(Path(f"/proc/{child}").exists() for child in seen)


def test_no_proxy_stands_before_this_machine(demo):
    nobody = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = run("bench", "serve", "--url", demo.url, *LOAD, env=nobody)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("roofline", DEMO_MODEL), ("startup",), ("compare",), ("model",)])
def test_wrong_words_say_the_usage(words):
    done = run("bench", *words)
    assert done.returncode == 2 and f"usage: sluice bench {words[0]}" in done.stderr
