"""OpenVINO computes what the whole numbers say, bit by bit, whatever the CPU can do."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tests.model.int8.exact import CONSTANTS, exact_head, noise, quantised_network, written

if find_spec("openvino") is None:
    pytest.skip("openvino is not installed (pip install volproc[int8])", allow_module_level=True)
from tests.model.int8.probabilities import SPEC, probabilities

from volproc.model.int8.openvino_graph import compiled
from volproc.model.int8.predictor import Int8Predictor, quantised

REQUESTED = (slice(16, 40), slice(8, 56))


def head_of(layers, spec, planes, requested):
    given = planes.permute(0, 2, 3, 1).contiguous().numpy()
    request = compiled(layers, spec, given.shape, requested)
    found = request.infer([given])
    return torch.from_numpy(next(iter(found.values()))).permute(0, 3, 1, 2)


@pytest.mark.parametrize("requested", [None, REQUESTED])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stem": 1},
        {"stem": 4, "widths": (5, 7)},
        {"convs_up": 2, "classes": 2},
        {"widths": (32, 48, 64), "slices_in": 12},
        {"skips": "add"},
        {"skips": "add", "widths": (32, 48, 64), "slices_in": 12, "stem": 1},
    ],
)
def test_every_bit_is_that_of_the_exact_sums(more, requested):
    network, layers = quantised_network(**more)
    planes = noise(2, network.spec.slices_in, 64, 64)
    found = head_of(layers, network.spec, planes, requested)
    exact = exact_head(layers, network.spec, planes, requested)
    assert found.std() > 0.01
    assert torch.equal(found.double(), exact)


@pytest.mark.parametrize("skips", ["concat", "add"])
@pytest.mark.parametrize("kind", ["SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_no_instruction_set_changes_a_bit(kind, skips, tmp_path):
    """oneDNN takes instructions up to `kind`, where the machine has them.

    Weights up to 127 instead of 63 would overflow without VNNI, and steps that are no powers of two
    may be rounded otherwise where kernels multiply and add in another order.
    """
    spec = replace(SPEC, skips=skips)
    _, layers = quantised_network(widths=spec.widths, slices_in=spec.slices_in, skips=skips)
    sha256 = written(tmp_path, layers)
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    found = subprocess.run(
        [sys.executable, "-m", "tests.model.int8.probabilities", str(tmp_path), sha256, skips],
        capture_output=True,
        check=True,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": kind, "PYTHONPATH": path},
    )
    assert found.stdout == probabilities(layers, spec).tobytes()


def test_nothing_is_reported_to_the_makers_of_openvino(tmp_path):
    """By itself it leaves an identity in the home folder, and sends an event with every import."""
    code = (
        "import sys; from volproc.model.int8.requirements import openvino; openvino().Core(); "
        "print(*(name for name in sys.modules if name.startswith('openvino_telemetry')))"
    )
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": path},
    )
    assert found.stdout.split() == []
    assert not list(tmp_path.iterdir())


def test_the_probabilities_of_a_part_are_those_of_the_whole():
    network, layers = quantised_network()
    predict = Int8Predictor(layers, network.spec, temperatures=(2.0,))
    planes = noise(1, 4, 64, 64)
    whole = predict(planes, CONSTANTS)
    assert whole.shape == (1, 1, 2, 64, 64)
    part = predict(planes, CONSTANTS, REQUESTED)
    assert torch.equal(part, whole[..., REQUESTED[0], REQUESTED[1]])
    sharp = Int8Predictor(layers, network.spec)(planes, CONSTANTS)
    torch.testing.assert_close(torch.logit(sharp), 2 * torch.logit(whole), rtol=1e-4, atol=1e-4)


def test_many_shapes_in_any_order_are_predicted_alike():
    """More than there are graphs kept."""
    network, layers = quantised_network()
    predict = Int8Predictor(layers, network.spec)
    shapes = [(16 * n, 64) for n in (1, 2, 3, 4, 5, 6)]
    once = [predict(noise(1, 4, *shape), CONSTANTS).clone() for shape in shapes]
    again = [predict(noise(1, 4, *shape), CONSTANTS) for shape in reversed(shapes)]
    assert all(map(torch.equal, once, reversed(again)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_voxels_of_other_types_are_rounded_alike(dtype):
    planes = noise(1, 4, 16, 24)
    assert torch.equal(quantised(planes.to(dtype), CONSTANTS), quantised(planes, CONSTANTS))
    beyond = torch.tensor([-1e6, 128.0, 1e6, np.nan]).view(1, 1, 2, 2)
    assert quantised(beyond, CONSTANTS).flatten().tolist() == [1, 128, 255, 128]
