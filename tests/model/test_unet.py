"""The network's laws: how far it sees, and that tiles see what the whole plane sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.spec import Block, Skips
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec

SPECS = [
    UNetSpec(1, 1, (2,), stem=1),
    UNetSpec(1, 1, (2, 3), stem=1),
    UNetSpec(3, 1, (2, 3), stem=2, convs_up=2),
    UNetSpec(4, 2, (2, 3, 4), stem=2),
    UNetSpec(1, 1, (2, 2, 2, 2), stem=1, convs_down=1),
    UNetSpec(2, 2, (2, 2), stem=4),
    UNetSpec(2, 2, (2, 3), stem=2, convs_up=2, block="residual"),
    UNetSpec(2, 2, (2, 3, 4), stem=1, block="separable"),
    UNetSpec(1, 1, (2, 3), stem=4, convs_down=3, skips="add"),
    UNetSpec(3, 1, (2, 3, 3), stem=2, block="separable", skips="add", classes=2),
]


def positive(spec: UNetSpec) -> UNet:
    """A network in which every input raises every output that can see it."""
    network = UNet(spec).double().eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.1
    return network


def untrained(spec: UNetSpec) -> UNet:
    torch.manual_seed(0)
    return UNet(spec).double().eval()


def spread(network: UNet, size: int, at: int) -> tuple[int, int]:
    """How far an impulse at row `at` is seen: rows before it and behind."""
    dark = torch.zeros(1, network.spec.slices_in, size, network.spec.stride, dtype=torch.float64)
    lit = dark.clone()
    lit[:, :, at] = 1
    change = (network(lit) - network(dark)).abs().amax((0, 1, 3))
    rows = change.nonzero().flatten()
    return at - int(rows.min()), int(rows.max()) - at


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_an_impulse_is_seen_exactly_as_far_as_the_reach(spec: UNetSpec) -> None:
    network = positive(spec)
    size = (2 * spec.reach // spec.stride + 3) * spec.stride
    middle = size // 2 // spec.stride * spec.stride
    spreads = [spread(network, size, middle + phase) for phase in range(spec.stride)]
    assert max(map(max, spreads)) == spec.reach


def windows(spec: UNetSpec, halo: int, plane: Tensor, network: UNet) -> tuple[Tensor, Tensor]:
    """The same pixels answered from the whole plane and from a tile with `halo` around them."""
    core = 2 * spec.stride
    start = (plane.shape[2] // 2) // spec.stride * spec.stride
    rows = slice(start - halo, start + core + halo)
    tile = network(plane[:, :, rows, rows])[:, :, halo : halo + core, halo : halo + core]
    return tile, network(plane)[:, :, start : start + core, start : start + core]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_tile_with_the_halo_sees_what_the_whole_plane_sees(spec: UNetSpec) -> None:
    halo = spec.halo
    assert halo <= spec.reach + spec.stride
    size = 2 * halo + 8 * spec.stride
    plane = torch.randn(1, spec.slices_in, size, size, dtype=torch.float64)
    tile, whole = windows(spec, halo, plane, untrained(spec))
    torch.testing.assert_close(tile, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_tile_with_less_does_not(spec: UNetSpec) -> None:
    halo = spec.halo - spec.stride
    size = 2 * halo + 8 * spec.stride
    plane = torch.rand(1, spec.slices_in, size, size, dtype=torch.float64)
    tile, whole = windows(spec, halo, plane, positive(spec))
    assert (tile - whole).abs().max() > 1e-9


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_moving_the_plane_by_the_stride_moves_the_answer(spec: UNetSpec) -> None:
    network, step = untrained(spec), spec.stride
    halo = -(-spec.reach // step) * step
    size = 2 * halo + 4 * step
    plane = torch.randn(1, spec.slices_in, size + step, size, dtype=torch.float64)
    first, second = network(plane[:, :, :size]), network(plane[:, :, step:])
    inside = slice(halo, -halo)
    torch.testing.assert_close(
        first[:, :, halo + step : size - halo, inside],
        second[:, :, halo : size - halo - step, inside],
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_slices_and_sizes_are_as_described(spec: UNetSpec) -> None:
    height, width = 2 * spec.stride, 3 * spec.stride
    answer = UNet(spec).eval()(torch.zeros(2, spec.slices_in, height, width))
    assert answer.shape == (2, spec.classes * spec.slices_out, height, width)


@pytest.mark.parametrize("skips", ["concat", "add"])
@pytest.mark.parametrize("block", ["plain", "residual", "separable"])
def test_flop_counts_every_convolution(block: Block, skips: Skips) -> None:
    spec = UNetSpec(4, 2, (3, 5, 7), stem=2, convs_up=2, block=block, skips=skips)
    network, counted = UNet(spec).eval(), 0

    def count(module: torch.nn.Module, planes: tuple[Tensor, ...], answer: Tensor) -> None:
        nonlocal counted
        kernel = module.weight.shape  # type: ignore[union-attr]
        # a transposed 2x2 convolution with stride 2 multiplies each output pixel once per channel
        plain = isinstance(module, torch.nn.Conv2d)
        products = kernel[1] * kernel[2] * kernel[3] if plain else kernel[0]
        counted += 2 * answer.numel() * products

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(count)  # type: ignore[arg-type]
    network(torch.zeros(1, 4, 32, 16))
    assert spec.flop(32, 16) == counted


def test_outputs_do_not_depend_on_the_rest_of_the_batch() -> None:
    network = untrained(UNetSpec(2, 2, (2, 3)))
    planes = torch.randn(3, 2, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(planes)[1:2], network(planes[1:2]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slices_in": 4, "slices_out": 3}, "3 slices out cannot be the centre of 4 slices in"),
        ({"slices_in": 1, "slices_out": 3}, "take no more out than in"),
        ({"widths": ()}, "at least 1"),
        ({"widths": (8, 0)}, "at least 1"),
        ({"stem": 0}, "at least 1"),
        ({"stem": 2**70}, "may be larger than 4096"),  # making it would take for ever
        ({"widths": (8,) * 13}, "levels more than 12"),
        ({"block": "dense"}, "'dense' is none of plain, residual, separable"),
        ({"skips": "none"}, "'none' is none of concat, add"),
    ],
)
def test_impossible_networks_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        UNetSpec(**values)  # type: ignore[arg-type]
