"""The published network: its size, its arithmetic, how far it sees, and its way to disk."""

import pytest
import torch

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import load_card
from volproc.model.weights import card_for, load_model, save_model

SPECS = [EtchACellSpec(1, 1, 1, levels=2), EtchACellSpec(3, 1, 2, levels=3)]


def positive(spec):
    """A network in which every input raises every output that can see it."""
    network = EtchACell(spec).double().eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.1
    return network


def test_the_published_network_has_its_parameters_and_arithmetic():
    spec = EtchACellSpec()
    network = EtchACell(spec)
    assert sum(p.numel() for p in network.parameters()) == 30_030_484
    assert spec.flop(256, 256) == pytest.approx(74.98e9, rel=1e-4)
    assert spec.channels == (108, 300, 684, 1452, 2988, 2476, 1196, 556, 236)
    assert (spec.stride, spec.reach, spec.halo) == (16, 122, 112)


def test_flop_counts_what_the_convolutions_do():
    spec = EtchACellSpec(3, 1, 2, levels=3)
    counted = 0

    def count(layer, inputs, output):
        nonlocal counted
        # a transposed convolution's products go by its input, its bias and crop aside
        pixels = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else output
        counted += 2 * layer.weight.numel() * pixels.shape[-2] * pixels.shape[-1]

    network = EtchACell(spec).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            part.register_forward_hook(count)
    answer = network(torch.zeros(1, 3, 16, 24))
    assert answer.shape == (1, 1, 16, 24)
    assert counted == spec.flop(16, 24)


def test_channels_are_those_of_the_layers():
    spec = EtchACellSpec(3, 1, 2, levels=3)
    found = []
    network = EtchACell(spec)
    for block in (*network.down, *reversed(network.up)):
        block.register_forward_hook(lambda layer, inputs, output: found.append(output.shape[1]))
    network(torch.zeros(1, 3, 8, 8))
    assert tuple(found) == spec.channels


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_an_impulse_is_seen_exactly_as_far_as_the_reach(spec):
    network = positive(spec)
    size = (2 * spec.reach // spec.stride + 4) * spec.stride
    middle = size // 2 // spec.stride * spec.stride
    dark = torch.zeros(1, spec.slices_in, size, spec.stride, dtype=torch.float64)
    furthest = 0
    for phase in range(spec.stride):
        lit = dark.clone()
        lit[:, :, middle + phase] = 1
        change = (network(lit) - network(dark)).abs().amax((0, 1, 3))
        rows = change.nonzero().flatten()
        assert rows.min() > 0
        assert rows.max() < size - 1
        furthest = max(furthest, middle + phase - int(rows.min()), int(rows.max()) - middle - phase)
    assert furthest == spec.reach


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("short", [False, True])
def test_a_tile_with_the_halo_sees_what_the_plane_sees_and_with_less_does_not(spec, short):
    torch.manual_seed(0)
    network = positive(spec)
    halo = spec.halo - spec.stride * short
    core, start = 2 * spec.stride, halo + spec.stride
    size = start + core + halo + spec.stride
    plane = torch.rand(1, spec.slices_in, size, size, dtype=torch.float64)
    rows = slice(start - halo, start + core + halo)
    tile = network(plane[:, :, rows, rows])[:, :, halo : halo + core, halo : halo + core]
    whole = network(plane)[:, :, start : start + core, start : start + core]
    apart = ((tile - whole).abs() / whole.abs()).max()
    assert apart > 1e-9 if short else apart < 1e-13


def test_a_saved_network_comes_back_with_its_card(tmp_path):
    torch.manual_seed(0)
    spec = EtchACellSpec(4, 2, 2, levels=2)
    network = EtchACell(spec).eval()
    save_model(tmp_path / "m", network, card_for(spec, name="m", voxel_nm=(50, 50, 50)))
    again, card = load_model(tmp_path / "m")
    assert card == load_card(tmp_path / "m")
    assert card.spec == spec
    planes = torch.rand(1, 4, 8, 8)
    with torch.inference_mode():
        assert torch.equal(again(planes), network(planes))


@pytest.mark.parametrize("numbers", [(0, 1, 1, 1), (4, 5, 1, 1), (4, 3, 1, 1)])
def test_a_description_that_cannot_be_is_refused(numbers):
    with pytest.raises(ModelError, match=r"at least 1|cannot be the centre"):
        EtchACellSpec(*numbers)
