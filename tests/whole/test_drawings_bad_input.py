"""Exports as they should not be, by command: clear, counted, nothing executed, nothing lost."""

import csv
import json
import sys
from collections import Counter

import numpy as np
import pytest
from tests.stages.annotate.exports import mark_2, row_of, subject, task, write_export

from volproc.volume.store import open_volume

FORMULA = '=HYPERLINK("http://127.0.0.1/","click")'
CODE = "__import__('pathlib').Path('pwned').touch()"
MARKUP = "<script>alert(1)</script>[red]\x1b[31m"
LARGE = 200 * 10**6
"""Bytes of the field that is too long."""


def square(size=50):
    return [(20, 20), (20, 20 + size), (20 + size, 20 + size), (20 + size, 20), (20, 20)]


def drawn(number, *marks, z=1, user=1, roi="ROI_1", **more):
    """A row of somebody who drew these marks on a slice; `more` goes to `row_of`."""
    about = {"about": subject(slices=(z,), roi=roi), "subject_id": f"{roi}{z}"}
    return row_of(number, task(*marks), user=user, **{**about, **more})


GOOD = [
    drawn(10 * z + user, mark_2(square(48 + user)), z=z, user=user)
    for z in (1, 2, 3)
    for user in range(1, 6)
]


@pytest.fixture(autouse=True)
def image(save_volume):
    save_volume("image.zarr", np.full((3, 100, 100), 90, np.uint8), voxel_nm=(50, 10, 10))


@pytest.fixture
def annotate(in_folder, tmp_path):
    """annotate("e.csv", *flags): exit code, what was said, and the summary if there is one."""

    def run(export, *flags, out="labels.zarr", image="image.zarr"):
        code, said = in_folder("annotate", export, image, out, "--serial", *flags)
        found = list(tmp_path.glob(f"{out}.volproc/votes-*/votes.json"))
        return code, said, json.loads(found[0].read_text())["summary"] if found else None

    return run


@pytest.fixture
def refused(annotate, tmp_path):
    """refused("e.csv", *words): exactly one line with these words, and no labels."""

    def check(export, *words, flags=(), image="image.zarr"):
        code, said, _ = annotate(export, *flags, image=image)
        lines = [line for line in said.splitlines() if line.startswith("volproc: ")]
        assert (code, len(lines)) == (2, 1), said
        assert "Traceback" not in said
        assert not [word for word in words if word not in lines[0]], lines[0]
        assert not (tmp_path / "labels.zarr").exists()

    return check


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its first line lacks classification_id"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "is no classification export"),
        (b"name,age\nann,7\n", "its first line lacks classification_id"),
        (b"{}", "is no classification export"),
    ],
)
def test_what_is_no_export(refused, tmp_path, content, words):
    (tmp_path / "e.csv").write_bytes(content)
    refused("e.csv", "e.csv", words)


def test_no_file_and_a_folder(refused, tmp_path):
    refused("none.csv", "none.csv does not exist; expected a classification export")
    (tmp_path / "folder.csv").mkdir()
    refused("folder.csv", "folder.csv")


def test_the_export_of_another_project(refused, tmp_path):
    """It asks questions; or it asks for drawings of something else."""
    asked = [{"task": "T0", "value": "Yes"}, {"task": "T1", "value": ["a"]}]
    rows = [drawn(n, user=n, annotations=json.dumps(asked)) for n in (1, 2)]
    write_export(tmp_path / "e.csv", rows)
    refused("e.csv", "no row of e.csv can be used: no drawing task (2 rows; row 2: no task that")
    cats = [drawn(1, mark_2(square()), about={"photo": "cat.jpg"})]
    write_export(tmp_path / "e.csv", cats)
    refused("e.csv", "no slice (1 rows; row 2: the subject's metadata lack 'Image 0'; they have")
    refused("e.csv", "--frame-pattern", image="none")


def test_an_image_of_other_voxels(refused, tmp_path):
    about = {**subject(), "Raw XY resolution (nm)": "8", "Raw Z resolution (nm)": "50"}
    write_export(tmp_path / "e.csv", [drawn(1, mark_2(square()), about=about)])
    words = ("another voxel size (1 rows; row 2: 8 nm along y, where the volume has 10 nm",)
    refused("e.csv", *words)


def test_flags_that_cannot_be(refused, tmp_path):
    write_export(tmp_path / "e.csv", GOOD)
    refused("e.csv", "frame_pattern = '(' is no regular expression", flags=("--frame-pattern", "("))
    refused("e.csv", "method", flags=("--method", "vote"))
    refused("e.csv", "no-truth.zarr", flags=("--ground-truth", "no-truth.zarr"))
    words = 'truth_labels.0 = "a": input should be a valid integer'
    refused("e.csv", words, flags=("--ground-truth-labels", "a"))
    refused("e.csv", "no row of e.csv can be used: another region", flags=("--rois", "ROI_2"))
    refused("e.csv", "--voxel-nm Z Y X", image="none")


BAD = [
    ("broken field", drawn(101, user=21, annotations='[{"task": "T0", "value": [')),
    ("broken field", drawn(102, user=22, subject_data=CODE)),
    ("broken field", drawn(103, user=23, metadata=FORMULA)),
    ("broken field", drawn(FORMULA, mark_2(square()), user=24)),
    ("no usable mark", drawn(105, mark_2([(30, 30)]), user=25)),
    ("no usable mark", drawn(106, mark_2([]), user=26)),
    ("no usable mark", drawn(107, mark_2([(9e6, 9e6), (9e7, 8e8)]), user=27)),
    ("no usable mark", drawn(108, mark_2([(float("nan"), 1.0)] * 4), user=28)),
    ("no usable mark", drawn(109, {"toolIndex": 0, "toolType": CODE, "x": 1}, user=29)),
    ("no slice", drawn(110, mark_2(square()), user=30, about={"Subject ID": MARKUP})),
    ("no slice", drawn(111, mark_2(square()), user=31, about={"Image 0": f"{MARKUP}_zx.jpg"})),
    ("unknown region", drawn(112, mark_2(square()), user=32, roi=FORMULA)),
    ("outside the volume", drawn(113, mark_2(square()), user=33, z=99)),
    ("another image size", drawn(114, mark_2(square()), user=34, size=(80, 20))),
]  # fmt: skip
DROPPED = {
    "too few points": 3,
    "far outside": 1,
    "broken coordinates": 1,
    "unknown tool": 1,
}


def test_bad_rows_are_counted_and_change_nothing(annotate, tmp_path):
    """Labels are bit by bit those of the good rows alone; every other row is listed with why."""
    spare = drawn(100, mark_2(square(49)), mark_2([(1, 1)]), z=1, user=1)  # a mark more is dropped
    write_export(tmp_path / "good.csv", GOOD)
    bad = [row for _, row in BAD]
    write_export(tmp_path / "all.csv", [*bad[:9], spare, *GOOD[1:8], *bad[9:], *GOOD[8:]])
    with open(tmp_path / "all.csv", "ab") as file:
        file.write(b'115,"')
        file.truncate(file.tell() + LARGE)
        file.seek(0, 2)
        file.write(b'"\n' + b"116,too,few\n")
    assert annotate("good.csv", out="good.zarr")[0] == 0
    code, said, summary = annotate("all.csv")
    assert code == 0, said
    expected = Counter(reason for reason, _ in BAD) + Counter(["too long", "broken row"])
    assert summary["rejected"] == expected
    assert summary["rows"] == len(GOOD) + len(BAD) + 2
    assert (summary["votes"], summary["left_out"]) == (len(GOOD), {})
    assert summary["dropped_marks"] == DROPPED
    for name in ("", "-envelope", "-agreement", "-ignore"):
        one, other = (open_volume(tmp_path / f"{o}{name}.zarr") for o in ("good", "labels"))
        assert (one.read(one.info.box) == other.read(other.info.box)).all()
    nothing_ran(tmp_path, expected)


def nothing_ran(folder, expected):
    """Not here, not in a browser, not in a spreadsheet; all rows that were not used are listed."""
    assert not (folder / "pwned").exists()
    page = (folder / "labels-quality.html").read_text()
    assert "<script>alert" not in page
    with open(folder / "labels-rejected.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["reason"] for row in rows) == expected
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert not any("\x1b" in cell for row in rows for cell in row.values())
    assert {row["classification_id"] for row in rows} >= {"101", "105", "110", "114"}


def test_what_others_wrote_does_nothing_in_a_terminal(refused, tmp_path, annotate):
    rows = [drawn(n, mark_2(square()), user=n, roi=f"{MARKUP}{n}") for n in range(4)]
    write_export(tmp_path / "e.csv", rows)
    _, said, _ = annotate("e.csv")
    assert "4 regions" in said
    assert "\x1b[31m" not in said


@pytest.mark.parametrize("installed", [True, False])
def test_upload_without_an_account_or_the_extra(in_folder, monkeypatch, tmp_path, installed):
    for name in ("USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"PANOPTES_{name}", raising=False)
    if not installed:
        monkeypatch.setitem(sys.modules, "panoptes_client", None)
        monkeypatch.setenv("PANOPTES_USERNAME", "me")
        monkeypatch.setenv("PANOPTES_PASSWORD", "secret")
    code, said = in_folder("upload", "manifest.csv", 42)
    lines = [line for line in said.splitlines() if line.startswith("volproc: ")]
    assert (code, len(lines)) == (2, 1), said
    words = "set PANOPTES_USERNAME and" if installed else "pip install '.[zooniverse]'"
    assert words in lines[0]
