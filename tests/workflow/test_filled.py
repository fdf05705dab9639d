"""Where a run's stages meet: what options leave open is decided, what they state stays."""

import pytest

from volproc.errors import ConfigError
from volproc.workflow.filled import filled
from volproc.workflow.workflow_file import Workflow

RUN = {"source": "a.zarr", "folder": "out"}
LOOP = {"run": RUN, "crowd": {"ground_truth": "t.zarr"}, "annotate": {}, "train": {}}


def of(**tables):
    return filled(Workflow.model_validate(tables))


def test_the_loop_closes_by_itself():
    found = of(**LOOP)
    assert found.annotate.export == "out/crowd.csv"
    assert found.train.images == ("a.zarr",)
    assert found.train.labels == ("out/annotations.zarr",)
    assert found.train.ignore == ("out/annotations-ignore.zarr",)
    assert found.train.agreement == ("out/annotations-agreement.zarr",)
    assert found.train.model_out == found.predict.model == "out/model"


def test_filled_twice_is_filled_once():
    once = of(**LOOP)
    assert filled(once) == once
    read = Workflow.model_validate_json(once.model_dump_json())
    assert filled(read) == once


def test_an_ingested_image_lies_in_the_run():
    found = of(**{**LOOP, "run": {**RUN, "source": "stack.tif"}})
    assert found.train.images == ("out/image.zarr",)
    assert not found.source_is_volume


def test_the_network_learns_from_what_it_will_see():
    assert of(**LOOP, filter={"steps": ["median 30"]}).train.images == ("out/filtered.zarr",)


@pytest.mark.parametrize(
    ("source", "more", "stage"),
    [
        ("stack.tif", {}, "ingest"),
        ("stack.tif", {"filter": {}}, "ingest"),
        ("a.zarr", {}, "predict"),
        ("a.zarr", {"filter": {}}, "filter"),
    ],
)
def test_the_first_stage_that_can_takes_the_box(source, more, stage):
    found = of(run={"source": source, "box": 512}, **more)
    assert found.run.box == "512"
    taken = {name for name in ("ingest", "filter", "predict") if _box(found, name)}
    assert taken == {stage}
    assert filled(found) == found
    same = of(**{"run": {"source": source, "box": "512"}, **more, stage: {"box": "512"}})
    assert _box(same, stage) == "512"
    with pytest.raises(ConfigError, match=rf"box = '512' is for \[{stage}\], which has box = '9'"):
        of(**{"run": {"source": source, "box": "512"}, **more, stage: {"box": "9"}})


def _box(workflow, stage):
    return getattr(getattr(workflow, stage), "box", "")


def test_without_the_tables_nothing_changes():
    plain = Workflow.model_validate({"run": RUN})
    assert filled(plain) == plain
    assert plain.predict.model == "nuclei-50nm"


def test_what_is_stated_stays():
    stated = {
        "run": RUN,
        "annotate": {"export": "real.csv", "manifest": "m.csv"},
        "subjects": {},
        "train": {"images": ["i.zarr"], "labels": ["l.zarr"], "model_out": "mine"},
        "predict": {"model": "nuclei-50nm"},
    }
    plain = Workflow.model_validate(stated)
    assert filled(plain) == plain
    assert of(**{**stated, "predict": {}}).predict.model == "mine"
    own = of(**{**LOOP, "train": {"labels": ["l.zarr"]}}).train
    assert (own.images, own.labels, own.ignore) == (("a.zarr",), ("l.zarr",), ())


def test_subjects_tell_where_their_drawings_belong_unless_the_crowd_is_simulated():
    real = {"run": RUN, "subjects": {}, "annotate": {"export": "real.csv"}}
    assert of(**real).annotate.manifest == "out/subjects/manifest.csv"
    assert of(**{**LOOP, "subjects": {}}).annotate.manifest == ""


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"crowd": {}}, r"\[crowd\] ground_truth is missing"),
        ({"annotate": {}}, r"\[annotate\] export is missing.*\[crowd\]"),
        ({"train": {}}, r"\[train\] has nothing to learn from.*\[annotate\]"),
    ],
)
def test_a_stage_without_anything_to_work_on_is_refused(tables, message):
    with pytest.raises(ConfigError, match=message):
        of(**{"run": RUN, **tables})
