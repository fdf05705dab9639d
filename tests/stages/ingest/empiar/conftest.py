"""What tests of this folder share."""

import pytest

from volproc.stages.ingest.empiar import retries


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Servers on this machine are asked directly, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def quick(monkeypatch):
    """Pauses between attempts are short."""
    monkeypatch.setattr(retries, "FIRST_PAUSE_S", 0.001)
