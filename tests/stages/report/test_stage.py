import base64
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from volproc import LabelOptions
from volproc.engine.events import JsonLines
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolumeError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.stage import plan_label, run_label
from volproc.stages.pictures import id_colours
from volproc.stages.report import stage
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.stage import ReportInputs, plan_report, run_report
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

VOID = {"meta", "link", "img", "br", "hr", "input"}
SCORES = {
    "truth": "truth.zarr",
    "slices": [0, 3],
    "formulas": {"dice": "d", "iou": "i", "precision": "p", "recall": "r"},
    "scores": [
        {
            "answer": name,
            "dice": dice,
            "iou": dice,
            "precision": None,
            "recall": 0.5,
            "slices": [{"z": z, "dice": d} for z, d in enumerate((1.0, None, dice))],
        }
        for name, dice in (("votes union", 0.75), ("votes mean", None))
    ],
}


class Parsed(HTMLParser):
    """A page's elements; fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.rows = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def pictures(self):
        for image in self.all("img"):
            body = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
            yield image, imagecodecs.png_decode(body)[..., :3]


def write(url, values, *, voxel_nm, kind="image", channels=(), corner_nm=None):
    info = new_volume(
        str(url),
        shape=values.shape[-3:],
        voxel_nm=parse_voxel_nm(voxel_nm),
        corner_nm=corner_nm,
        dtype=str(values.dtype),
        kind=kind,
        channels=channels,
        max_levels=2,
    )
    volume = create_volume(info, step="test", digest="made", version="0")
    for n, level in enumerate(info.levels):
        step = 2**n
        volume.write(level.box, values[..., ::step, ::step, ::step], level=n)
    return volume.finish()


@pytest.fixture
def run(tmp_path):
    """A finished run: image of 50x40x40 nm, the rest at 50 nm; three objects, x misses the last."""
    image = np.random.default_rng(0).integers(60, 200, (24, 60, 80)).astype(np.uint8)
    write(tmp_path / "image.zarr", image, voxel_nm=(50, 40, 40))
    mask = np.zeros((24, 48, 64), dtype=np.uint8)
    mask[4:12, 4:20, 4:20] = 255
    mask[2:9, 26:44, 4:20] = 255
    mask[12:24, 10:40, 30:60] = 255
    prediction = write(tmp_path / "prediction.zarr", mask, voxel_nm=(50, 50, 50))
    votes = np.stack([mask, mask, mask])
    votes[0, 12:] = 0
    write(tmp_path / "votes.zarr", votes, voxel_nm=(50, 50, 50), channels=("x", "y", "z"))
    runner = Runner(SerialEngine(), tmp_path / "records", [JsonLines(tmp_path / "log.jsonl")])
    options = LabelOptions(min_volume_um3=0)
    run_label(plan_label(prediction.info, str(tmp_path / "objects.zarr"), options), runner)
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    return ReportInputs(
        image=str(tmp_path / "image.zarr"),
        prediction=str(tmp_path / "prediction.zarr"),
        votes=str(tmp_path / "votes.zarr"),
        objects=str(tmp_path / "objects.zarr"),
        table=str(tmp_path / "objects.csv"),
        scores=str(tmp_path / "scores.json"),
        log=str(tmp_path / "log.jsonl"),
        settings={"predict": {"model": "models/nuclei-50nm", "axes": "zyx", "fusion": "mean"}},
        title="Three cuboids",
    )


def report(inputs, folder, *, slices=1, title=""):
    options = ReportOptions(slices=slices, title=title)
    out = run_report(plan_report(inputs, folder / "report.html", options))
    return out.read_text()


def test_the_page_is_whole_and_shows_everything(run, tmp_path):
    html = report(run, tmp_path)
    page = Parsed(html)
    assert {f"object-{n}" for n in (1, 2, 3)} <= {a.get("id") for a in page.all("tr")}
    for text in (
        "Three cuboids",
        "nuclei-50nm",
        "votes union",
        "relabel",
        "0.7500",
        "torch",
        "x and y",
    ):
        assert text in html
    assert "Not part of this run" not in html


def test_nothing_is_loaded_from_elsewhere(run, tmp_path):
    html = report(run, tmp_path)
    for _, attributes in Parsed(html).elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert re.match(r"data:|#|$", attributes.get(name) or "")
    assert "@import" not in html
    assert "url(" not in html


def test_pictures_have_their_sizes_and_words(run, tmp_path):
    found = list(Parsed(report(run, tmp_path, slices=2)).pictures)
    assert len(found) == 3 * 2 * 2
    for attributes, pixels in found:
        assert pixels.shape == (int(attributes["height"]), int(attributes["width"]), 3)
        assert attributes["alt"]
    # 1200 x 2400 x 3200 nm; the longest side has 600 pixels
    assert [pixels.shape[:2] for _, pixels in found[::4]] == [(450, 600), (225, 600), (225, 450)]


def test_outlines_lie_on_the_objects_in_their_colours(run, tmp_path):
    attributes, pixels = next(iter(Parsed(report(run, tmp_path, slices=1)).pictures))
    assert "ids 3)" in attributes["alt"]
    coloured = (pixels.max(axis=2) - pixels.min(axis=2)) > 0
    rows, columns = np.nonzero(coloured)
    # y 500 to 2000 nm, x 1500 to 3000 nm, in pixels of 5.33 nm
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (94, 374, 281, 562)
    assert (pixels[coloured] == id_colours(np.array([3]))).all()


def test_votes_are_white_where_all_agree_and_tell_who_is_missing(run, tmp_path):
    pictures = [pixels for _, pixels in Parsed(report(run, tmp_path, slices=3)).pictures]
    side = pictures[-5].astype(int)  # the votes beside the first slice along x: objects 1 and 2
    assert (side.max(axis=2) - side.min(axis=2) < 2).all()
    front = pictures[5].astype(int)  # the last slice along z: object 3, which x does not see
    red, green, blue = front[200, 400]
    assert green == blue == pytest.approx(red + 0.55 * 255, abs=2)


def test_agreement_is_told_per_object(run, tmp_path):
    html = report(run, tmp_path)
    assert re.search(r'Look first at\s*<a href="#object-3">object 3</a> \(0%\)', html)
    assert "y and z, not x" in html
    assert "at 50 × 50 × 50 nm; an axis" in html


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ({"votes"}, "votes of the single axes"),
        ({"scores"}, "scores"),
        ({"log"}, "times"),
        ({"objects"}, "objects"),
        ({"table"}, "table of objects"),
        ({"prediction", "votes"}, "prediction, votes of the single axes"),
        (
            {"prediction", "votes", "objects", "table", "scores", "log", "settings"},
            "prediction, votes",
        ),
    ],
)
def test_parts_may_be_missing(run, tmp_path, absent, said):
    html = report(replace(run, **dict.fromkeys(absent)), tmp_path)
    page = Parsed(html)
    assert f"Not part of this run: {said}" in html
    second = not {"votes", "prediction"} <= absent
    assert len(page.all("img")) == 3 * (1 + second)


def test_files_that_are_not_there_count_as_missing(run, tmp_path):
    html = report(replace(run, scores=str(tmp_path / "none.json")), tmp_path)
    assert "Not part of this run: scores" in html


def test_no_objects_are_said_so(run, tmp_path):
    header = Path(run.table).read_text().splitlines()[0]
    Path(run.table).write_text(header + "\n")
    html = report(run, tmp_path)
    assert "No objects were found" in html
    Parsed(html)


def test_many_objects_are_cut_to_the_largest(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "MAX_ROWS", 2)
    html = report(run, tmp_path)
    assert "The 2 largest are listed; all are in objects.csv" in html
    assert len(re.findall('<tr id="object-', html)) == 2


def test_votes_of_two_axes(run, tmp_path):
    votes = np.zeros((2, 24, 48, 64), dtype=np.uint8)
    votes[:, 4:12, 4:20, 4:20] = 255
    write(tmp_path / "two.zarr", votes, voxel_nm=(50, 50, 50), channels=("y", "z"))
    html = report(replace(run, votes=str(tmp_path / "two.zarr")), tmp_path)
    Parsed(html)
    assert "all axes <b>100.0%</b>" in html
    assert "only x" not in html


def test_title_of_the_options_comes_first(run, tmp_path):
    assert "<h1>Mine</h1>" in report(run, tmp_path, title="Mine")


def test_plan_states_bytes_and_reads_no_voxels(run, tmp_path, monkeypatch):
    monkeypatch.setattr("volproc.volume.store.Volume.read", None)
    plan = plan_report(run, tmp_path / "report.html", ReportOptions(slices=2))
    labels, votes = 24 * 48 * 64 * 4, 24 * 48 * 64 * 3
    image = (24 * 60 * 80, 24 * 60 * 80, 24 * 60 * 64)  # chunks of 64 along x
    assert plan.bytes_read == 2 * (sum(image) + 3 * (labels + votes)) + labels + votes


def test_a_report_is_there_whole_or_not_at_all(run, tmp_path, monkeypatch):
    first = report(run, tmp_path)
    plan = plan_report(run, tmp_path / "report.html", ReportOptions())

    def killed(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(VolumeError, match=r"No space left on device; free some space"):
        run_report(plan)
    assert (tmp_path / "report.html").read_text() == first
    assert not list(tmp_path.glob("*.partial"))


def test_volumes_of_another_field_of_view_are_refused(run, tmp_path):
    other = np.zeros((24, 48, 32), dtype=np.uint8)
    write(tmp_path / "other.zarr", other, voxel_nm=(50, 50, 50))
    with pytest.raises(VolumeError, match="need the same field of view"):
        plan_report(
            replace(run, prediction=str(tmp_path / "other.zarr")), tmp_path, ReportOptions()
        )


def test_volumes_that_begin_elsewhere_are_refused(run, tmp_path):
    """Its pictures are taken from the corner of each volume."""
    values = np.zeros((24, 48, 64), np.uint8)
    write(tmp_path / "away.zarr", values, voxel_nm=(50, 50, 50), corner_nm=(1e6, 0, 0))
    with pytest.raises(VolumeError, match="they meet nowhere"):
        plan_report(replace(run, prediction=str(tmp_path / "away.zarr")), tmp_path, ReportOptions())


def test_scores_of_a_part_say_so(run, tmp_path):
    assert "overlap" not in report(run, tmp_path)
    part = {"first": [0, 4, 2], "end": [3, 20, 30]}
    Path(run.scores).write_text(json.dumps({**SCORES, "overlap": part}))
    assert "overlap: from voxel 0, 4, 2 up to 3, 20, 30 (z, y, x)" in report(run, tmp_path)


def test_channels_that_are_no_axes_are_refused(run, tmp_path):
    votes = np.zeros((2, 24, 48, 64), dtype=np.uint8)
    write(tmp_path / "dyes.zarr", votes, voxel_nm=(50, 50, 50), channels=("GFP", "DAPI"))
    with pytest.raises(VolumeError, match="has channels GFP, DAPI; votes have one per axis"):
        plan_report(replace(run, votes=str(tmp_path / "dyes.zarr")), tmp_path, ReportOptions())


def test_a_missing_image_is_refused(run, tmp_path):
    with pytest.raises(VolumeError, match="does not exist"):
        plan_report(replace(run, image=str(tmp_path / "no.zarr")), tmp_path, ReportOptions())


def test_scores_that_are_none_are_refused(run, tmp_path):
    Path(run.scores).write_text("[1]")
    with pytest.raises(VolumeError, match="does not hold scores"):
        report(run, tmp_path)
