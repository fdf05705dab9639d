"""What tests of this folder share."""

import pytest

from volproc.stages.ingest import remote


@pytest.fixture
def quick(monkeypatch):
    """Pauses between attempts are short."""
    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.001)
