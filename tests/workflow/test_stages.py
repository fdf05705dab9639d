"""The table of stages: their order, and which of them a workflow has."""

import pytest

from volproc.errors import ConfigError
from volproc.workflow.plans import chosen
from volproc.workflow.registry import registered
from volproc.workflow.workflow_file import Workflow

EVERYTHING = {
    "run": {"source": "a.tif"},
    "filter": {},
    "subjects": {},
    "crowd": {"ground_truth": "t.zarr"},
    "annotate": {},
    "train": {},
    "interior": {},
    "measure": {},
    "evaluate": {"ground_truth": "t.zarr"},
}

IN_RUN = [stage.name for stage in registered().values() if stage.in_run != "never"]


def names(tables, *stages):
    return [stage.name for stage in chosen(Workflow.model_validate(tables), stages)]


def test_a_workflow_with_all_tables_has_all_stages():
    # fix is there once there are edits, not by its table
    assert names(EVERYTHING) == [name for name in IN_RUN if name != "fix"]


def test_a_stage_is_there_if_its_table_is():
    assert names({"run": {"source": "a.tif"}}) == ["ingest", "predict", "label", "doubt", "report"]
    assert names({"run": {"source": "a.zarr"}}) == ["predict", "label", "doubt", "report"]
    for table in EVERYTHING.keys() - {"run"}:
        without = {key: value for key, value in EVERYTHING.items() if key != table}
        assert set(names(EVERYTHING)) - set(names(without)) == {table}


def test_named_stages_keep_their_order():
    assert names(EVERYTHING, "report", "crowd", "train") == ["crowd", "train", "report"]
    assert names({"run": {"source": "a.zarr"}}, "ingest", "predict") == ["predict"]
    with pytest.raises(ConfigError, match=r"no stage 'crowd': its table \[crowd\] is missing"):
        names({"run": {"source": "a.tif"}}, "crowd")
    with pytest.raises(
        ConfigError, match="unknown stage 'segment'; stages are ingest, filter, subjects"
    ):
        names(EVERYTHING, "segment")
