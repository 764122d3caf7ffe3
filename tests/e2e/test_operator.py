"""What an operator expects of a server: limits, signals, keys, clear errors."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from sluice_process import BINARY, DEMO_MODEL, SHARED, Server, run

MESSAGES = [{"role": "user", "content": "Hi"}]
LONG = {"messages": MESSAGES, "max_tokens": 1500, "ignore_eos": True}


def in_background(function, *arguments):
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    return thread, results


def test_health_version_metrics(demo):
    assert demo.request("/health")[0] == 200
    assert demo.request("/ready")[0] == 200
    assert "version" in demo.request("/version")[1]
    demo.request("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 4})
    text = demo.request("/metrics")[1]
    for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
                 "vllm:time_to_first_token_seconds_bucket", "vllm:prompt_tokens_total", "http_requests_total"):
        assert name in text, name


def test_streamed_equals_unstreamed(demo):
    body = {"messages": [{"role": "user", "content": "打开微信"}], "max_tokens": 64, "temperature": 1, "seed": 7}
    whole = demo.request("/v1/chat/completions", body)[1]["choices"][0]
    stream = demo.request("/v1/chat/completions", {**body, "stream": True})[1]
    text, finish = "", None
    events = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    for event in events[:-1]:
        choice = json.loads(event)["choices"][0]
        text += choice["delta"].get("content") or ""
        finish = choice["finish_reason"] or finish
    assert (text, finish) == (whole["message"]["content"], whole["finish_reason"])


def test_over_long_prompt_is_an_error(demo):
    status, answer, _ = demo.request("/v1/completions", {"prompt": "word " * 30000})
    assert status == 400
    assert answer["error"]["code"] == "context_length_exceeded"


def test_wrong_parameters_are_named(demo):
    for field, value in (("temperature", "warm"), ("temperature", -1), ("top_p", 1.5), ("n", 0), ("max_tokens", -5),
                         ("messages", "Hi"), ("stop", 7), ("logit_bias", {"x": 1}), ("top_logprobs", 99)):
        status, answer, _ = demo.request("/v1/chat/completions",
                                         {"messages": MESSAGES, "logprobs": True, field: value})
        assert status == 400, (field, value, answer)
        assert field in (answer["error"]["param"] or ""), (field, answer)


def test_unknown_fields_are_tolerated(demo):
    status, _, _ = demo.request("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 2, "no_such_field": {"a": 1}})
    assert status == 200


def test_bad_bodies(demo):
    for body, expected in ((b"{", 400), (b"[" * 100000, 400), (b"\xff\xfe", 400), (b"", 400), (b"[]", 400)):
        with socket.create_connection(("127.0.0.1", demo.port)) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            reply = client.makefile("rb").read()
        assert reply.startswith(b"HTTP/1.1 %d" % expected), reply[:200]
        assert json.loads(reply.split(b"\r\n\r\n", 1)[1])["error"]["message"]


def test_body_limit():
    with Server(DEMO_MODEL, "--body-max", "10000") as server:
        assert server.request("/v1/completions", {"prompt": "x" * 9000, "max_tokens": 1})[0] in (200, 400)
        assert server.request("/v1/completions", {"prompt": "x" * 20000})[0] == 413


def test_full_queue_is_429_with_retry_after():
    with Server(DEMO_MODEL, "--max-concurrency", "1", "--queue-max", "1") as server:
        started = [in_background(server.request, "/v1/chat/completions", LONG) for _ in range(8)]
        for thread, _ in started:
            thread.join()
        statuses = sorted(results[0][0] for _, results in started)
        assert set(statuses) == {200, 429}, statuses
        refused = next(results[0] for _, results in started if results[0][0] == 429)
        assert int(refused[2]["Retry-After"]) >= 1
        assert refused[1]["error"]["message"]


def test_keys_guard_every_route_but_health_and_ready(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# comment\nsk-file\n")
    with Server(DEMO_MODEL, "--api-key", "sk-a,sk-b", "--api-key-file", str(keys)) as server:
        with_key = {"Authorization": "Bearer sk-b"}
        document = server.request("/openapi.json", headers=with_key)[1]
        open_routes = set()
        for path, methods in document["paths"].items():
            for method in methods:
                body = {} if method == "post" else None
                if server.request(path.replace("{model}", "x"), body)[0] != 401:
                    open_routes.add(path)
        assert open_routes == {"/health", "/ready"}
        for headers in (with_key, {"Authorization": "Bearer sk-file"}, {"x-api-key": "sk-a"}):
            assert server.request("/v1/models", headers=headers)[0] == 200
        assert server.request("/v1/models", headers={"Authorization": "Bearer sk-c"})[0] == 401
        assert "sk-a" not in "".join(server.lines)


def test_client_that_leaves_frees_its_place():
    with Server(DEMO_MODEL, "--max-concurrency", "1") as server:
        body = json.dumps({**LONG, "stream": True}).encode()
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(100)
        client.close()
        deadline = time.time() + 10
        while "vllm:num_requests_running{" in server.request("/metrics")[1] and time.time() < deadline:
            running = [line for line in server.request("/metrics")[1].splitlines() if line.startswith("vllm:num_requests_running{")]
            if running[0].endswith(" 0"):
                break
            time.sleep(0.05)
        assert running[0].endswith(" 0")


def test_sigterm_drains():
    server = Server(DEMO_MODEL)
    thread, results = in_background(server.request, "/v1/chat/completions", LONG)
    time.sleep(0.15)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 0
    thread.join()
    assert results[0][0] == 200 and results[0][1]["usage"]["completion_tokens"] == 1500


def test_second_sigterm_stops_at_once():
    server = Server(DEMO_MODEL, "--drain-timeout", "60")
    def ask():
        try:
            return server.request("/v1/chat/completions", {**LONG, "n": 8})
        except OSError as error:
            return error
    thread, _ = in_background(ask)
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=5) == 0
    thread.join()


def test_taken_port_is_a_clear_error(demo):
    done = run("serve", DEMO_MODEL, "--port", demo.port)
    assert done.returncode == 1
    assert str(demo.port) in done.stderr and "use" in done.stderr


def test_start_errors_say_what_to_do(tmp_path):
    done = run("serve", tmp_path / "nothing")
    assert done.returncode != 0 and "nothing" in done.stderr
    done = run("serve", DEMO_MODEL, "--memory", "1MiB")
    assert done.returncode == 1 and "--memory" in done.stderr and "--quantize" in done.stderr
    done = run("serve", DEMO_MODEL, "--prot", "1")
    assert done.returncode == 2 and "port" in done.stderr


def test_tls(tmp_path):
    import ssl
    import subprocess
    import urllib.request
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    with Server(DEMO_MODEL, "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(server.url + "/health", context=context, timeout=30) as reply:
            assert reply.status == 200


def test_memory_plan_is_right(demo):
    """Resident memory stays within the plan after a batch of full-length answers."""
    inspect = json.loads(run("inspect", DEMO_MODEL, "--json").stdout)["memory_plan"]
    with Server(DEMO_MODEL, "--max-concurrency", "16") as server:
        plan = json.loads(run("inspect", DEMO_MODEL, "--json", "--max-concurrency", "16").stdout)["memory_plan"]
        started = [in_background(server.request, "/v1/chat/completions", {**LONG, "n": 8}) for _ in range(4)]
        for thread, results in started:
            thread.join()
            assert results[0][0] == 200
        assert server.resident_bytes() <= plan["total_bytes"] * 1.05
    assert inspect["total_bytes"] <= inspect["limit_bytes"]


def test_converted_weights_leave_no_copy_behind():
    """With --dtype f32 the file's own bf16 pages are given back after conversion."""
    plan = json.loads(run("inspect", DEMO_MODEL, "--dtype", "f32", "--json").stdout)["memory_plan"]
    assert plan["weights_mapped_bytes"] == 0 and plan["weights_converted_bytes"] > 2 * 5_000_000
    with Server(DEMO_MODEL, "--dtype", "f32") as server:
        assert server.request("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 2})[0] == 200
        maps = open(f"/proc/{server.process.pid}/smaps").read().split("model.safetensors", 1)[1]
        resident = next(line for line in maps.splitlines() if line.startswith("Rss:"))
        assert int(resident.split()[1]) < 1024, resident


@pytest.mark.skipif(not (SHARED / "weights/stories260K").exists(), reason="shared data is absent")
def test_embeddings_of_any_model():
    with Server(SHARED / "weights/stories260K/hf") as server:
        status, answer, _ = server.request("/v1/embeddings", {"input": ["Once upon a time", "a dog"]})
        assert status == 200
        vectors = [item["embedding"] for item in answer["data"]]
        assert len(vectors) == 2 and len(vectors[0]) == 64
        assert abs(sum(x * x for x in vectors[0]) - 1) < 1e-4


def test_sigterm_while_loading_stops_at_once(tmp_path):
    """A template that never comes stands for a model that loads for minutes."""
    endless = tmp_path / "template"
    os.mkfifo(endless)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([str(BINARY), "serve", str(DEMO_MODEL), "--port", "0", "--chat-template", str(endless)],
                                   stderr=subprocess.PIPE, text=True, cwd="/tmp")
        for line in process.stderr:
            if line.startswith("memory plan"):
                break
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert "stopped while loading" in process.stderr.read()


def test_a_wrong_address_or_certificate_is_known_before_loading(demo, tmp_path):
    for flags, expected in ((("--port", demo.port), "in use"), (("--host", "no-such-host.invalid"), "no-such-host"),
                            (("--tls-cert", tmp_path / "c.pem"), "--tls-key is missing"),
                            (("--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem"), "c.pem"),
                            (("--api-key", ""), "--api-key is empty"), (("--api-key-file", ""), "--api-key-file is empty")):
        done = run("serve", DEMO_MODEL, *flags)
        assert done.returncode in (1, 2) and expected in done.stderr, (flags, done.stderr)
        assert "memory plan" not in done.stderr


def test_every_error_has_a_code(demo):
    for path, body, status in (("/v1/nothing", {}, 404), ("/v1/chat/completions", None, 405),
                               ("/v1/completions", {"prompt": "a", "logit_bias": {"9999999": 1}}, 400),
                               ("/v1/completions", {"prompt": [9999999]}, 400)):
        got, answer, _ = demo.request(path, body)
        assert got == status and answer["error"]["code"], answer


def test_compressed_bodies_are_refused_by_name(demo):
    status, answer, _ = demo.request("/v1/chat/completions", {"messages": MESSAGES}, headers={"Content-Encoding": "gzip"})
    assert status == 415 and answer["error"]["code"] == "unsupported_media_type" and "gzip" in answer["error"]["message"]


def test_inspect_plans_what_serve_plans():
    for flags in ((), ("--max-concurrency", "7"), ("--speculate", "ngram")):
        shown = run("inspect", DEMO_MODEL, "--memory", "1GiB", *flags).stdout.split("memory plan\n")[1]
        with Server(DEMO_MODEL, "--memory", "1GiB", *flags) as server:
            printed = "".join(server.lines).split("memory plan\n")[1]
        assert printed.startswith(shown), (shown, printed)


def test_metrics_have_the_names_dashboards_read(demo):
    demo.request("/v1/completions", {"prompt": "a b c", "max_tokens": 3, "n": 2, "ignore_eos": True})
    text = demo.request("/metrics")[1]
    for name in ("vllm:request_prompt_tokens_bucket", "vllm:request_generation_tokens_bucket", "vllm:request_params_n_bucket",
                 "vllm:request_params_max_tokens_bucket", "vllm:request_inference_time_seconds_bucket",
                 'vllm:cache_config_info{model_name="phone-demo",block_size="16"'):
        assert name in text, name


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
def test_bodies_over_the_limit_are_answered_in_both_versions(tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * (6 << 20))
    with Server(DEMO_MODEL, "--body-max", "1MiB") as server:
        for version in ("--http1.1", "--http2-prior-knowledge"):
            for path, status in (("/v1/completions", "413"), ("/v1/nothing", "404")):
                done = subprocess.run(["curl", "-sS", version, server.url + path, "--data-binary", f"@{body}",
                                       "-w", "\n%{http_code}"], capture_output=True, text=True, timeout=30)
                assert done.stdout.endswith("\n" + status), (version, path, done)
                assert json.loads(done.stdout.rsplit("\n", 1)[0])["error"]["code"]
        # A client that reads nothing before it has sent everything.
        assert server.request("/v1/completions", {"prompt": "x" * 40_000_000})[0] == 413
