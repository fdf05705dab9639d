"""What a training writes for TensorBoard is what stands in its log."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from tests.stages.train.test_processes import folder, plan

from volproc.errors import ConfigError
from volproc.stages.train.execution import run_training

__all__ = ["folder"]


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_tensorboard_reads_every_number_of_the_log(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_training(plan(folder, "model", tensorboard=True))
    training = folder / "model" / "training"
    rows = [*csv.DictReader((training / "log.csv").read_text().splitlines())]
    events = EventAccumulator(str(training / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    names = {name for name in rows[0] if name != "step"}
    assert {*events.Tags()["scalars"]} == {*names, "patches_per_second"}
    for name in names:
        logged = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        read = {event.step: event.value for event in events.Scalars(name)}
        assert read == pytest.approx(logged, rel=1e-5), name
    assert len(events.Scalars("patches_per_second")) == len(rows) == 6
    assert {event.step for event in events.Scalars("dice")} == {3, 6}


def test_without_the_package_it_is_said_before_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'volproc\[tensorboard\]' or leave it out"):
        plan(folder, "model", tensorboard=True)
    assert not (folder / "model").exists()
