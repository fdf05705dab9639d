import numpy as np
import pytest
import torch

from volproc.stages.inference.batches import BatchLimit
from volproc.stages.inference.device_link import CpuLink
from volproc.stages.inference.tiling import oriented
from volproc.stages.inference.votes import quantise, view_along
from volproc.stages.predict import task
from volproc.volume.store import open_volume


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_probabilities_become_bytes_in_any_layout(order):
    probabilities = torch.rand(3, 5, 7)
    out = torch.zeros(3, 5, 7, dtype=torch.uint8).permute(order).contiguous()
    back = np.argsort(order).tolist()
    quantise(probabilities, out.permute(back))
    assert torch.equal(out.permute(back), probabilities.mul(255).round().to(torch.uint8))


@pytest.mark.parametrize("axis", ["z", "y", "x"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_view_along_an_axis_is_a_view_along_it(axis, kind):
    values = torch.arange(70 * 3 * 130).reshape(3, 70, 130).to(kind)
    assert torch.equal(view_along(values, axis), oriented(values, axis))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # of torch.compile itself
def test_a_compiled_network_answers_alike(small, predict):
    plan, wanted = predict(small)
    with torch.compiler.set_stance("force_eager"):  # compiling takes half a minute
        _, found = predict(small, "compiled", compiled=True)
    assert np.array_equal(found.read(plan.output.box), wanted.read(plan.output.box))


def test_nothing_is_copied_to_a_cpu():
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    there = CpuLink().to_device(values)()
    there[0, 0, 0] = 99
    assert CpuLink().to_host(there)() is not values
    assert np.array_equal(CpuLink().to_host(there)(), values)


@pytest.mark.parametrize("tiles", [1, 3, 8])
def test_as_many_tiles_at_once_as_fit_give_the_same_votes(small, predict, monkeypatch, tiles):
    """A network that runs out of memory: first fewer tiles, then halves of tiles."""
    plan, wanted = predict(small, tile=(20, 36, 36))
    votes = open_volume(plan.votes.url).read(plan.votes.box)
    asked = []

    def scarce(network, device, **_):
        whole = network.load(device)

        def predict(planes, constants, wanted):
            asked.append(tuple(planes.shape))
            if planes.shape[0] * planes.shape[2] * planes.shape[3] > 40 * 50:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(planes, constants, wanted)

        return predict

    monkeypatch.setattr(task, "load_once", scarce)
    monkeypatch.setattr(task, "batch_limit", lambda *a, **k: limit)
    limit = BatchLimit(tiles=tiles, pixels=10**9)
    plan, found = predict(small, "scarce", tile=(20, 36, 36))
    assert asked[0][0] > asked[-1][0] or tiles == 1
    assert min(a[2] * a[3] for a in asked) < max(a[2] * a[3] for a in asked)
    # sums of another order differ in the last bits of float32, which may turn a rounding
    again = open_volume(plan.votes.url).read(plan.votes.box)
    assert np.abs(again.astype(int) - votes).max() <= 1
    whole = plan.output.box
    assert np.abs(found.read(whole).astype(int) - wanted.read(whole)).max() <= 1
