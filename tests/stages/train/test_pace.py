"""A plan says what is left of a training, and how long that takes at the speed it had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stages.train.test_processes import folder, plan

from volproc.stages.train.execution import run_training
from volproc.stages.train.loop import Progress
from volproc.stages.train.pace import NO_PACE, Pace, pace_in
from volproc.terminal import costs, duration

__all__ = ["folder"]


def killed_at(step: int) -> Any:
    def watch(event: Progress) -> None:
        if event.step == step:
            raise KeyboardInterrupt

    return watch


def test_of_a_training_that_was_killed_the_rest_is_planned(folder: Path) -> None:
    how: dict[str, Any] = {"steps": 6, "checkpoint_steps": 2}
    (fresh,) = plan(folder, "model", **how).steps
    assert (len(fresh.blocks), fresh.recorded, fresh.rate) == (6, 0, 0)
    assert costs(fresh, None)[-1] == "-"
    with pytest.raises(KeyboardInterrupt):
        run_training(plan(folder, "model", **how), watch=killed_at(5))
    (left,) = plan(folder, "model", **how).steps
    assert left.recorded == 4
    assert costs(left, None)[2] == "2"
    seconds = 2 * 4 / pace_in(str(folder / "model")).patches_a_second
    assert costs(left, None)[-1] == duration(seconds)
    # others in its folder: a like one has its speed, another network none
    (longer,) = plan(folder, "model", **{**how, "steps": 60}).steps
    assert (longer.recorded, longer.rate) == (0, left.rate)
    (other,) = plan(folder, "model", **how, convs_down=1).steps
    assert (other.recorded, other.rate) == (0, 0)
    run_training(plan(folder, "model", **how))
    assert plan(folder, "model", **how).steps[0].recorded == 6


@pytest.mark.parametrize("text", ["", "[]", '{"step": ', '{"speed": 3}'])
def test_what_is_no_pace_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "pace.json").write_text(text)
    assert pace_in(str(tmp_path)) == NO_PACE
    Pace("a", "b", 3, 2.5).write(str(tmp_path))
    assert json.loads((tmp_path / "training" / "pace.json").read_text())["step"] == 3
    assert pace_in(str(tmp_path)) == Pace("a", "b", 3, 2.5)
