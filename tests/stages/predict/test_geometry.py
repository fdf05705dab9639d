import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.predict.whole import save_random, whole_at_once

from volproc import PredictOptions
from volproc.errors import ConfigError, ModelError
from volproc.grid.box import Box, whole_box
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.resolver import open_network
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import load_model
from volproc.stages.predict.geometry import central_half, choose
from volproc.stages.volume_sample import volume_constants
from volproc.volume.resampling import read_resampled, resampling_to
from volproc.volume.store import open_volume


def test_the_published_overlap_is_its_patches_one_by_one(save_volume, noise, predict, tiny_model):
    """Two patches along y, mirrored beyond the volume; of 6 planes the central 2 are kept."""
    values = np.concatenate([noise[:6, :70, :24]] * 2, axis=1)
    image = save_volume("image.zarr", values)
    plan, _ = predict(image, halo="reference", axes="z", tile=None)
    votes = open_volume(plan.votes.url).read(plan.votes.box).reshape(values.shape)
    network, _ = load_model(tiny_model)
    way = resampling_to(image.info, (50, 50, 50))
    wanted = np.zeros(values.shape)
    for z in range(0, 6, 2):
        for y in (0, 128):
            patch = Box((z - 2, y - 64, -64), (z + 4, y + 192, 192))
            normal = volume_constants(image).apply(read_resampled(image, way, patch))
            with torch.inference_mode():
                answer = torch.sigmoid(network(normal[None]))[0, 1:3, 64:192, 64:192] * 255
            kept = Box((z, y, 0), (z + 2, y + 128, 128)).clip(whole_box(values.shape))
            wanted[kept.slices] = answer[:, : kept.shape[1], : kept.shape[2]].numpy()
    assert np.abs(votes - wanted).max() < 0.5 + 1e-2


def test_the_published_overlap_of_the_published_network():
    network = type("Network", (), {"slices_in": 12, "slices_out": 12, "stride": 16})
    network.axes = "zyx"
    network.most_pixels, network.name = None, "etchacell"
    chosen = choose((518, 1638, 1638), network, PredictOptions(halo="reference"))
    layout, block = chosen.layout, chosen.block
    one = next(layout.tiles(Box((0, 0, 0), (1, 1, 1)), "z"))
    assert one.window.shape == (12, 256, 256)
    assert one.output.shape == (6, 128, 128)
    assert one.output.within(one.window.start).start == (3, 64, 64)
    assert all(n % 128 == 0 for n in block)


@given(planes=st.integers(1, 20), less=st.integers(0, 9))
def test_half_of_the_planes_have_the_same_middle(planes, less):
    out = max(planes - 2 * less, 2 - planes % 2)
    network = type("Network", (), {"slices_in": planes, "slices_out": out})
    kept = central_half(network)
    assert 1 <= kept <= out
    assert (out - kept) % 2 == 0
    assert kept <= max(planes / 2, 2 - planes % 2)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    "how", [{"tile": (16, 16, 16)}, {"tile": (8, 20, 36), "block": (9, 16, 30)}]
)
def test_the_published_network_needs_its_whole_halo(small, predict, small_etchacell, how, short):
    """On any block and tile size the exact halo gives the whole image at once; less does not."""
    network = open_network(str(small_etchacell))
    halo = network.stride if short else "exact"
    plan, _ = predict(small, model=str(small_etchacell), halo=halo, **how)
    votes = open_volume(plan.votes.url).read(plan.votes.box)[::-1]
    apart = np.abs(votes - whole_at_once(small, small_etchacell, mirrored=network.stride))
    assert votes.std() > 5
    assert apart.max() > 2 if short else apart.max() < 0.5 + 1e-2


@pytest.mark.slow
def test_the_published_network_at_its_size(save_volume, noise, predict, tmp_path):
    """30 million random weights; a plane longer than a tile and its halo of 112 pixels."""
    torch.manual_seed(4)
    spec = EtchACellSpec()
    folder = save_random(tmp_path / "published", spec)
    image = save_volume("image.zarr", np.tile(noise[:12, :40, :48], (1, 8, 1)))
    wanted = whole_at_once(image, folder, mirrored=32, axes="z")
    apart = {}
    for halo in ("exact", 64, 32, 16):
        plan, _ = predict(
            image, str(halo), model=str(folder), axes="z", tile=(12, 32, 48), halo=halo
        )
        votes = open_volume(plan.votes.url).read(plan.votes.box)
        apart[halo] = np.abs(votes - wanted).max()
        assert votes.std() > 5
    assert apart["exact"] < 0.5 + 1e-2
    assert 2 < apart[64] < apart[32] < apart[16]


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 4), (4, 4), (9, 12)])
def test_pixels_of_context_are_rounded_up_to_the_stride(small, predict, asked, given):
    assert predict(small, halo=asked, plan_only=True).layout.halo == given


@pytest.mark.parametrize("more", [{"tile": (16, 16, 16)}, {"center_planes": 2, "tile": None}])
def test_the_published_overlap_has_its_own_tiles(small, predict, more):
    with pytest.raises(ConfigError, match='"reference" has tiles of 128 pixels'):
        predict(small, halo="reference", plan_only=True, **more)


def test_a_network_that_cannot_have_the_published_overlap_is_refused():
    network = type(
        "Network", (), {"name": "wide", "stride": UNetSpec(stem=128).stride, "slices_in": 1}
    )
    network.axes = "zyx"
    with pytest.raises(ModelError, match="wide takes no patches of 256 pixels that keep 128"):
        choose((8, 8, 8), network, PredictOptions(halo="reference"))


@pytest.mark.parametrize(
    ("read", "answered", "kept"),
    [(12, 12, 6), (12, 4, 4), (10, 10, 4), (6, 4, 2), (2, 2, 2), (9, 9, 3), (9, 3, 3), (1, 1, 1)],
)
def test_half_of_the_planes_by_number(read, answered, kept):
    """Half of those read, one less where that has another middle; one or two at least."""
    network = type("Network", (), {"slices_in": read, "slices_out": answered})
    assert central_half(network) == kept


def taking(most, reach="exact", **options):
    """Tiles and a block of 100 x 100 x 300 voxels for a network of so many pixels; its stride 8."""
    network = type("Network", (), {"name": "narrow", "stride": 8, "halo": 16})
    network.axes = "zyx"
    network.slices_in = network.slices_out = 1
    network.most_pixels = most
    found = choose((100, 100, 300), network, PredictOptions(halo=reach, **options))
    return found.layout, found.block


@pytest.mark.parametrize(
    ("tile", "block"),
    [
        ((16, 32, 64), (112, 128, 128)),  # as many as there are, or to 128 voxels
        ((64, 64, 64), (64, 64, 64)),  # two along an axis are not worth it
        ((40, 104, 304), (120, 104, 304)),
    ],
)
def test_a_block_has_several_small_tiles(tile, block):
    layout, found = taking(None, tile=tile)
    assert (layout.tile, found) == (tile, block)
    assert taking(None, tile=tile, block=(8, 8, 8))[1] == (8, 8, 8)


@pytest.mark.parametrize(("most", "room"), [(95, 56), (96, 64), (40, 8)])
def test_tiles_fit_into_what_the_network_takes_besides_its_halo(most, room):
    """Less 16 pixels on either side, in strides of 8."""
    assert max(taking(most)[0].tile) <= room
    assert taking(most, tile=(8, 8, room))[0].tile[2] == room
    with pytest.raises(ConfigError, match=f"no more than {room};"):
        taking(most, tile=(8, 8, room + 1))


@pytest.mark.parametrize("most", [39, 32])
def test_a_halo_that_leaves_no_room_is_refused(most):
    with pytest.raises(ModelError, match=f"takes {most} pixels, of which a halo of 16"):
        taking(most)


def test_the_published_patches_need_256_pixels():
    """Tiles of 128 with 64 on every side; 192 voxels are mirrored, for a patch is always whole."""
    with pytest.raises(ModelError, match="no patches of 256"):
        taking(255, reach="reference")
    for most in (None, 256):
        layout, block = taking(most, reach="reference")
        assert (layout.tile, layout.halo, layout.border) == ((128, 128, 128), 64, 192)
        assert (layout.slices_in, layout.slices_out) == (1, 1)
        assert block == (128, 128, 384)
