import csv
import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc import AnnotateOptions, SubjectsOptions
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.subjects.manifest import files_of, from_csv, rows_of, to_csv
from volproc.stages.subjects.shown_regions import region_at

NM = parse_voxel_nm((50, 10, 10))
REGION = region_at(Box((100, 200, 300), (112, 1200, 1500)))


def rows(region=REGION, voxel_nm=NM, **options):
    quality = {z: 95 - z for z in range(region.depth)}
    return list(
        rows_of(
            region,
            SubjectsOptions(**options),
            voxel_nm=voxel_nm,
            contrast=(12.5, 200.0),
            quality=quality,
        )
    )


def test_a_row_tells_everything_needed_to_come_back():
    row = rows(scale=0.5, attribution="Francis Crick Institute")[1]
    assert row == {
        "subject": "ROI_900-700-106_z002",
        "roi": "ROI_900-700-106",
        "slice": "1",
        **{f"Image {n}": f"ROI_900-700-106_z{n + 1:03}.jpg" for n in range(5)},
        "default_frame": "2",
        "roi_z": "100",
        "roi_y": "200",
        "roi_x": "300",
        "roi_depth": "12",
        "roi_height": "1000",
        "roi_width": "1200",
        "voxel_z_nm": "50",
        "voxel_y_nm": "10",
        "voxel_x_nm": "10",
        "scale": "0.5",
        "low": "12.5",
        "high": "200",
        "Subject ID": "ROI_900-700-106_z002",
        "Raw XY resolution (nm)": "10",
        "Raw Z resolution (nm)": "50",
        "Scaling factor": "0.5",
        "Attribution": "Francis Crick Institute",
        "jpeg quality (%)": "91",
    }


def test_default_options_of_annotate_lead_from_a_row_to_its_slice():
    options = AnnotateOptions()
    for row in rows(every=3):
        frame = int(row["default_frame"]) - 1
        file = row[options.frame_name.format(frame=frame)]
        found = re.fullmatch(options.frame_pattern, file)
        assert found["roi"] == row["roi"]
        assert int(found["slice"]) - options.first_slice == int(row["slice"])
        assert row[options.subject_name] == row["subject"]


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_row_names_each_file_once_and_has_no_empty_cell(kind):
    # Zooniverse's page takes whatever looks like a file; panoptes takes an empty cell for one
    for row in rows(format=kind, every=2):
        found = re.findall(r"[^,;]+\.(?:jpg|jpeg|png)", ",".join(row.values()))
        assert found == files_of(row)
        assert len(found) == 5
        assert all(row.values())


def test_voxels_that_are_no_squares_have_no_single_resolution():
    (row, *_) = rows(voxel_nm=parse_voxel_nm((50, 10, 12)))
    assert "Raw XY resolution (nm)" not in row
    assert (row["voxel_y_nm"], row["voxel_x_nm"]) == ("10", "12")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_any_attribution_comes_back_and_nothing_runs(text):
    table = to_csv(rows(attribution=text))
    for row in csv.reader(StringIO(table)):
        runs = [cell for cell in row if cell.lstrip()[:1] in ("=", "+", "-", "@")]
        assert not [cell for cell in runs if not re.fullmatch(r"[+-][0-9.eE+-]+", cell)]
    (first, *_) = from_csv(table, name="manifest.csv")
    assert first.get("Attribution", "") == " ".join(text.split())


def test_a_shallow_region_leaves_the_columns_of_the_others_empty():
    shallow = region_at(Box((0, 0, 0), (2, 50, 50)))
    found = from_csv(to_csv([*rows(shallow), *rows()]), name="manifest.csv")
    assert [len(files_of(row)) for row in found] == [2, 2, *[5] * 12]
    assert [row["default_frame"] for row in found[:2]] == ["1", "2"]


def test_another_table_is_refused():
    with pytest.raises(AnnotateError, match=r"m.csv lacks the column 'subject'; it needs a manif"):
        from_csv("id,image\n1,a.jpg\n", name="m.csv")
