import csv
import io

import pytest
from tests.stages.annotate.exports import mark_2, row_of, subject, task, write_export

from volproc import AnnotateOptions
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.stages.annotate.export.region_layout import lay_out
from volproc.stages.annotate.export.subject_metadata import BOX_KEYS, read_manifest

NM = {"Raw XY resolution (nm)": "10", "Raw Z resolution (nm)": "50"}


@pytest.fixture
def laid(tmp_path):
    """laid(rows, an_option=...): the layout."""

    def lay(*rows, **options):
        url = write_export(tmp_path / "e.csv", rows)
        return lay_out(url, AnnotateOptions(**options))

    return lay


def row(number, *, roi="A", z=1, size=(100, 80), **about):
    return row_of(
        number, subject_id=number, size=size, about=subject(roi=roi, slices=(z,), **about)
    )


def test_regions_lie_one_after_the_other_and_share_a_corner(laid):
    rows = [row(1, roi="10", z=4, **NM), row(2, roi="9", z=2, size=(60, 90), **NM), row(3, roi="9")]
    found = laid(*rows)
    assert found.voxel_nm == (50, 10, 10)
    assert dict(found.regions) == {
        "9": Box((0, 0, 0), (2, 80, 100)),  # two sizes once each: the one that sorts first
        "10": Box((2, 0, 0), (6, 80, 100)),
    }
    assert found.shape == (6, 80, 100)


def test_the_manifest_of_a_layout_reads_back(laid, tmp_path):
    found = laid(row(1, roi="=A, b", **NM), row(2, roi="B", z=3, **NM))
    (tmp_path / "m.csv").write_text(found.manifest())
    assert read_manifest(str(tmp_path / "m.csv")).regions == dict(found.regions)
    table = csv.DictReader(io.StringIO(found.manifest(), newline=""))
    assert next(table)["roi"] == "'=A, b"


def test_images_that_were_made_smaller_are_laid_out_in_voxels(laid):
    half = {**NM, "Scaling factor": "0.5"}
    assert laid(row(1, **half)).shape == (1, 160, 200)


def test_regions_that_say_where_they_lie_stay_there(laid):
    box = dict(zip(BOX_KEYS, map(str, (5, 10, 20, 3, 80, 100))))
    about = {**subject(), **NM, "roi": "A", "slice": "1", **box}
    found = laid(row_of(1, about=about), row(2, roi="B", **NM))
    assert dict(found.regions) == {
        "A": Box((5, 10, 20), (8, 90, 120)),
        "B": Box((8, 0, 0), (9, 80, 100)),
    }


def test_one_absurd_slice_makes_no_absurd_volume(laid):
    found = laid(row(1, **NM), row(2, z=999_999_999, **NM))
    assert found.shape == (1, 80, 100)


def test_voxels_are_as_the_option_says_or_most_rows(laid):
    other = {**NM, "Raw XY resolution (nm)": "8"}
    rows = [row(1, **NM), row(2, **other), row(3, **other)]
    assert laid(*rows).voxel_nm == (50, 8, 8)
    assert laid(*rows, voxel_nm=(1, 2, 3)).voxel_nm == (1, 2, 3)
    with pytest.raises(AnnotateError, match=r"how large a voxel is; .* --voxel-nm Z Y X"):
        laid(row(1))


def test_an_export_without_places_says_what_is_there(laid):
    about = {"photo": "cat.jpg", "who": "me"}
    said = r"no slice \(the subject's metadata lack 'Image 0'; they have .*'photo'.*--frame-name"
    with pytest.raises(AnnotateError, match=said):
        laid(row_of(1, task(mark_2()), about={**about, "Subject ID": "x"}))
