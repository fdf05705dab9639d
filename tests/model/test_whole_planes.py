"""Compiled once for all calls of a plan, and the same pixels as those of the network as it is."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from volproc.grid.box import whole_box
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.whole_planes import WholePlanes
from volproc.stages.inference.batches import BatchLimit, in_batches
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import along

SPECS = [UNetSpec(3, 1, (3, 4)), EtchACellSpec(3, 3, start=2, levels=2)]
pytestmark = pytest.mark.filterwarnings("default")  # what torch.compile uses may be deprecated


@pytest.fixture(autouse=True)
def nothing_compiled():
    """torch counts what it compiled of a function, whichever network it was called for."""
    torch.compiler.reset()


def network_of(spec):
    torch.manual_seed(1)
    return (EtchACell if isinstance(spec, EtchACellSpec) else UNet)(spec).eval()


def calls_of(spec):
    """Planes and requested pixels of the calls for a volume of several tiles each way."""
    planes = {"slices_in": spec.slices_in, "slices_out": spec.slices_out}
    grid = {"halo": spec.halo, "stride": spec.stride}
    layout, found = lay_out((43, 80, 96), **grid, **planes, tile=(16, 24, 40)), []

    def run(batch):
        _, *sides = along(batch[0].axis, batch[0].window.shape)
        found.append((torch.randn(len(batch), spec.slices_in, *sides), batch[0].requested))

    for axis in "zyx":
        limit = BatchLimit(7, 10**9, "cuda")
        in_batches(layout.tiles(whole_box(layout.shape), axis), run, limit=limit, **grid)
    return found


@pytest.mark.parametrize("spec", SPECS, ids=["unet", "etchacell"])
def test_calls_of_all_shapes_share_two_codes(spec):
    counter, calls = CompileCounter(), calls_of(spec)
    shapes = {(planes.shape, str(requested)) for planes, requested in calls}
    assert len(shapes) > 20
    compiled = WholePlanes(network_of(spec), backend=counter)
    with torch.inference_mode():
        for planes, requested in calls:
            compiled(planes, requested)
    assert counter.frame_count <= 2  # one plane alone, and any number


@pytest.mark.parametrize("spec", SPECS, ids=["unet", "etchacell"])
def test_the_pixels_are_those_of_the_network(spec):
    network = network_of(spec)
    compiled = WholePlanes(network_of(spec), backend="eager")
    with torch.inference_mode():
        for planes, requested in calls_of(spec)[:3]:
            assert torch.allclose(
                compiled(planes, requested), network(planes, requested), atol=1e-5
            )
        assert torch.equal(compiled(planes), network(planes))
