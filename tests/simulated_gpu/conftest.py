"""A simulated GPU, and faults that are planted in what uses it."""

import pytest
from tests.simulated_gpu.fixture import fresh_caches, simulated


@pytest.fixture
def gpu(monkeypatch):
    fresh_caches(monkeypatch)
    yield from simulated()


@pytest.fixture
def planted(gpu):
    """Plants a fault, which is gone before the simulation is."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
