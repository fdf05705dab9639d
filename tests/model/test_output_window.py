"""What is made of a plane's middle alone is what the whole plane would have there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.output_window import regions
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec

UNETS = [
    UNetSpec(slices_in=3, slices_out=1, widths=(4, 6, 8), stem=2, convs_up=2),
    UNetSpec(slices_in=2, slices_out=2, widths=(4, 6, 6, 8), stem=1, convs_down=1),
    UNetSpec(widths=(4,), stem=4),
    UNetSpec(2, 2, (4, 6, 8), stem=2, block="separable", skips="add"),
]


def network_of(spec):
    torch.manual_seed(1)
    return (EtchACell if isinstance(spec, EtchACellSpec) else UNet)(spec).eval()


@pytest.mark.parametrize("spec", [*UNETS, EtchACellSpec(start=2, levels=3)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_middle_is_that_of_the_whole(spec, data):
    """Wherever it lies; the sums of a smaller plane may run in another order."""
    network, stride = network_of(spec), spec.stride
    sizes = [data.draw(st.integers(1, 9)) for _ in range(2)]
    spans = []
    for size in sizes:
        start = data.draw(st.integers(0, size - 1))
        stop = data.draw(st.integers(start + 1, size))
        spans.append(slice(start * stride, stop * stride))
    planes = torch.randn(2, spec.slices_in, *(size * stride for size in sizes))
    with torch.inference_mode():
        whole, part = network(planes), network(planes, tuple(spans))
    torch.testing.assert_close(part, whole[..., spans[0], spans[1]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [UNETS[0], EtchACellSpec(start=2, levels=3)])
def test_less_is_counted_where_less_is_wanted(spec):
    everything = spec.flop(96, 96)
    assert spec.flop(96, 96, (96, 96)) == everything
    assert everything / 4 < spec.flop(96, 96, (48, 48)) < everything * 3 / 4


def test_a_level_gives_what_the_finer_one_looks_at():
    """Of 64 pixels, 32 to 48 wanted, each level sees one to either side."""
    planes = torch.empty(1, 1, 64, 64)
    wanted = (slice(32, 48), slice(0, 64))
    found = regions(wanted, planes, levels=3, reach=1)
    assert [(r.rows.start, r.rows.stop) for r in found] == [(32, 48), (15, 25), (7, 13)]
    assert [(r.columns.start, r.columns.stop) for r in found] == [(0, 64), (0, 32), (0, 16)]
    assert regions(wanted, planes, levels=2, reach=1, back=1)[1].rows == slice(15, 25)
    assert regions((slice(32, 48),) * 2, planes, levels=2, reach=2, back=1)[1].rows == slice(14, 25)
