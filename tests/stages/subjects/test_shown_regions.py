import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc import SubjectsOptions
from volproc.errors import ConfigError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.subjects.shown_regions import (
    SAMPLED_ACROSS,
    SAMPLED_PIXELS,
    SAMPLED_SLICES,
    blocks_of,
    drawn_slices,
    frames_at,
    region_at,
    regions_of,
    sample_of,
    shown_slices,
    slabs_of,
)
from volproc.volume.metadata import new_volume

counts = st.integers(1, 12)


def image(*shape):
    return new_volume("image.zarr", shape=shape, voxel_nm=parse_voxel_nm((50, 10, 10)), dtype="u1")


@given(depth=st.integers(1, 40), frames=counts, data=st.data())
def test_a_subject_shows_its_slice_and_as_many_others_as_there_are(depth, frames, data):
    z = data.draw(st.integers(0, depth - 1))
    shown = frames_at(z, depth=depth, frames=frames)
    assert z in shown
    assert len(shown) == min(frames, depth)
    assert shown[0] >= 0
    assert shown[-1] < depth
    before, after = (frames - 1) // 2, frames // 2
    if z >= before and z + after < depth:
        assert shown == range(z - before, z + after + 1)


@given(shape=st.tuples(*[st.integers(1, 30)] * 3), roi=st.tuples(*[st.integers(1, 40)] * 3))
def test_tiles_cover_every_voxel_once_and_have_names_of_their_own(shape, roi):
    regions = regions_of(image(*shape), SubjectsOptions(roi=roi))
    seen = np.zeros(shape, int)
    for region in regions:
        seen[region.box.slices] += 1
    assert (seen == 1).all()
    assert len({region.name for region in regions}) == len(regions)


@given(
    first=st.integers(0, 70),
    depth=st.integers(1, 40),
    frames=counts,
    every=counts,
    together=st.integers(1, 32),
)
def test_slabs_hold_every_slice_that_is_shown_once(first, depth, frames, every, together):
    region = region_at(Box((first, 3, 5), (first + depth, 9, 12)))
    options = SubjectsOptions(frames=frames, every=every)
    blocks = blocks_of(tuple(slabs_of([region], options, depth=together)))
    shown = set(shown_slices(region, options))
    held = [z - first for block in blocks for z in range(block.core.start[0], block.core.stop[0])]
    assert len(held) == len(set(held))
    assert shown <= set(held)
    for block in blocks:
        assert block.core.start[0] // together == (block.core.stop[0] - 1) // together
        assert block.read == region.box
        assert region.box.contains(block.core)
    assert set(drawn_slices(region, every=every)) <= shown


@given(
    start=st.tuples(*[st.integers(0, 50)] * 3),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 4000), st.integers(1, 4000)),
)
def test_a_sample_lies_in_the_region_and_is_small(start, shape):
    box = Box(start, tuple(a + n for a, n in zip(start, shape)))
    found = sample_of(box)
    assert all(one.size and box.contains(one) for one in found)
    assert len(set(found)) == len(found) <= SAMPLED_SLICES * SAMPLED_ACROSS**2
    assert max(one.size for one in found) <= SAMPLED_PIXELS**2


def test_listed_regions_are_clipped_at_the_ends_of_the_volume():
    listed = ((-5, 10, 10, 20, 50, 50), (30, 80, 80, 20, 50, 50))
    found = regions_of(image(40, 100, 100), SubjectsOptions(rois=listed))
    assert [region.box for region in found] == [
        Box((0, 10, 10), (15, 60, 60)),
        Box((30, 80, 80), (40, 100, 100)),
    ]
    assert [region.name for region in found] == ["ROI_35-35-7", "ROI_90-90-35"]


def test_names_count_slices_from_one_and_sort():
    region = region_at(whole_box((2000, 4, 4)))
    names = [region.frame(z) for z in range(2000)]
    assert names[0] == "ROI_2-2-1000_z0001"
    assert names == sorted(names)


def test_regions_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"\[40, 0, 0, 5, 5, 5\] holds no voxel of image.zarr"):
        regions_of(image(40, 50, 50), SubjectsOptions(rois=((40, 0, 0, 5, 5, 5),)))
    with pytest.raises(ConfigError, match="same middle, ROI_10-10-5"):
        regions_of(
            image(40, 50, 50), SubjectsOptions(rois=((0, 0, 0, 10, 20, 20), (4, 5, 5, 2, 10, 10)))
        )


@pytest.mark.parametrize(("first", "count"), [(0, 3), (2, 2)])
def test_a_file_lists_regions_the_most_wanted_first(tmp_path, first, count):
    rows = ["1,0,10,20,4,30,30,0.5", "2,8,0,0,4,30,30,0.25", "3,4,0,0,4,30,30,0.1"]
    file = tmp_path / "regions.csv"
    file.write_text("\n".join(["rank,z,y,x,depth,height,width,disagreement", *rows]))
    options = SubjectsOptions(rois_file=str(file), rois_first=first)
    found = regions_of(image(40, 100, 100), options)
    starts = [(0, 10, 20), (8, 0, 0), (4, 0, 0)][:count]
    assert [region.box.start for region in found] == starts
    assert found[0].box.shape == (4, 30, 30)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "z,y,x,depth,height,width\n1,2,3,4,5,wide\n"])
def test_a_file_that_lists_no_regions_is_refused(tmp_path, text):
    (tmp_path / "regions.csv").write_text(text)
    options = SubjectsOptions(rois_file=str(tmp_path / "regions.csv"))
    with pytest.raises(ConfigError, match=r"regions\.csv is no list of regions"):
        regions_of(image(40, 100, 100), options)
