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
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.run_files import ReportInputs
from volproc.stages.report.run_state import RunState, StageState
from volproc.stages.report.slice_views import VOTE_COLOURS
from volproc.stages.report.stage import plan_report, run_report
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
        """Those of slices, with what lies over them in the usual colours."""
        shown = []
        for image in self.all("img"):
            kind = image.get("class") or ""
            if "image/png" in image["src"] and "safe" not in kind:
                pixels = decoded(image["src"])
                if "layer" in kind:
                    pixels = composed(shown.pop()[1], pixels)
                    image = self.under
                self.under = image
                shown.append((image, pixels[..., :3]))
        return shown

    @property
    def small(self):
        return [image["src"] for image in self.all("img") if "image/webp" in image["src"]]


def decoded(uri):
    return imagecodecs.png_decode(base64.b64decode(uri.partition(",")[2]))


def composed(below, above):
    share = above[..., 3:] / 255
    return (below * (1 - share) + above[..., :3] * share).round().astype(np.uint8)


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
    """A finished run (`made_run`)."""
    return made_run(tmp_path)


def made_run(tmp_path):
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


def report(inputs, folder, **options):
    options = ReportOptions(**{"slices": 1, "in_space": False, **options})
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
            if name == "href" and not (attributes.get(name) or "").startswith(("data:", "#")):
                continue  # a link to a file beside the page: it leads there when it is clicked
            assert re.match(r"data:|#|$", attributes.get(name) or "")
    assert "//" not in "".join(a.get("href") or "" for _, a in Parsed(html).elements)
    assert "@import" not in html
    assert "url(" not in html


def test_pictures_have_their_sizes_and_words(run, tmp_path):
    found = Parsed(report(run, tmp_path, slices=2)).pictures
    assert len(found) == 3 * 2 * 2
    for attributes, pixels in found:
        assert pixels.shape == (int(attributes["height"]), int(attributes["width"]), 3)
        assert attributes["alt"]
    # 1200 x 2400 x 3200 nm; the longest side has 600 pixels
    assert [pixels.shape[:2] for _, pixels in found[::4]] == [(450, 600), (225, 600), (225, 450)]


def test_outlines_lie_on_the_objects_in_their_colours(run, tmp_path):
    attributes, pixels = Parsed(report(run, tmp_path, slices=1)).pictures[0]
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
    colour = [int(VOTE_COLOURS["yz"][n : n + 2], 16) for n in (1, 3, 5)]
    assert green - red == pytest.approx(0.55 * (colour[1] - colour[0]), abs=2)
    assert blue - red == pytest.approx(0.55 * (colour[2] - colour[0]), abs=2)


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
    assert len(page.pictures) == 3 * (1 + second)


def test_files_that_are_not_there_count_as_missing(run, tmp_path):
    html = report(replace(run, scores=str(tmp_path / "none.json")), tmp_path)
    assert "Not part of this run: scores" in html


def test_no_objects_are_said_so(run, tmp_path):
    header = Path(run.table).read_text().splitlines()[0]
    Path(run.table).write_text(header + "\n")
    html = report(run, tmp_path)
    assert "No objects were found" in html
    Parsed(html)


def test_many_objects_are_cut_to_the_largest(run, tmp_path):
    html = report(run, tmp_path, rows=2)
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


def doubting(table):
    """The table with how likely its objects are right, the second least."""
    header, *rows = Path(table).read_text().splitlines()
    added = ["0.9,", "0.2,it touches another object", '0.5,"\'=2+2"']
    lines = [f"{header},probability_right,reason"]
    lines += [f"{row},{more}" for row, more in zip(rows, added, strict=True)]
    Path(table).write_text("\n".join(lines) + "\n")


def test_the_most_doubtful_objects_come_first_with_pictures_and_the_way_to_them(run, tmp_path):
    doubting(run.table)
    html = report(replace(run, view="volproc view run"), tmp_path)
    page = Parsed(html)
    assert html.index('id="doubt"') < html.index('id="agreement"')
    order = [int(n) for n in re.findall(r"<code>volproc view run --object (\d+)</code>", html)]
    assert order == [2, 3, 1]
    assert "it touches another object" in html
    assert "&#39;=2+2" not in html  # what keeps a spreadsheet from running it is not for readers
    assert len(page.small) == 3 * 3 + 3


def test_a_file_of_doubt_says_which_come_first_and_what_to_expect(run, tmp_path):
    doubting(run.table)
    told = {
        "expected_precision": {"value": 0.91, "low": 0.85, "high": 0.96},
        "expected_recall": {"value": 0.8, "low": 0.7, "high": 0.9},
        "model": {"name": "phantoms"},
        "notes": ["seams <b>are</b> seen"],
        "most_doubtful": [3, 99, 2],
    }
    (tmp_path / "doubt.json").write_text(json.dumps(told))
    html = report(
        replace(run, doubt=str(tmp_path / "doubt.json"), view="volproc view run"), tmp_path
    )
    assert [int(n) for n in re.findall(r"--object (\d+)</code>", html)] == [3, 2]
    assert "<b>91%</b> are expected to be right (85% to 96%)" in html
    assert "<b>80%</b> to be found (70% to 90%)" in html
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["doubt"]["precision"] == told["expected_precision"]
    assert "seams &lt;b&gt;are&lt;/b&gt; seen" in html
    unknown = dict.fromkeys(("value", "low", "high"))
    told = {"expected_precision": unknown, "expected_recall": unknown, "most_doubtful": []}
    (tmp_path / "doubt.json").write_text(json.dumps(told))
    html = report(replace(run, doubt=str(tmp_path / "doubt.json")), tmp_path)
    assert "expected to be right" not in html
    (tmp_path / "doubt.json").write_text("[1]")
    with pytest.raises(VolumeError, match="is not what volproc writes about doubt"):
        report(replace(run, doubt=str(tmp_path / "doubt.json")), tmp_path)


def test_objects_have_pictures_of_their_own(run, tmp_path):
    """Each on its largest section: its colour is on it, and the others' are not."""
    from io import BytesIO

    from PIL import Image

    pictures = Parsed(report(run, tmp_path)).small
    assert len(pictures) == 3
    for number, uri in enumerate(pictures, start=1):
        image = Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
        pixels = np.asarray(image, dtype=int)
        wanted = id_colours(np.array([number]))[0].astype(int)
        coloured = pixels[pixels.max(axis=2) - pixels.min(axis=2) > 60]
        assert len(coloured) > 50
        assert np.corrcoef(coloured.mean(axis=0), wanted)[0, 1] > 0.95


def test_what_measure_adds_is_shown(run, tmp_path):
    (tmp_path / "measured.csv").write_text("id,sphericity\n3,0.5\n1,0.75\n2,nan\n")
    html = report(replace(run, measured=str(tmp_path / "measured.csv")), tmp_path)
    assert '<button type="button">sphericity</button>' in html
    rows = json.loads((tmp_path / "report.json").read_text())["objects"]["rows"]
    assert [row["sphericity"] for row in rows] == [0.75, None, 0.5]


def test_a_run_that_stopped_says_so_first(run, tmp_path):
    stages = (StageState("predict", "done"), StageState("label", "begun"))
    log = [
        {"event": "StepStarted", "time": 1, "step": "label", "done": 0, "total": 2},
        {"event": "BlockFailed", "time": 2, "step": "label", "block": 1, "reason": "<b>disk</b>"},
    ]
    Path(run.log).write_text("".join(json.dumps(line) + "\n" for line in log))
    inputs = replace(run, objects=None, table=None, state=RunState(stages))
    html = report(inputs, tmp_path)
    assert "It stopped with: block 1 of label: &lt;b&gt;disk" in html
    assert "<b>label</b>: not finished" in html
    assert html.index("This run is not finished") < html.index("<main>")
    found = json.loads((tmp_path / "report.json").read_text())["state"]
    assert found["failure"] == "block 1 of label: <b>disk</b>"


def test_without_an_image_there_is_a_page_all_the_same(tmp_path):
    state = RunState((StageState("ingest", "begun"),))
    html = report(ReportInputs(image=None, state=state, title="Nothing yet"), tmp_path)
    Parsed(html)
    assert "<b>ingest</b>: not finished" in html


def test_no_objects_are_explained_where_the_labels_know_it(run, tmp_path):
    header = Path(run.table).read_text().splitlines()[0]
    Path(run.table).write_text(header + "\n")
    meta = Path(run.objects) / "zarr.json"
    told = json.loads(meta.read_text())
    told["attributes"]["volproc"]["nothing_found"] = "no objects: all 3 found were dropped <x>"
    meta.write_text(json.dumps(told))
    assert "</b> no objects: all 3 found were dropped &lt;x&gt;" in report(run, tmp_path)


def test_a_missing_card_and_other_parts_are_a_line_each(run, tmp_path):
    html = report(replace(run, scores=None), tmp_path)
    assert "<p>nuclei-50nm has no card that says what it is for and where it fails.</p>" in html


def test_objects_are_seen_from_all_around(run, tmp_path):
    page = Parsed(report(run, tmp_path, in_space=True))
    turns = [image for image in page.all("img") if "around z" in image["alt"]]
    assert len(turns) == 12
    assert [("hidden" in image) for image in turns] == [False] + 11 * [True]


def test_votes_without_surface_scores_stand_beside_the_result_that_has_them(run, tmp_path):
    first, second = SCORES["scores"]
    full = {**first, "surfaces": {"3d": {"masd_nm": 12.5, "hd95_nm": None}}}
    formulas = {**SCORES["formulas"], "masd_nm": "m", "hd95_nm": "h"}
    told = "Votes and other fusions are scored by their overlap"
    for scores, said in (([full, second], True), ([full, {**full, "answer": "z"}], False)):
        content = {**SCORES, "formulas": formulas, "scores": scores}
        Path(run.scores).write_text(json.dumps(content))
        html = report(run, tmp_path)
        assert "<td>12.5</td><td>–</td>" in html
        assert ("<td>–</td><td>–</td>" in html) == said
        assert (told in html) == said
