"""Runs the npm client's suite (openai.test.mjs) as one test."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_npm_client(request):
    if shutil.which("node") is None or not (HERE / "node_modules/openai").is_dir():
        pytest.skip("node or its openai package is missing: run npm ci in tests/e2e/openai_node")
    url = os.environ.get("SLUICE_URL") or request.getfixturevalue("demo").url
    run = subprocess.run(["node", "--test", "openai.test.mjs"], cwd=HERE, env={**os.environ, "SLUICE_URL": url},
                         capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
