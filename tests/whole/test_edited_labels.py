"""Edited labels are labels like any other: checked, scored, trained on; also in a bucket."""

import json

import numpy as np
import pytest

import volproc
from volproc.errors import VolprocError
from volproc.volume.store import open_volume
from volproc.workflow.workflow_file import Workflow


def run_of(scene, model, folder):
    """A run of many objects into a folder or URL."""
    volproc.run(
        Workflow.model_validate(
            {
                "run": {"source": str(scene.tiff), "folder": str(folder)},
                "cluster": {"kind": "serial"},
                "ingest": {"voxel_nm": scene.voxel_nm},
                "predict": {"model": str(model), "tile": [16, 80, 80]},
                "label": {"min_volume_um3": 0.001},
                "report": {"slices": 1},
            }
        ),
        progress=False,
    )


def largest_first(labels):
    """Ids of the objects of an array."""
    sizes = np.bincount(labels.reshape(-1))[1:]
    return [int(n) + 1 for n in np.argsort(-sizes, kind="stable")]


def values(url):
    volume = open_volume(str(url))
    return volume.read(volume.info.box)


@pytest.fixture
def edited(tmp_path, tiny_model, scene):
    """A run whose second largest object was deleted, and the two after it merged."""
    run = tmp_path / "run"
    run_of(scene, tiny_model, run)
    ids = largest_first(values(run / "objects.zarr"))
    opened = volproc.edited_run(str(run))
    opened.edit({"do": "delete", "objects": ids[1]})
    opened.edit({"do": "merge", "objects": ids[2:4]})
    opened.make()
    return run, ids


def test_check_finds_nothing_and_scores_are_those_of_the_edits(edited, tmp_path):
    run, ids = edited
    assert volproc.check(str(run / "edited.zarr"), depth="full") == ()
    out = tmp_path / "scores.json"
    volproc.evaluate(str(run / "edited.zarr"), str(run / "objects.zarr"), out=str(out))
    (score,) = json.loads(out.read_text())["scores"]
    gone = (values(run / "objects.zarr") == ids[1]).sum()
    there = (values(run / "objects.zarr") > 0).sum()
    assert score["precision"] == 1.0
    assert score["recall"] == pytest.approx(1 - gone / there)


def test_a_network_learns_from_edited_labels(edited, tmp_path):
    """And has nothing to learn from where edits have deleted all that was found."""
    run, _ = edited

    def train(model):
        volproc.train(
            model_out=str(tmp_path / model),
            images=(str(run / "image.zarr"),),
            labels=(str(run / "edited.zarr"),),
            slices_in=4,
            slices_out=2,
            widths=(4, 4),
            stem=1,
            convs_down=1,
            patch=16,
            batch=1,
            steps=2,
            calibrate=False,
            progress=False,
        )

    train("some")
    assert (tmp_path / "some" / "weights.safetensors").exists()
    opened = volproc.edited_run(str(run))
    for left in np.unique(values(run / "edited.zarr"))[1:].tolist():
        opened.edit({"do": "delete", "objects": left})
    opened.make()
    with pytest.raises(VolprocError, match=r"edited.zarr"):
        train("none")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_run_in_a_bucket_is_edited_as_one_in_a_folder(s3, scene, tiny_model, tmp_path):
    found = {}
    for place in (s3, str(tmp_path)):
        run_of(scene, tiny_model, f"{place}/run")
        run = volproc.edited_run(f"{place}/run")
        objects = values(f"{place}/run/objects.zarr")
        first, second, third = largest_first(objects)[:3]
        places = np.argwhere(objects == third)[[0, -1]]
        ends = ((places + 0.5) * open_volume(f"{place}/run/objects.zarr").info.voxel_nm).tolist()
        run.edit({"do": "merge", "objects": [first, second]})
        run.edit({"do": "split", "objects": third, "parts": [[ends[0]], [ends[1]]]})
        run.make()
        run.undo()
        run.make()
        run.edit({"do": "delete", "objects": third})
        run.make()
        found[place] = values(f"{place}/run/edited.zarr")
        assert len(run.log.active) == 2
    np.testing.assert_array_equal(found[s3], found[str(tmp_path)])
    assert (found[s3] > 0).sum() < (objects > 0).sum()
