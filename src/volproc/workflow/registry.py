"""Every stage there is, in the order of a run: what one reads, those before it have written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from volproc.errors import ConfigError
from volproc.stages.description import Stage

OWN = (
    *("phantom", "ingest", "filter", "subjects", "crowd", "annotate", "train"),
    *("predict", "interior", "label", "fix", "doubt", "measure", "evaluate", "report"),
)
"""Our own, each the name of its folder in `stages/`, as help lists them."""
GROUP = "volproc.stages"
"""Entry points that name a `Stage` of another package."""


@cache
def registered() -> dict[str, Stage]:
    """All stages by name, in the order of a run; ConfigError for a foreign one that is none."""
    own: list[Stage] = [import_module(f"volproc.stages.{name}").STAGE for name in OWN]
    names = set(OWN)
    for point in entry_points(group=GROUP):
        stage = point.load()
        if not isinstance(stage, Stage) or stage.name in names:
            raise ConfigError(
                f"{point.value} (entry point {point.name} of {GROUP}) is no stage of a new name; "
                "uninstall its package, or rename the stage"
            )
        names.add(stage.name)
        own.append(stage)
    return {stage.name: stage for stage in in_order(own)}


def in_order(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Stages so that each comes after those that make its inputs, else as they were.

    ConfigError where they wait for one another.
    """
    left = {stage.name: stage for stage in stages}
    ordered = []
    while left:
        free = (stage for stage in left.values() if not stage.before() & set(left))
        stage = next(free, None)
        if stage is None:
            raise ConfigError(f"the stages {', '.join(left)} wait for one another's outputs")
        ordered.append(left.pop(stage.name))
    return tuple(ordered)
