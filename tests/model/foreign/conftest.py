import numpy as np
import pytest
import torch
from tests.model.foreign.networks import onnx_of, script_of, two_levels, write_package


@pytest.fixture(scope="session")
def grey():
    """A test image: (1, 1, 32, 48), raw grey values."""
    return np.random.default_rng(0).integers(0, 255, (1, 1, 32, 48)).astype(np.float32)


@pytest.fixture(scope="session")
def probability(grey):
    """What `two_levels` answers to it, normalised by its own mean and spread."""
    normal = (grey - grey.mean()) / (grey.std() + 1e-6)
    with torch.inference_mode():
        return two_levels()(torch.from_numpy(normal)).numpy()


@pytest.fixture(scope="session")
def weights():
    """The same network twice: {"weights.onnx": bytes, "weights.pt": bytes}."""
    return {"weights.onnx": onnx_of(two_levels()), "weights.pt": script_of(two_levels())}


@pytest.fixture
def package(tmp_path, weights, grey, probability):
    """A bioimage.io package, remade with changes to its description: package(key=...)."""

    def make(folder="tiny", **changes):
        return write_package(tmp_path / folder, weights, grey, probability, **changes)

    return make
