"""Runs the real program for the end-to-end tests."""

import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SLUICE_BINARY", ROOT / "build/release/sluice"))
SHARED = Path(os.environ.get("SLUICE_SHARED_DATA", ROOT.parent / "shared/data"))
DEMO_MODEL = ROOT / "models/phone-demo"


class Server:
    """`sluice serve` on a free port; a context manager that drains and checks the exit status."""

    def __init__(self, model, *flags, env=None):
        command = [str(BINARY), "serve", str(model), "--port", "0", "--log-format", "json", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/tmp",
                                        env={**os.environ, **(env or {})})
        self.lines = []
        self.port = None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("{") and json.loads(line).get("message") == "serving":
                self.port = json.loads(line)["port"]
                break
        # Whatever is logged later must not fill the pipe.
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self.reader.start()
        if self.port is None:
            raise RuntimeError("the server did not start:\n" + "".join(self.lines))
        scheme = "https" if "--tls-cert" in flags else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                status = self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
            assert status == 0, "".join(self.lines)

    def request(self, path, body=None, headers=None, timeout=120):
        """(status, parsed JSON or text, headers)"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data,
                                         headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                status, text, got = response.status, response.read().decode(), response.headers
        except urllib.error.HTTPError as error:
            status, text, got = error.code, error.read().decode(), error.headers
        try:
            return status, json.loads(text), got
        except ValueError:
            return status, text, got

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def run(*words, stdin=None, env=None, timeout=120):
    """One run of the program: CompletedProcess with text output."""
    return subprocess.run([str(BINARY), *map(str, words)], input=stdin, capture_output=True, text=True, timeout=timeout,
                          cwd="/tmp", env={**os.environ, **(env or {})})
