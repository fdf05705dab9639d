"""The shipped model on the half of a real cell that it never saw."""

import json

import pytest

import volproc
from volproc import (
    EvaluateOptions,
    IngestOptions,
)
from volproc.config.run import RunOptions
from volproc.workflow.workflow_file import Workflow


@pytest.mark.real
@pytest.mark.slow
def test_nuclei_of_a_real_cell_are_found(real_data, tmp_path):
    cell = real_data / "hela-roi329"
    truth = str(tmp_path / "truth.zarr")
    labels = IngestOptions(voxel_nm=(50, 10, 10), labels=True)
    volproc.ingest(cell / "labels4_multinuclei_10nm.tif", truth, labels)
    workflow = Workflow(
        run=RunOptions(source=str(cell / "raw_40nm.tif"), folder=str(tmp_path / "run")),
        ingest=IngestOptions(voxel_nm=(50, 40, 40)),
        evaluate=EvaluateOptions(ground_truth=truth, ground_truth_labels=(1, 2), slices=(150, 300)),
    )
    assert volproc.run(workflow).exists()
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]
    fused = next(score for score in scores if score["answer"] == "prediction")
    slices = {one["z"]: one["dice"] for one in fused["slices"]}
    assert fused["dice"] >= 0.88
    assert slices[205] >= 0.92
