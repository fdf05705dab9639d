"""The crowd stage: the same bytes whatever the engine and the blocks, whole or not there."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.stages.crowd.shapes import disc

from volproc import CrowdOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, OutputError, VolumeError
from volproc.stages.crowd import stage
from volproc.stages.crowd.stage import plan_crowd, run_crowd
from volproc.volume.metadata import new_volume

SHAPE = (20, 160, 200)


@pytest.fixture
def truth(save_volume):
    """A ball of label 2 in a shell of label 1 on slices 4 to 15, and a bar of label 3 on all."""
    values = np.zeros(SHAPE, dtype=np.uint8)
    for z in range(4, 16):
        radius = 60 - 5 * abs(z - 10)
        values[z][disc(SHAPE[1:], (80, 90), radius)] = 1
        values[z][disc(SHAPE[1:], (80, 90), radius - 8)] = 2
    values[:, 5:40, 160:190] = 3
    return save_volume("cell.zarr", values, voxel_nm=(50, 20, 20), kind="labels").info


def crowd(folder, truth, *, name="out.csv", runner=None, overwrite=False, **options):
    options = {"volunteers": 3, "labels": (1, 2), **options}
    plan = plan_crowd(truth, str(folder / name), CrowdOptions(**options))
    made = runner or Runner(SerialEngine(), folder / "ledger", overwrite=overwrite)
    summary = run_crowd(plan, made)
    return summary, (folder / name).read_bytes()


def rows_of(content):
    return list(csv.DictReader(content.decode().splitlines()))


def test_same_seed_same_bytes_other_seed_others(tmp_path, truth):
    _, one = crowd(tmp_path / "a", truth)
    _, two = crowd(tmp_path / "b", truth)
    _, other = crowd(tmp_path / "c", truth, seed=1)
    assert one == two
    assert one != other


def test_blocks_do_not_change_the_bytes(tmp_path, truth, monkeypatch):
    _, one = crowd(tmp_path / "a", truth)
    monkeypatch.setattr(stage, "BLOCK_BYTES", 1)
    assert stage.slices_of_block(truth) == 1
    _, two = crowd(tmp_path / "b", truth)
    assert one == two


@pytest.mark.dask
def test_engines_do_not_change_the_bytes(tmp_path, truth, dask_runner):
    _, one = crowd(tmp_path / "a", truth)
    _, two = crowd(tmp_path / "b", truth, runner=dask_runner)
    assert one == two


def test_every_slice_is_seen_by_so_many_different_people(tmp_path, truth):
    summary, content = crowd(tmp_path, truth, volunteers=5)
    rows = rows_of(content)
    assert summary.classifications == len(rows) == 20 * 5
    seen = {(row["subject_ids"], row["user_name"]) for row in rows}
    assert len(seen) == 100
    values = [json.loads(row["annotations"])[0]["value"] for row in rows]
    assert summary.absent == sum(not value for value in values)
    assert summary.strokes == sum(map(len, values))
    drawn = [bool(value) for value in values]
    assert sum(drawn[4 * 5 : 16 * 5]) > 50
    assert sum(drawn[: 4 * 5]) < 10


def test_more_volunteers_see_the_same_slices_as_fewer(tmp_path, truth):
    """So that numbers of volunteers can be compared without other people's luck."""
    few, more = (
        {
            (row["subject_ids"], row["user_name"]): row["annotations"]
            for row in rows_of(crowd(tmp_path / str(n), truth, volunteers=n)[1])
        }
        for n in (2, 6)
    )
    assert few.items() <= more.items()


def test_labels_say_what_the_object_is(tmp_path, truth):
    _, shell = crowd(tmp_path / "a", truth)
    _, everything = crowd(tmp_path / "b", truth, labels=())
    drawn = [bool(json.loads(row["annotations"])[0]["value"]) for row in rows_of(everything)]
    assert sum(drawn) > 50
    assert shell != everything


def test_a_range_of_slices_has_the_same_rows_as_the_whole(tmp_path, truth):
    _, whole = crowd(tmp_path / "a", truth)
    _, part = crowd(tmp_path / "b", truth, slices=(3, 12))
    assert part.splitlines()[1:] == whole.splitlines()[1 + 3 * 3 : 1 + 3 * 12]


@pytest.mark.parametrize("classifier", [1, 2])
def test_both_formats_are_written(tmp_path, truth, classifier):
    _, content = crowd(tmp_path, truth, classifier=classifier)
    marks = [m for row in rows_of(content) for m in json.loads(row["annotations"])[0]["value"]]
    assert marks
    assert all(("points" in mark) == (classifier == 1) for mark in marks)


def test_nothing_is_left_beside_the_export_and_it_may_be_made_again(tmp_path, truth):
    folder = tmp_path / "out"
    _, one = crowd(folder, truth)
    left = {path.name for path in folder.iterdir()}
    assert left == {"out.csv", "out.csv.volproc", "ledger"}
    (folder / "out.csv").unlink()
    _, two = crowd(folder, truth)
    assert one == two
    with pytest.raises(OutputError, match=r"made otherwise \(volunteers: 3 -> 4\)"):
        crowd(folder, truth, volunteers=4)
    _, other = crowd(folder, truth, volunteers=4, overwrite=True)
    assert len(rows_of(other)) == 80


def test_a_finished_export_is_left_alone(tmp_path, truth):
    summary, content = crowd(tmp_path, truth)
    counted = StopAt(1000)
    runner = Runner(SerialEngine(), tmp_path / "ledger", watchers=[counted], overwrite=True)
    assert crowd(tmp_path, truth, runner=runner) == (summary, content)
    assert counted.blocks == 0
    crowd(tmp_path, truth, runner=runner, seed=1)
    assert counted.blocks > 0
    assert crowd(tmp_path, truth, overwrite=True)[1] == content


def test_a_stopped_run_goes_on(tmp_path, truth, monkeypatch):
    _, whole = crowd(tmp_path / "whole", truth)
    monkeypatch.setattr(stage, "BLOCK_BYTES", 1)
    plan = plan_crowd(truth, str(tmp_path / "out.csv"), CrowdOptions(volunteers=3, labels=(1, 2)))
    runner = Runner(SerialEngine(), tmp_path / "ledger", watchers=[StopAt(5)])
    with pytest.raises(KeyboardInterrupt):
        run_crowd(plan, runner)
    assert not (tmp_path / "out.csv").exists()
    counted = StopAt(1000)
    run_crowd(plan, Runner(SerialEngine(), tmp_path / "ledger", watchers=[counted]))
    assert counted.blocks < 20
    assert (tmp_path / "out.csv").read_bytes() == whole


class StopAt:
    """Stops a run, as ctrl-C would, after so many blocks."""

    def __init__(self, blocks):
        self.left = blocks
        self.blocks = 0

    def __call__(self, event):
        if hasattr(event, "block"):
            self.blocks += 1
            if self.blocks == self.left:
                raise KeyboardInterrupt


def test_an_export_that_people_made_is_not_written_over(tmp_path, truth):
    (tmp_path / "out.csv").write_text("classification_id,user_name\n1,somebody\n")
    with pytest.raises(OutputError, match=r"out\.csv exists and was not written by volproc"):
        crowd(tmp_path, truth)
    assert "somebody" in (tmp_path / "out.csv").read_text()


def test_what_is_no_truth_is_refused(tmp_path):
    floats = new_volume("a.zarr", shape=SHAPE, voxel_nm=(50, 20, 20), dtype="float32")
    image = new_volume("a.zarr", shape=SHAPE, voxel_nm=(50, 20, 20), dtype="uint8")
    labels = replace(image, kind="labels")
    with pytest.raises(VolumeError, match="whole numbers"):
        plan_crowd(floats, "out.csv", CrowdOptions())
    with pytest.raises(VolumeError, match=r"a\.zarr is an image, .* give its labels"):
        plan_crowd(image, "out.csv", CrowdOptions())
    plan_crowd(image, "out.csv", CrowdOptions(labels=(1, 2)))
    with pytest.raises(ConfigError, match=r"slices = \[10, 30\]"):
        plan_crowd(labels, "out.csv", CrowdOptions(slices=(10, 30)))


def test_planning_tells_the_cost_and_writes_nothing(tmp_path):
    size = (300, 2000, 2000)
    info = new_volume("a.zarr", shape=size, voxel_nm=(50, 10, 10), dtype="uint8", kind="labels")
    plan = plan_crowd(info, str(tmp_path / "out.csv"), CrowdOptions(volunteers=30))
    (step,) = plan.steps
    assert step.bytes_read == 300 * 2000 * 2000
    assert 100e6 < step.peak_bytes < 2e9
    assert not list(tmp_path.iterdir())
