import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import VoxelNm
from volproc.stages.inference.layout import lay_out
from volproc.stages.predict.empty_blocks import COARSER, EmptyBlockRule, coarse_resampler
from volproc.volume.metadata import new_volume
from volproc.volume.resampling import read_resampled
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
    assert plan.steps[0].notes == ()
    skipping, after = predict(half_empty, "few", skip_empty_std=0.5, **how)
    assert plan.digest != skipping.digest
    assert "spans less than 0.5 standard deviations are skipped" in skipping.steps[0].notes[0]
    record = after.info.provenance
    assert (record["blocks"], record["skipped_blocks"]) == (8, 5)
    looked = np.s_[:, :, :60]  # what lies within the halo of the structure is looked at
    a, b = (open_volume(p.votes.url).read(p.votes.box) for p in (plan, skipping))
    assert np.array_equal(a[:, :, :, :60], b[:, :, :, :60])
    assert not b[:, :, :, 60:].any()
    assert np.array_equal(before.read(before.info.box)[looked], after.read(after.info.box)[looked])
    assert open_volume(after.info.url).info.provenance["skipped_blocks"] == 5


def test_without_the_option_every_block_is_looked_at(half_empty, predict):
    _, made = predict(half_empty, block=(12, 36, 20))
    assert "skipped_blocks" not in made.info.provenance


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
    limit=st.floats(0.5, 50),  # coarsely the speck is 53.6 brighter
    start=st.tuples(*[st.integers(-16, 60)] * 3),
    size=st.tuples(*[st.integers(1, 40)] * 3),
)
def test_only_a_window_with_something_in_it_is_looked_at(one_speck, limit, start, size):
    """Coarsely an edge is 4 voxels wide and seen 4 away: what is further off does not count."""
    window = Box(start, tuple(a + n for a, n in zip(start, size, strict=True)))
    rule = EmptyBlockRule(coarse_resampler(one_speck.info, one_speck.info.voxel_nm), limit)
    inside = Box((28, 28, 28), (36, 36, 36))
    grown = window.grow((10, 10, 10))
    ends = zip(window.start, window.stop, strict=True)
    if all(a <= 20 and b >= 44 for a, b in ends):
        assert not rule.is_empty(window, one_speck)
    mirrored = any(a < 0 or b > 64 for a, b in zip(grown.start, grown.stop, strict=True))
    if not mirrored and not grown.clip(inside).size:
        assert rule.is_empty(window, one_speck)


def test_padding_is_empty_and_what_is_no_number_is_looked_at(save_volume):
    values = np.zeros((16, 16, 16), dtype=np.float32)
    padding = save_volume("padding.zarr", values)
    values[3, 3, 3] = np.nan
    broken = save_volume("broken.zarr", values)
    for image, empty in ((padding, True), (broken, False)):
        rule = EmptyBlockRule(coarse_resampler(image.info, image.info.voxel_nm), 0.1)
        assert rule.is_empty(image.info.box, image) is empty


@given(
    start=st.tuples(*[st.integers(0, 48)] * 3),
    sides=st.tuples(*[st.integers(12, 40)] * 3),
    contrast=st.integers(-60, 60).filter(lambda n: abs(n) >= 12),
    halo=st.integers(0, 3),
    tile=st.tuples(*[st.sampled_from([8, 16, 24, 40])] * 3),
)
@settings(max_examples=25)
def test_no_block_that_sees_something_is_skipped(start, sides, contrast, halo, tile, tmp_path_for):
    """The law: 12 voxels of one grey and 12 of another, anywhere in what is seen, forbid it.

    In 12 voxels there lies the whole of what one coarse voxel takes in (4 to either side).
    """
    whole = whole_box((60, 60, 60))
    thing = Box(start, tuple(a + n for a, n in zip(start, sides, strict=True))).clip(whole)
    values = np.full((60, 60, 60), 120, dtype=np.uint8)
    values[thing.slices] = 120 + contrast
    image = tmp_path_for(values)
    rule = EmptyBlockRule(coarse_resampler(image.info, image.info.voxel_nm), limit=10.0)
    layout = lay_out((60,) * 3, halo=8 * halo, stride=8, slices_in=6, slices_out=4, tile=tile)
    for block in Tiling((60,) * 3, layout.tile):
        window = layout.window(block.core, "zyx")
        if min(window.clip(thing).shape) >= 12 and _beside(thing, window.clip(whole)) >= 12:
            assert not rule.is_empty(window, image)
        if not window.grow((12, 12, 12)).clip(thing).size and whole.contains(window):
            assert rule.is_empty(window, image)


def _beside(thing, seen):
    """How many voxels of a box lie beside the thing, on the side where it is most."""
    before = (a - b for a, b in zip(thing.start, seen.start, strict=True))
    return max(*before, *(b - a for a, b in zip(thing.stop, seen.stop, strict=True)))


@given(
    start=st.tuples(*[st.integers(-16, 60)] * 3),
    size=st.tuples(*[st.integers(1, 40)] * 3),
    less=st.tuples(*[st.integers(0, 8)] * 3),
    limit=st.floats(5, 120),
)
@settings(max_examples=40)
def test_the_rule_is_the_span_of_the_whole_coarse_volume_and_what_is_seen_less_of(
    speckled, start, size, less, limit
):
    """Numpy on the whole array, and: where a window is empty, so is every window within it."""
    image, coarse, origin = speckled
    rule = EmptyBlockRule(coarse_resampler(image.info, image.info.voxel_nm), limit)
    window = Box(start, tuple(a + n for a, n in zip(start, size, strict=True)))
    part = coarse[
        tuple(
            slice(a // COARSER - o, -(-b // COARSER) - o)
            for a, b, o in zip(window.start, window.stop, origin, strict=True)
        )
    ]
    assert rule.is_empty(window, image) == (np.ptp(part) < limit)
    ends = zip(window.start, window.stop, less, strict=True)
    inner = Box(*zip(*((min(a + n, b - 1), b) for a, b, n in ends), strict=True))
    if rule.is_empty(window, image):
        assert rule.is_empty(inner, image)


@pytest.fixture(scope="module")
def tmp_path_for(tmp_path_factory):
    """A saved volume of 50 nm voxels from an array, as often as a test asks."""

    def save(values):
        info = new_volume(
            str(tmp_path_factory.mktemp("made") / "image.zarr"),
            shape=values.shape,
            voxel_nm=VoxelNm((50.0, 50.0, 50.0)),
            dtype=str(values.dtype),
            chunks=values.shape,
            max_levels=1,
        )
        volume = create_volume(info, step="test", digest="made", version="0")
        volume.write(info.box, values)
        return volume

    return save


@pytest.fixture(scope="module")
def speckled(tmp_path_for):
    """Noise with a few bright cubes; its coarse voxels from -8 on, all at once; and that -8."""
    rng = np.random.default_rng(5)
    values = rng.integers(100, 120, (64, 64, 64), dtype=np.uint8)
    for z, y, x in rng.integers(0, 56, (4, 3)):
        values[z : z + 8, y : y + 8, x : x + 8] += 60
    image = tmp_path_for(values)
    way = coarse_resampler(image.info, image.info.voxel_nm)
    around = Box((-8, -8, -8), (28, 28, 28))
    return image, read_resampled(image, way, around).numpy(), around.start


@pytest.mark.parametrize(
    ("dtype", "value", "hot"),
    [("uint8", 77, 0), ("uint8", 0, 0), ("uint16", 900, 60000), ("float32", 3.5, 1e6)],
)
def test_a_flat_image_has_no_foreground_and_says_so(save_volume, predict, dtype, value, hot):
    """invesalius3#1152, angelolab/ark-analysis#890: a constant image was amplified noise."""
    values = np.full((12, 40, 44), value, dtype)
    if hot:
        values[3, 4, 5] = hot
    _, made = predict(save_volume("image.zarr", values), votes=False)
    assert not made.read(made.info.box).any()
    assert made.info.provenance["flat_image"] == value
