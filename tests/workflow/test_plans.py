"""Plans of a run: foreseen before anything is there, or from what is finished."""

import numpy as np
import pytest
import tifffile

import volproc
from volproc.errors import ConfigError, VolumeError
from volproc.workflow.filled import filled
from volproc.workflow.plans import Plans, chosen
from volproc.workflow.workflow_file import Workflow


@pytest.fixture
def workflow(tmp_path, save_volume):
    """All stages, from a TIFF stack of which nothing but the truth is known."""
    image = np.random.default_rng(0).integers(0, 255, (12, 80, 96), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", image)
    truth = (image > 100).astype("uint8")
    url = save_volume("truth.zarr", truth, kind="labels").info.url
    tables = {
        "run": {"source": str(tmp_path / "image.tif"), "folder": str(tmp_path / "run")},
        "ingest": {"voxel_nm": [50, 50, 50]},
        "filter": {"steps": ["median 100"]},
        "subjects": {"roi": [12, 80, 96]},
        "crowd": {"ground_truth": url},
        "annotate": {},
        "train": {"widths": [4, 6], "patch": 32, "batch": 2, "steps": 30},
        "interior": {},
        "label": {"image_grid": True},
        "measure": {},
        "evaluate": {"ground_truth": url},
    }
    return Workflow.model_validate(tables)


def test_a_whole_workflow_is_foreseen_and_nothing_is_written(workflow, tmp_path):
    planned = dict(volproc.plan(workflow))
    assert list(planned) == [stage.name for stage in chosen(workflow, ()) if stage.name != "report"]
    assert all(steps for steps in planned.values())
    assert not (tmp_path / "run").exists()
    (training,) = planned["train"]
    assert len(training.blocks) == 30
    assert sum(block.core.size for block in training.blocks) == 30 * 2 * 8 * 32 * 32
    assert training.flop > 0
    assert {"annotate", "measure volunteers"} <= {step.name for step in planned["annotate"]}


def test_the_foreseen_network_is_the_one_that_will_be_trained(workflow, tmp_path):
    plans = Plans(filled(workflow), dry_run=True)
    network = plans.of("predict").network
    assert network.source == str(tmp_path / "run" / "model")
    assert network.voxel_nm == (50, 50, 50)
    assert network.flop(32, 32) > 0


def test_to_run_everything_must_be_there(workflow):
    plans = Plans(filled(workflow))
    for stage in ("crowd", "ingest"):
        plans.of(stage)
    rest = ("filter", "subjects", "annotate", "train", "predict", "interior", "label", "measure")
    for stage in (*rest, "evaluate"):
        with pytest.raises(VolumeError, match=r"run/\w+\.zarr does not exist"):
            plans.of(stage)


def test_only_the_network_sees_the_filtered_image(workflow, tmp_path):
    """It learns from it and predicts on it; intensities and pictures are the microscope's."""
    plans = Plans(filled(workflow), dry_run=True)
    image, filtered = (str(tmp_path / "run" / name) for name in ("image.zarr", "filtered.zarr"))
    assert plans.of("filter").image.url == image
    assert plans.of("predict").image.url == filtered
    assert plans.of("train").sources[0].image.url == filtered
    assert plans.claim("measure").inputs[:2] == (str(tmp_path / "run" / "objects.zarr"), image)
    assert plans.claim("subjects").inputs == (image,)


def test_a_workflow_that_only_trains_needs_no_source(tmp_path, save_volume):
    image = np.random.default_rng(0).integers(0, 255, (12, 80, 96), dtype=np.uint8)
    train = {
        "images": [save_volume("image.zarr", image).info.url],
        "labels": [
            save_volume("labels.zarr", (image > 100).astype("uint8"), kind="labels").info.url
        ],
        **{"widths": [4, 6], "patch": 16, "slices_in": 4, "slices_out": 2, "steps": 3},
    }
    tables = {"run": {"folder": str(tmp_path / "run")}, "train": train}
    ((name, (step,)),) = volproc.plan(Workflow.model_validate(tables))
    assert name == "train"
    assert step.flop > 0
    assert step.peak_bytes > 0
    assert len(step.blocks) == 3
    with pytest.raises(ConfigError, match=r"\[run\] source is missing"):
        volproc.plan(Workflow.model_validate({**tables, "train": {**train, "images": []}}))
    tables["run"]["source"] = train["images"][0]
    assert [name for name, _ in volproc.plan(Workflow.model_validate(tables))] != ["train"]
