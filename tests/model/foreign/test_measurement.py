import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.foreign.networks import Plain, two_levels
from torch import nn

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.foreign.measurement import Depth, measure
from volproc.model.foreign.model_card import Description
from volproc.model.foreign.probe import sight
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec


def measured(module, **stated):
    return measure(Plain(module), Description(name="net", **stated))


@settings(max_examples=8)
@given(
    st.builds(
        UNetSpec,
        slices_in=st.sampled_from([1, 3]),
        widths=st.lists(st.sampled_from([4, 6]), min_size=1, max_size=3).map(tuple),
        stem=st.sampled_from([1, 2]),
        convs_down=st.integers(1, 2),
    ),
    st.integers(0, 99),
)
def test_what_is_measured_is_what_follows_from_the_layers(spec, seed):
    torch.manual_seed(seed)
    found = measured(UNet(spec), axes="bzyx", depth=spec.slices_in)
    assert (found.stride, found.halo, found.reach) == (spec.stride, spec.halo, spec.halo)
    assert found.depth == Depth(spec.slices_in, spec.slices_out)
    assert found.cost.flop == spec.flop(64, 64) * found.pixels // 64**2


def test_the_published_network_is_measured_exactly():
    spec = EtchACellSpec(start=2)
    torch.manual_seed(0)
    found = measured(EtchACell(spec), axes="bzyx", depth=12)
    assert (found.stride, found.halo) == (spec.stride, spec.halo)


def test_a_3d_network_of_any_depth_gets_tiles_with_their_halo():
    found = measured(two_levels(3), axes="bczyx")
    assert (found.stride, found.halo) == (2, 4)
    assert found.depth == Depth(slices_in=24, slices_out=16, halo=4)


def test_a_3d_network_of_one_depth_answers_what_its_halo_leaves():
    found = measured(two_levels(3), axes="bczyx", depth=20)
    assert found.depth == Depth(slices_in=20, slices_out=12, halo=4)
    with pytest.raises(ModelError, match="state depth_stride in a card"):
        measured(two_levels(3), axes="bczyx", depth=8)
    small = measured(two_levels(3), axes="bczyx", depth=8, depth_stride=2)
    assert small.depth.slices_out == 4  # though 4 planes were wanted on either side


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)])
def test_networks_that_look_at_the_whole_tile_are_found_out(norm):
    found = measured(two_levels(norm=norm))
    assert found.reach is None
    assert (found.stride, found.halo) == (2, 64)
    assert measured(two_levels(norm=norm), halo=10).halo == 10


def test_networks_without_padding_get_it():
    torch.manual_seed(0)
    valid = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 5))
    found = measured(valid)
    assert (found.crop, found.halo, found.stride) == (3, 3, 1)


def test_a_stated_halo_counts_where_it_is_larger_than_the_measured():
    assert measured(two_levels(), halo=9).halo == 10
    assert measured(two_levels(), halo=1).halo == 4


def test_a_network_of_one_size_keeps_a_quarter_for_answers():
    found = measured(two_levels(), size=32)
    assert found.halo == 4
    wide = nn.Sequential(nn.Conv2d(1, 1, 15, padding=7))
    assert measured(wide, size=16, stride=1).halo == 6


def test_sight_is_along_one_axis():
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(1, 2, (1, 5), padding=(0, 2)), nn.MaxPool2d((1, 4)))
    flat.append(nn.Upsample(scale_factor=(1.0, 4.0)))

    def answer(planes):
        return flat(planes)[:, :1]

    with torch.inference_mode():
        high, wide = (sight(answer, (1, 64, 64), axis, stride=None, name="net") for axis in (2, 3))
    assert (high.stride, high.halo) == (1, 0)
    assert (wide.stride, wide.halo) == (4, 4)


class Placed(nn.Module):
    def forward(self, values):
        places = torch.Generator().manual_seed(0)
        return values + torch.rand(values.shape[-1], generator=places)


class Root(nn.Module):
    def forward(self, values):
        return values.sqrt()


@pytest.mark.parametrize(
    ("module", "stated", "message"),
    [
        (Placed(), {}, "does not move along with the image by any of"),
        (nn.Conv2d(1, 1, 1), {"axes": "bzyx"}, "not how many is stated: state depth in a card"),
        (nn.Upsample(scale_factor=2.0), {}, "must lie in the middle of what it sees"),
        (nn.AvgPool2d(2), {}, "must lie in the middle of what it sees"),
        (nn.Flatten(2), {}, r"predicts 3 axes, .*state output_axes"),
        (nn.Threshold(1e9, 0.5), {}, "same for any noise and for grey values from 0 to 255; check"),
        (Root(), {}, r"net predicts NaN or infinity for noise; state .* \[\[preprocessing\]\]"),
        (nn.Sigmoid(), {"size": 10**6}, r"net, of 1e\+06 Mvoxel, needs 64000\.0 GB of memory"),
    ],
)
def test_networks_that_cannot_be_placed_are_refused(module, stated, message):
    with pytest.raises(ModelError, match=message):
        measured(module, **stated)
