import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.annotate.exports import mark_2, read_all, row_of, subject, task

from volproc import AnnotateOptions
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.stages.annotate.export.rejections import UnusableRow
from volproc.stages.annotate.export.slice_locator import SliceLocator
from volproc.stages.annotate.export.subject_metadata import read_manifest

VOLUME = Box((0, 0, 0), (300, 2000, 2000))
NM = (50.0, 10.0, 10.0)
OURS = {
    "subject": "ROI_9_z004",
    "roi": "ROI_9",
    "slice": "3",
    "default_frame": "2",
    "roi_z": "100",
    "roi_y": "200",
    "roi_x": "300",
    "roi_depth": "50",
    "roi_height": "400",
    "roi_width": "800",
    "scale": "0.5",
}
"""What `volproc subjects` writes of a subject."""
TABLE = "roi,roi_z,roi_y,roi_x,roi_depth,roi_height,roi_width\n"


@pytest.fixture
def place(tmp_path):
    """Places one row of an export: place(row, manifest=..., an_option=...)."""

    def placed(row, *, manifest=None, volume=VOLUME, voxel_nm=NM, **options):
        options = AnnotateOptions(**options)
        (found,) = read_all(tmp_path / "e.csv", [row], options)
        places = SliceLocator(options, volume=volume, voxel_nm=voxel_nm, manifest=manifest)
        return places.place(found)

    return placed


@given(number=st.integers(0, 400), first=st.integers(0, 3))
def test_file_names_tell_the_slice(number, first, tmp_path_factory):
    options = AnnotateOptions(first_slice=first)
    row = row_of(1, about=subject(slices=(number,), roi="ROI_1656-6756-329"))
    (found,) = read_all(tmp_path_factory.mktemp("e") / "e.csv", [row], options)
    places = SliceLocator(options, volume=VOLUME)
    if not 0 <= number - first < 300:
        with pytest.raises(UnusableRow, match="outside the volume"):
            places.place(found)
        return
    (vote,) = places.place(found)
    assert (vote.region, vote.z, vote.box) == ("ROI_1656-6756-329", number - first, VOLUME)
    assert vote.shown
    assert vote.assumed


def test_natural_pixels_become_voxels_of_the_region(place):
    drawn = task(mark_2([(0, 0), (400, 200), (100, 50), (100, 51)]))
    row = row_of(1, drawn, size=(400, 200), about={**OURS, "default_frame": "1"})
    (vote,) = place(row)
    assert vote.box == Box((100, 200, 300), (150, 600, 1100))
    assert (vote.z, vote.assumed) == (103, False)
    expected = [(0, 0), (400, 800), (100, 200), (102, 200)]  # seen from the region's corner
    np.testing.assert_allclose(vote.strokes[0].points, expected)


def test_frames_lie_beside_each_other(place):
    marks = task(mark_2(frame=0), mark_2(frame=1), mark_2(frame=2))
    etch = row_of(1, marks, about=subject(slices=(7, 8, 9), shown=2), frames=3)
    ours = row_of(1, marks, about=OURS, frames=3, size=(400, 200))
    for row, first in [(etch, 6), (ours, 102)]:
        votes = place(row, frames="all")
        assert [vote.z for vote in votes] == [first, first + 1, first + 2]
        assert [vote.shown for vote in votes] == [False, True, False]
        (alone,) = place(row)
        assert alone.z == first + 1


def test_absent_votes_need_no_image_size(place):
    row = row_of(1, task(taskType="drawing"), about=subject(slices=(4, 5), shown=2), size=None)
    (vote,) = place(row)
    assert (vote.z, vote.strokes) == (4, ())


def test_sizes_of_images(place):
    drawn = [task(mark_2(frame=1))]
    about = subject(slices=(4, 5), shown=2)
    row = row_of(1, *drawn, about=about, frames=2, size=None)
    with pytest.raises(UnusableRow, match="no image size"):
        place(row)
    one_known = '{"subject_dimensions": [{"naturalWidth": 500, "naturalHeight": 500}, null]}'
    (vote,) = place({**row, "metadata": one_known})
    np.testing.assert_allclose(vote.strokes[0].points[0], (40, 40))  # (10, 10) of 500 pixels
    (vote,) = place(row_of(1, *drawn, about=OURS, frames=2, size=None))
    np.testing.assert_allclose(vote.strokes[0].points[0], (20, 20))  # by `scale`
    with pytest.raises(UnusableRow, match="another image size"):
        place(row_of(1, task(mark_2()), size=(640, 480)))


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"Subject ID": "x"}, "no slice"),
        ({"Image 0": "holiday.jpg"}, "no slice"),
        ({"Image 0": ["ROI_1_z0001.jpg"]}, "no slice"),
        ({"Image 0": "ROI_1_z0000.jpg"}, "outside the volume"),
        ({"Image 0": "ROI_1_z0301.jpg"}, "outside the volume"),
        ({"Image 0": "ROI_1_z99999999999.jpg"}, "no slice"),
        ({**OURS, "slice": "50"}, "outside the volume"),
        ({**OURS, "roi_z": "290"}, "outside the volume"),
        ({**OURS, "roi_width": "0"}, "outside the volume"),
        ({**subject(), "Raw XY resolution (nm)": "8"}, "another voxel size"),
        ({**subject(), "Raw Z resolution (nm)": 40}, "another voxel size"),
        ({**OURS, "voxel_x_nm": "11"}, "another voxel size"),
    ],
)
def test_what_cannot_be_placed(place, about, reason):
    drawn = task(mark_2(frame=int(about.get("default_frame", 1)) - 1))
    size = (400, 200) if "roi" in about else (100, 100)
    with pytest.raises(UnusableRow, match=reason):
        place(row_of(1, drawn, about=about, size=size, frames=2))


def test_voxel_sizes_that_agree_or_are_not_stated(place):
    for nm in ("10", 10, "10.05", "unknown", "", None, "nan", "-10"):
        assert place(row_of(1, about={**subject(), "Raw XY resolution (nm)": nm}))
    eight = {**subject(), "Raw XY resolution (nm)": "8"}
    assert place(row_of(1, about=eight), voxel_nm=None)


def test_hidden_keys_and_folders_count(place):
    about = {f"#{key}": value for key, value in OURS.items()}
    (vote,) = place(row_of(1, about=about, frames=2, size=(400, 200)), frames="all")
    assert vote.z == 100 + 3 - 1  # drawn on the first frame, the second shows slice 3
    (vote,) = place(row_of(1, about={"//Image 0": "jpegs/ROI_1_z0005.jpg"}))
    assert (vote.region, vote.z) == ("ROI_1", 4)


def test_patterns_without_region_or_slice(place):
    """Any project's subjects are slices by the name of a file, or regions of one slice."""
    cat = {"image_name": "528525480_b84503442f_z.jpg", "subject_id": 13}
    one = {"frame_name": "image_name", "frame_pattern": ".*", "subject_name": "subject_id"}
    (vote,) = place(row_of(1, about=cat), **one)
    assert (vote.region, vote.z) == ("13", 0)
    (vote,) = place(row_of(1, about=cat, subject_id=70), **{**one, "subject_name": "none"})
    assert vote.region == "70"
    number = {**one, "frame_name": "subject_id", "frame_pattern": r"(?P<slice>\d+)"}
    (vote,) = place(row_of(1, about=cat), **number)
    assert (vote.region, vote.z) == ("13", 12)
    with pytest.raises(AnnotateError, match=r"frame_pattern = '\(' is no regular expression"):
        place(row_of(1), frame_pattern="(")


def test_regions_that_are_not_chosen(place):
    assert place(row_of(1), rois=["ROI_1"])
    with pytest.raises(UnusableRow, match="another region"):
        place(row_of(1), rois=["ROI_2"])


def test_a_manifest_says_where_regions_lie(place, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(TABLE + "ROI_1,10,20,30,40,500,500\nROI_2,0,0,0,1,1,1\n")
    manifest = read_manifest(str(path))
    (vote,) = place(row_of(1, about=subject(slices=(3,))), manifest=manifest)
    assert (vote.z, vote.box) == (12, Box((10, 20, 30), (50, 520, 530)))
    with pytest.raises(UnusableRow, match="unknown region"):
        place(row_of(1, about=subject(roi="ROI_3")), manifest=manifest)


def test_a_manifest_says_what_metadata_lack(place, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(",".join(OURS) + "\n" + ",".join(OURS.values()) + "\n")
    manifest = read_manifest(str(path))
    for key in ("Subject ID", "subject"):
        row = row_of(1, about={key: "ROI_9_z004", "default_frame": "1"}, size=(400, 200))
        (vote,) = place(row, manifest=manifest)
        assert vote.z == 103


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks roi, roi_z"),
        (TABLE, "lacks roi, roi_z"),
        ("a,b\n1,2\n", "lacks roi, roi_z"),
        (TABLE + "A,1,2,3,4,5\n", "row 2: a region needs whole numbers"),
        (TABLE + "A,1,2,3,4,5,-6\n", "row 2: a region needs whole numbers"),
        (TABLE + "A,1,2,3,4,5,6\nA,1,2,3,4,5,7\n", "row 3: a region needs .* the same in all"),
    ],
)
def test_broken_manifests(tmp_path, text, said):
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    with pytest.raises(AnnotateError, match=said):
        read_manifest(str(path))


def test_manifests_that_cannot_be_read(tmp_path):
    with pytest.raises(AnnotateError, match=r"cannot read the manifest .*none.csv"):
        read_manifest(str(tmp_path / "none.csv"))
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotateError, match="cannot read the manifest"):
        read_manifest(str(tmp_path / "m.csv"))
