import numpy as np
import pytest

from volproc.drawing import SliceVotes
from volproc.errors import AnnotateError, VolumeError
from volproc.grid.box import Box
from volproc.stages.annotate.quality.ground_truth import box_of_slice, ground_truth_of

LABELS = np.arange(4 * 16 * 20, dtype=np.uint16).reshape(4, 16, 20) % 5
NM = (50, 40, 40)


@pytest.fixture
def image(save_volume):
    return save_volume("image.zarr", np.zeros((4, 16, 20), np.uint8), voxel_nm=NM).info


def votes_on(z, origin=(0, 0), shape=(16, 20)):
    return SliceVotes(z, origin, shape, (), "A")


def test_the_part_of_a_region_that_it_covers(save_volume, image):
    """It begins at slice 1, row 4 and column 6 of the image."""
    part = LABELS[1:3, 4:12, 6:16]
    at = (50 - 25, 160 - 20, 240 - 20)  # the image's corner is at -25, -20, -20
    saved = save_volume("part.zarr", part, voxel_nm=NM, corner_nm=at, kind="labels")
    truth = ground_truth_of(saved.info, (2, 3), image=image)
    votes = votes_on(2, (8, 2), (8, 10))
    assert box_of_slice(votes) == Box((2, 8, 2), (3, 16, 12))
    assert truth.part(votes) == Box((2, 8, 6), (3, 12, 12))
    np.testing.assert_array_equal(truth.on(votes), np.isin(LABELS[2, 8:12, 6:12], (2, 3)))
    assert not truth.part(votes_on(3)).size


def test_all_but_0_is_the_object_if_no_value_is_named(save_volume, image):
    saved = save_volume("truth.zarr", LABELS, voxel_nm=NM, kind="labels")
    truth = ground_truth_of(saved.info, (), image=image)
    np.testing.assert_array_equal(truth.on(votes_on(1)), LABELS[1] != 0)


@pytest.mark.parametrize(
    ("voxel_nm", "fits"),
    [((50.5, 40, 40), True), ((50.6, 40, 40), False), ((50, 40, 39.5), False)],
)
def test_voxel_sizes_differ_by_a_hundredth_at_most(save_volume, image, voxel_nm, fits):
    info = save_volume("truth.zarr", LABELS, voxel_nm=voxel_nm, kind="labels").info
    if fits:
        assert ground_truth_of(info, (), image=image).where == image.box
    else:
        z, y, x = (f"{v:g}" for v in voxel_nm)
        with pytest.raises(AnnotateError, match=rf"4 x 16 x 20 voxels of {z} x {y} x {x} nm, the"):
            ground_truth_of(info, (), image=image)


def test_what_shows_no_labels_or_lacks_the_named_one_is_refused(save_volume, image):
    grey = save_volume("grey.zarr", np.zeros((4, 16, 20), np.float32), voxel_nm=NM)
    with pytest.raises(VolumeError, match="the truth needs whole numbers"):
        ground_truth_of(grey.info, (), image=image)
    saved = save_volume("truth.zarr", LABELS, voxel_nm=NM, kind="labels")
    with pytest.raises(VolumeError, match="ground_truth_labels"):
        ground_truth_of(saved.info, (9,), image=image)
