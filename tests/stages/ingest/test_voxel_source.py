"""What files state of their voxels, and what that makes of the volume's corner."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from volproc.errors import IngestError
from volproc.stages.ingest.voxel_source import (
    Calibration,
    Source,
    reading,
    refuse_other_pixels,
    stamp_of,
)


@dataclass(frozen=True, kw_only=True)
class Zeros(Source):
    def read(self, box):
        return np.zeros(box.shape, self.dtype)


def zeros(*sizes, **more):
    stated = Calibration(sizes or (None, None, None))
    return Zeros(shape=(1, 2, 3), dtype="uint8", identity=(("a", 6, ""),), stated=stated, **more)


@pytest.mark.parametrize(
    ("sizes", "voxel_nm", "pixel_nm"),
    [
        ((50, 8, 9), (50, 8, 9), (8, 9)),
        ((None, 8, 9), None, (8, 9)),
        ((50, None, 9), None, None),
        ((50, 8, None), None, None),
        ((None, None, None), None, None),
    ],
)
def test_a_voxel_size_needs_all_three_and_a_pixel_size_two(sizes, voxel_nm, pixel_nm):
    source = zeros(*sizes)
    assert (source.voxel_nm, source.pixel_nm) == (voxel_nm, pixel_nm)


@pytest.mark.parametrize(
    ("calibration", "voxel_nm", "corner"),
    [
        (Calibration((50, 8, 8)), (50, 8, 8), None),
        (Calibration((50, 8, 8), (100, 0, -16)), (50, 8, 8), (75, -4, -20)),
        # another size than is stated keeps the place in voxels
        (Calibration((50, 8, 8), (100, 0, -16)), (25, 4, 16), (37.5, -2, -40)),
        (Calibration((None, 8, 8), (100, 0, -16)), (50, 4, 4), (75, -2, -10)),
        (Calibration(centre=(100, 0, -16)), (50, 8, 8), (75, -4, -20)),
        (Calibration(centre=(2, 0, -3), in_voxels=True), (50, 8, 8), (75, -4, -28)),
        (Calibration((10, 1, 1), (2, 0, -3), in_voxels=True), (50, 8, 8), (75, -4, -28)),
        (Calibration((50, 8, 8), (float("nan"), 0, float("inf"))), (50, 8, 8), None),
        (Calibration((50, 8, 8), (float("nan"), 8, 0)), (50, 8, 8), (-25, 4, -4)),
    ],
)
def test_the_corner_is_half_a_voxel_before_the_first_centre(calibration, voxel_nm, corner):
    assert calibration.corner_nm(voxel_nm) == corner


@pytest.mark.parametrize(
    ("sizes", "others"),
    [((50, 8, 8), (8.05, 8)), ((None, 8, 8), (8, 8.07)), ((), (8, 8)), ((50, 8, 9), None)],
)
def test_pixels_are_equal_within_a_hundredth_or_unknown(sizes, others):
    refuse_other_pixels("a.tif", zeros(*sizes), others)


@pytest.mark.parametrize("others", [(8.2, 8), (8, 8.2), (16, 16)])
def test_other_pixels_are_refused(others):
    with pytest.raises(IngestError, match=r"a.tif has pixels of 8 x 8 nm .*, others of its series"):
        refuse_other_pixels("a.tif", zeros(None, 8, 8), others)


def test_stamps_stay_behind():
    source = zeros(50, 8, 8, note="all of them", filled=(3,))
    back = pickle.loads(pickle.dumps(source))
    assert (source.identity, back.identity) == ((("a", 6, ""),), ())
    assert (back.shape, back.voxel_nm, back.note, back.filled) == (
        (1, 2, 3), (50, 8, 8), "all of them", (3,)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "stamp"),
    [
        ({"size": 5, "mtime": 7.5, "ETag": "x"}, ("b.tif", 5, "7.5")),
        ({"size": 5, "mtime": 0}, ("b.tif", 5, "0")),
        ({"size": None, "mtime": None, "LastModified": "2026"}, ("b.tif", 0, "2026")),
        ({"size": 5, "ETag": "x"}, ("b.tif", 5, "x")),
        ({"size": 5}, ("b.tif", 5, "")),
    ],
)
def test_a_stamp_has_the_first_date_that_is_known(facts, stamp):
    assert stamp_of("memory://a/b.tif", facts) == stamp


def test_a_refusal_passes_as_it_is_and_what_a_library_raises_is_named():
    refusal = IngestError("a.tif holds no image")
    with pytest.raises(IngestError) as caught, reading("a.tif"):
        raise refusal
    assert caught.value is refusal
    assert refusal.__cause__ is None
    with pytest.raises(IngestError, match=r"cannot read a\.tif: odd") as caught, reading("a.tif"):
        raise ValueError("odd")
    assert isinstance(caught.value.__cause__, ValueError)
