import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from sluice_process import DEMO_MODEL, Server  # noqa: E402


@pytest.fixture(scope="session")
def demo():
    """The bundled model, served once for all tests that only ask."""
    with Server(DEMO_MODEL, "--served-model-name", "phone-demo,autoglm-phone-9b") as server:
        yield server
