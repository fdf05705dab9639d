import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.predict.skip import Emptiness, coarse_way
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume


@pytest.fixture
def half_empty(save_volume, noise):
    """Structure in the first 40 voxels along x, behind it 120 of resin with a little noise."""
    rng = np.random.default_rng(0)
    resin = (180 + rng.integers(-2, 3, (12, 36, 120))).astype(np.uint8)
    return save_volume("image.zarr", np.concatenate([noise[:12, :36, :40], resin], axis=2))


def test_blocks_that_see_resin_only_are_zero_and_the_others_as_before(half_empty, predict):
    how = {"block": (12, 36, 20), "tile": (12, 36, 20)}
    plan, before = predict(half_empty, "all", **how)
    skipping, after = predict(half_empty, "few", skip=0.5, **how)
    assert plan.digest != skipping.digest
    record = after.info.made_by
    assert (record["blocks"], record["skipped_blocks"]) == (8, 5)
    looked = np.s_[:, :, :60]  # what lies within the halo of the structure is looked at
    a, b = (open_volume(p.votes.url).read(p.votes.box) for p in (plan, skipping))
    assert np.array_equal(a[:, :, :, :60], b[:, :, :, :60])
    assert not b[:, :, :, 60:].any()
    assert np.array_equal(before.read(before.info.box)[looked], after.read(after.info.box)[looked])
    assert open_volume(after.info.url).info.made_by["skipped_blocks"] == 5


def test_without_the_option_every_block_is_looked_at(half_empty, predict):
    _, made = predict(half_empty, block=(12, 36, 20))
    assert "skipped_blocks" not in made.info.made_by


@pytest.fixture(scope="module")
def one_speck(tmp_path_factory):
    """Flat grey of 120, but for a cube of 8 voxels of 200 in the middle of 64 x 64 x 64."""
    values = np.full((64, 64, 64), 120, dtype=np.uint8)
    values[28:36, 28:36, 28:36] = 200
    info = new_volume(
        str(tmp_path_factory.mktemp("speck") / "image.zarr"),
        shape=values.shape,
        voxel_nm=VoxelNm((50.0, 50.0, 50.0)),
        dtype="uint8",
    )
    volume = create_volume(info, step="test", digest="speck", version="0")
    volume.write(info.box, values)
    return volume


@given(
    limit=st.floats(0.5, 60),
    start=st.tuples(*[st.integers(-16, 60)] * 3),
    size=st.tuples(*[st.integers(1, 40)] * 3),
)
def test_only_a_window_with_something_in_it_is_looked_at(one_speck, limit, start, size):
    """Coarsely an edge is 4 voxels wide and seen 4 away: what is further off does not count."""
    window = Box(start, tuple(a + n for a, n in zip(start, size, strict=True)))
    rule = Emptiness(coarse_way(one_speck.info, one_speck.info.voxel_nm), limit)
    inside = Box((28, 28, 28), (36, 36, 36))
    grown = window.grow((10, 10, 10))
    ends = zip(window.start, window.stop, strict=True)
    if all(a <= 20 and b >= 44 for a, b in ends):
        assert not rule.holds(window, one_speck)
    mirrored = any(a < 0 or b > 64 for a, b in zip(grown.start, grown.stop, strict=True))
    if not mirrored and not grown.clip(inside).size:
        assert rule.holds(window, one_speck)


def test_padding_is_empty_and_what_is_no_number_is_looked_at(save_volume):
    values = np.zeros((16, 16, 16), dtype=np.float32)
    padding = save_volume("padding.zarr", values)
    values[3, 3, 3] = np.nan
    broken = save_volume("broken.zarr", values)
    for image, empty in ((padding, True), (broken, False)):
        rule = Emptiness(coarse_way(image.info, image.info.voxel_nm), 0.1)
        assert rule.holds(image.info.box, image) is empty
