import importlib.util
import logging
import sys
from pathlib import Path

import pytest

from volproc import SubjectsOptions
from volproc.engine.events import BlockDone, StepFinished, StepStarted
from volproc.errors import AnnotateError
from volproc.stages.subjects import upload as uploading
from volproc.stages.subjects.manifest import files_of, from_csv
from volproc.stages.subjects.stage import plan_subjects, run_subjects
from volproc.stages.subjects.upload import Uploaded, upload_subjects

pytest.importorskip("panoptes_client", reason="pip install '.[zooniverse]'")

_spec = importlib.util.spec_from_file_location(
    "panoptes_server", Path(__file__).with_name("panoptes_server.py")
)
stand_in = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stand_in)

TOGETHER = 3
SLICES = 2 * TOGETHER + 2


@pytest.fixture
def zooniverse(monkeypatch):
    for name in ("ENDPOINT", "CLIENT_ID", "CLIENT_SECRET", "DEBUG"):
        monkeypatch.delenv(f"PANOPTES_{name}", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PANOPTES_USERNAME", stand_in.LOGIN["login"])
    monkeypatch.setenv("PANOPTES_PASSWORD", stand_in.LOGIN["password"])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(uploading, "LINK_TOGETHER", TOGETHER)
    with stand_in.panoptes_server() as server:
        yield server


@pytest.fixture
def manifest(tmp_path, save_volume, noise, runner):
    volume = save_volume("image.zarr", noise[:SLICES])
    options = SubjectsOptions(frames=3, attribution="=A. N.", rois=((0, 0, 0, SLICES, 40, 40),))
    return run_subjects(plan_subjects(volume.info, str(tmp_path / "out"), options), runner)


def upload(manifest, server, **more):
    settings = {"project": 42, "subject_set": "first cell", "endpoint": server.url, **more}
    return upload_subjects(manifest, **settings)


def expected(manifest):
    """What volunteers should see: the rows of the manifest and the files they name."""
    folder = Path(manifest).parent
    rows = from_csv(Path(manifest).read_text(), name=manifest)
    return [(row, [(folder / name).read_bytes() for name in files_of(row)]) for row in rows]


def test_every_subject_arrives_with_its_images(zooniverse, manifest):
    assert upload(manifest, zooniverse) == Uploaded("100", SLICES)
    assert zooniverse.seen() == expected(manifest)
    (made,) = zooniverse.sets.values()
    assert (made["display_name"], made["links"]) == ("first cell", {"project": 42})
    assert zooniverse.seen()[0][0]["Attribution"] == "=A. N."


def test_a_second_call_sends_nothing(zooniverse, manifest):
    upload(manifest, zooniverse)
    zooniverse.asked.clear()
    assert upload(manifest, zooniverse) == Uploaded("100", SLICES)
    assert not {"new set", "new subject", "media", "link"} & set(zooniverse.asked)


def test_another_set_gets_the_subjects_too(zooniverse, manifest):
    upload(manifest, zooniverse)
    assert upload(manifest, zooniverse, subject_set="again") == Uploaded("101", SLICES)
    assert len(zooniverse.members) == 2 * SLICES


@pytest.mark.parametrize("how", [500, 503, "drop", "drop after"])
@pytest.mark.parametrize(
    "what", ["token page", "project", "new subject", "media", "set", "member", "link"]
)
def test_passing_failures_are_got_over(zooniverse, manifest, what, how):
    zooniverse.breaks = {what: [None, how, how] if what in ("new subject", "media") else [how]}
    upload(manifest, zooniverse)
    assert not zooniverse.breaks[what]
    assert sorted(zooniverse.seen(), key=str) == sorted(expected(manifest), key=str)
    assert len(set(zooniverse.members)) == len(zooniverse.members)


@pytest.mark.parametrize(
    ("what", "how"),
    [
        *((what, how) for what in ("new subject", "media") for how in (503, "drop", "drop after")),
        ("link", 503),
        ("link", "drop"),  # the answer alone lost: it looks, and finds them in the set
    ],
)
def test_cut_off_for_good_the_same_call_goes_on(zooniverse, manifest, what, how):
    fine = {"new subject": 5, "media": 14, "link": 1}[what]
    zooniverse.breaks = {what: [None] * fine + [how] * 200}
    with pytest.raises(AnnotateError, match="the same command goes on from here"):
        upload(manifest, zooniverse)
    before = zooniverse.asked["new subject"]
    zooniverse.breaks = {}
    assert upload(manifest, zooniverse) == Uploaded("100", SLICES)
    assert sorted(zooniverse.seen(), key=str) == sorted(expected(manifest), key=str)
    assert len(zooniverse.sets) == 1
    assert zooniverse.asked["new subject"] - before <= SLICES - 4


def test_an_image_that_is_refused_stops_the_upload(zooniverse, manifest):
    zooniverse.breaks = {"media": [None, 403]}
    with pytest.raises(AnnotateError, match=r"_z00\d.jpg was refused: status 403"):
        upload(manifest, zooniverse)
    assert not zooniverse.members


def test_a_wrong_password_is_told_and_never_written(zooniverse, manifest, monkeypatch):
    monkeypatch.setenv("PANOPTES_PASSWORD", "wr0ng-word")
    with pytest.raises(AnnotateError, match=r"Invalid email or password.*check the acc") as refusal:
        upload(manifest, zooniverse)
    assert "wr0ng-word" not in str(refusal.value)
    assert zooniverse.asked["sign in"] == 1
    for path in Path(manifest).parent.iterdir():
        assert b"wr0ng-word" not in path.read_bytes()


def test_a_project_that_is_not_there(zooniverse, manifest):
    with pytest.raises(AnnotateError, match="request for project 43: Could not find project with"):
        upload(manifest, zooniverse, project=43)
    assert not zooniverse.sets


def test_an_account_without_rights(zooniverse, manifest):
    zooniverse.breaks = {"new set": [403]}
    with pytest.raises(AnnotateError, match="new subject set 'first cell': planned 403; check the"):
        upload(manifest, zooniverse)


def test_a_program_signs_in_by_its_secret(zooniverse, manifest, monkeypatch):
    monkeypatch.delenv("PANOPTES_USERNAME")
    monkeypatch.setenv("PANOPTES_CLIENT_ID", stand_in.CLIENT["client_id"])
    monkeypatch.setenv("PANOPTES_CLIENT_SECRET", "wrong")
    with pytest.raises(AnnotateError, match="the account was probably refused; check the account"):
        upload(manifest, zooniverse)
    monkeypatch.setenv("PANOPTES_CLIENT_SECRET", stand_in.CLIENT["client_secret"])
    assert upload(manifest, zooniverse).subjects == SLICES
    assert not zooniverse.asked["sign in"]


def test_without_an_account_nothing_is_sent(zooniverse, manifest, monkeypatch):
    monkeypatch.delenv("PANOPTES_PASSWORD")
    with pytest.raises(AnnotateError, match="set PANOPTES_USERNAME and PANOPTES_PASSWORD, or"):
        upload(manifest, zooniverse)
    assert not zooniverse.asked


def test_the_environment_may_name_the_endpoint(zooniverse, manifest, monkeypatch):
    monkeypatch.setenv("PANOPTES_ENDPOINT", zooniverse.url)
    assert upload(manifest, zooniverse, endpoint="").subjects == SLICES


def test_a_manifest_reaches_for_no_other_file(zooniverse, manifest, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8 private")
    text = Path(manifest).read_text()
    first = files_of(from_csv(text, name=manifest)[-1])[0]
    for bad, match in {
        "../secret.jpg": r"names the file '../secret.jpg'; images are next to it",
        "subjects.json": "end in jpg or png",
        "lost.jpg": "lost.jpg is not in",
    }.items():
        Path(manifest).write_text(text.replace(first, bad))
        with pytest.raises(AnnotateError, match=match):
            upload(manifest, zooniverse)
    assert not zooniverse.asked


def test_an_image_above_the_limit_of_zooniverse_is_not_sent(zooniverse, manifest):
    first = files_of(from_csv(Path(manifest).read_text(), name=manifest)[0])[0]
    Path(manifest).with_name(first).write_bytes(b"\xff\xd8" * 2**19 + b"x")
    with pytest.raises(
        AnnotateError, match="1048577 bytes; Zooniverse takes images of 1 to 1048576"
    ):
        upload(manifest, zooniverse)


def test_another_manifest_under_the_same_name_is_refused(zooniverse, manifest):
    upload(manifest, zooniverse)
    Path(manifest).write_text(Path(manifest).read_text().replace("=A. N.", "B. B."))
    with pytest.raises(AnnotateError, match="another manifest under the same name"):
        upload(manifest, zooniverse)


def test_watchers_see_it_go_on(zooniverse, manifest):
    seen = []
    upload(manifest, zooniverse, watchers=[seen.append])
    assert isinstance(seen[0], StepStarted)
    assert [event.done for event in seen if isinstance(event, BlockDone)] == [*range(1, SLICES + 1)]
    assert isinstance(seen[-1], StepFinished)


def test_without_the_package_the_extra_is_named(zooniverse, manifest, monkeypatch):
    monkeypatch.setitem(sys.modules, "panoptes_client", None)
    with pytest.raises(AnnotateError, match=r"pip install '\.\[zooniverse\]'"):
        upload(manifest, zooniverse)


def test_logging_stays_as_it_was(zooniverse, manifest, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "magic", None)  # as where libmagic is missing
    for name in [name for name in sys.modules if name.startswith("panoptes_client")]:
        monkeypatch.delitem(sys.modules, name)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)
    upload(manifest, zooniverse)
    assert (root.handlers, root.level, root.manager.disable) == ([], logging.WARNING, 0)
    assert capfd.readouterr() == ("", "")
