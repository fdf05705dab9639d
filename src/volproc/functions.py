"""The Python function of each stage, made from its description, and those of whole runs.

`scripts/generate` writes their signatures into `__init__.pyi`, for type checkers and editors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from volproc.config.loading import parsed
from volproc.config.options import Options
from volproc.errors import ConfigError
from volproc.progress_bars import shown
from volproc.stages.description import Stage
from volproc.workflow.registry import registered

if TYPE_CHECKING:
    from datetime import datetime

    from volproc.engine.events import Watcher
    from volproc.engine.protocol import Step
    from volproc.workflow.stage_status import StageStatus
    from volproc.workflow.workflow_file import Workflow

CLUSTER = "Who does the work, or a Dask client of your own; by default this machine."
RUNNING: dict[str, tuple[str, Any, str]] = {
    "overwrite": ("bool", False, "Replace what volproc made there otherwise."),
    "cluster": ("ClusterOptions | Client | None", None, CLUSTER),
    "watchers": ("Sequence[Watcher]", (), "Called with every event of the run."),
    "progress": ("bool", True, "Show how far it is, in a terminal or a notebook."),
}
"""Parameters that all functions of stages share: type, default, meaning."""
INDENT = "    "
PLACE, VOLUME = "str | Path", "str | Path | Volume"


def function_of(stage: Stage) -> Callable[..., Any]:
    """The function that runs a stage by itself, with its signature and docstring."""

    def function(*args: Any, **given: Any) -> Any:
        return _call(stage, args, given)

    function.__name__ = function.__qualname__ = stage.name
    function.__module__ = "volproc"
    function.__doc__ = docstring(stage)
    function.__signature__ = signature(stage)  # type: ignore[attr-defined]
    return function


def arguments(stage: Stage) -> dict[str, tuple[str, bool, str]]:
    """Inputs and outputs by name: type, whether one has to be given, meaning."""
    found: dict[str, tuple[str, bool, str]] = {}
    for one in stage.inputs:
        if not (one.only_in_run or (stage.names(one.name) and not one.required)):
            kind = VOLUME if one.kind == "volume" else PLACE
            found[one.name] = (f"{kind} | None" if one.nullable else kind, one.required, one.help)
    for out in stage.outputs:
        if not out.path_option:
            found[out.name] = (PLACE, out.required, out.help)
    return found


def keywords(stage: Stage) -> dict[str, tuple[type[Options], str]]:
    """Options that are keywords of the function, with the kind that they belong to."""
    taken = set(arguments(stage))
    kinds = ((kind, name) for kind in stage.tables.values() for name in kind.model_fields)
    return {name: (kind, name) for kind, name in kinds if name not in taken}


def signature(stage: Stage) -> Signature:
    """What a stage's function takes, as help() and notebooks show it."""
    later = Parameter.KEYWORD_ONLY
    found = []
    taken = arguments(stage)
    # the last may be left out where the options name it: evaluate(result, options)
    last = [name for name, (_, required, _) in taken.items() if required][-1:]
    for name, (typed, required, _) in taken.items():
        place = Parameter.POSITIONAL_OR_KEYWORD if required else later
        needed = required and not (stage.names(name) and name in last)
        default = Parameter.empty if needed else None
        typed = typed if needed else f"{typed} | None"
        found.append(Parameter(name, place, default=default, annotation=typed))
    how = {"default": None, "annotation": f"{stage.options.__name__} | None"}
    found.append(Parameter("options", Parameter.POSITIONAL_OR_KEYWORD, **how))
    more: dict[str, tuple[Any, Any]]
    more = {name: (None, f"{kind.__name__} | None") for name, kind in stage.more_options.items()}
    for name, (kind, _) in keywords(stage).items():
        more[name] = (kind.model_fields[name].default, kind.model_fields[name].annotation)
    more |= {name: (default, typed) for name, (typed, default, _) in RUNNING.items()}
    for name, (default, typed) in more.items():
        found.append(Parameter(name, later, default=default, annotation=typed))
    found.sort(key=lambda one: one.kind)
    return Signature(found, return_annotation=stage.returns.rpartition(".")[2])


def docstring(stage: Stage) -> str:
    """What a stage's function does, takes and returns, in the layout of numpydoc."""
    told = {name: help for name, (_, _, help) in arguments(stage).items()}
    told["options"] = f"`{stage.options.__name__}`; keywords below go over it."
    told |= {n: kind.model_fields[n].description or "" for n, (kind, _) in keywords(stage).items()}
    told |= {name: help for name, (_, _, help) in RUNNING.items()}
    lines = [stage.help, "", "Parameters", "----------"]
    for name, help in told.items():
        lines += [name, fill(help, 88, initial_indent=INDENT, subsequent_indent=INDENT)]
    lines += ["", "Returns", "-------", stage.returns.rpartition(".")[2]]
    lines += [f"{INDENT}{stage.about_result}", "", "Raises", "------", "VolprocError"]
    lines += [f"{INDENT}One line: the value, what was expected, the way out. Nothing is lost."]
    return "\n".join(lines)


def _call(stage: Stage, args: Sequence[Any], given: dict[str, Any]) -> Any:
    named = _named(stage, args, given)
    running = {name: named.pop(name, default) for name, (_, default, _) in RUNNING.items()}
    places = {name: named.pop(name) for name in arguments(stage) if name in named}
    places = {name: _place(value) for name, value in places.items() if value is not None}
    objects = {name: named.pop(name, None) for name in ("options", *stage.more_options)}
    _set_by_places(stage, named, places)
    tables = _tables(stage, objects, named)
    for one in stage.inputs:
        stated = getattr(tables[stage.name], one.name, "") if stage.names(one.name) else ""
        if stated:
            places.setdefault(one.name, stated)
    for out in stage.outputs:
        if out.path_option:
            places[out.name] = getattr(tables[stage.name], out.path_option)
    nullable = {one.name for one in stage.inputs if one.nullable}
    for name, (_, required, told) in arguments(stage).items():
        if required and name not in places and name not in nullable:
            raise ConfigError(f"volproc.{stage.name} needs {name}: {told}")
    from volproc.workflow.single_stage import LOCAL, run_single

    inputs = {one.name: places.get(one.name) for one in stage.inputs}
    outputs = {one.name: str(places[one.name]) for one in stage.outputs if one.name in places}
    with shown(running.pop("progress"), running["watchers"]) as watchers:
        return run_single(
            stage,
            tables,
            {name: value for name, value in inputs.items() if value is not None},
            outputs,
            overwrite=running["overwrite"],
            cluster=running["cluster"] or LOCAL,
            watchers=watchers,
        )


def _named(stage: Stage, args: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All that was given, by name. Options may stand at any place: so they did before keywords."""
    given = stage.options.by_names_of_today(given)
    names = [name for name, (_, required, _) in arguments(stage).items() if required]
    places = [one for one in args if not isinstance(one, Options)]
    objects = [one for one in args if isinstance(one, Options)]
    if len(places) > len(names) or len(objects) > 1:
        raise ConfigError(
            f"volproc.{stage.name} takes {', '.join([*names, 'options'])} by position, "
            f"got {len(args)} values; name the others"
        )
    found = dict(zip((*names[: len(places)], "options"), (*places, *objects), strict=False))
    twice = sorted(set(found) & set(given))
    if twice:
        raise ConfigError(f"volproc.{stage.name} got {twice[0]} twice, by position and by name")
    return {**found, **given}


def _place(value: Any) -> Any:
    """A path as text, a volume as its metadata."""
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        return text if "://" in text else os.path.expanduser(text)
    return getattr(value, "info", value)


def _set_by_places(stage: Stage, named: dict[str, Any], places: Mapping[str, Any]) -> None:
    """Options that an input or output of the same name sets: its path, or that it is asked for."""
    for one in stage.places:
        if stage.asks(one.name):
            named[one.name] = one.name in places
        elif one.name in places and stage.names(one.name):
            named[one.name] = getattr(places[one.name], "url", places[one.name])


def _tables(
    stage: Stage, objects: Mapping[str, Options | None], named: Mapping[str, Any]
) -> dict[str, Options]:
    found: dict[str, Options] = {}
    left = dict(named)
    for name, kind in reversed(stage.tables.items()):
        given = objects["options" if name == stage.name else name]
        if given is not None and not isinstance(given, kind):
            raise ConfigError(
                f"volproc.{stage.name}: expected {kind.__name__}, got {type(given).__name__}"
            )
        # what is no option of any table stays for the stage's own, which names what is close to it
        own = {key: left.pop(key) for key in list(left) if key in kind.model_fields}
        own |= left if name == stage.name else {}
        stated = {key: getattr(given, key) for key in given.model_fields_set} if given else {}
        found[name] = parsed(kind, {**stated, **own}, where=f"volproc.{stage.name}")
    return found


def run(
    workflow: str | Path | Workflow,
    *,
    stages: Sequence[str] = (),
    redo: Sequence[str] = (),
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
    until: datetime | None = None,
) -> Path | str:
    """Run a workflow (a file, or what `load_workflow` returns), or go on with it.

    Returns the path of the report, or its URL. `stages` limits it to some. What is recorded as
    done, from the same inputs and options, is left alone; what was made from others is remade, and
    said before. `redo` names stages that are remade in any case. All stages are planned before the
    first byte is written: VolprocError, one line, when something is missing or wrong. `watchers`
    are called with every event; `progress` shows it, in a terminal or a notebook. From `until` on
    no new blocks are begun: StoppedError when those at work are recorded, and the same call goes on
    from there.
    """
    from volproc import workflow as runs

    with shown(progress, watchers) as every:
        return runs.run(_loaded(workflow), stages=stages, redo=redo, watchers=every, until=until)


def plan(
    workflow: str | Path | Workflow, *, stages: Sequence[str] = ()
) -> list[tuple[str, tuple[Step, ...]]]:
    """The steps of every stage with blocks, bytes, memory and arithmetic; nothing is run."""
    from volproc import workflow as runs

    return runs.plan(_loaded(workflow), stages=stages)


def status(folder: str | Path) -> tuple[StageStatus, ...]:
    """What of a run is done, stale, begun or missing, stage by stage; nothing is written."""
    from volproc import workflow as runs

    return runs.status(folder)


def _loaded(workflow: str | Path | Workflow) -> Workflow:
    from volproc.workflow.workflow_file import load_workflow

    return load_workflow(workflow) if isinstance(workflow, str | Path) else workflow


def functions() -> dict[str, Callable[..., Any]]:
    """The functions of all stages by name."""
    return {s.name: function_of(s) for s in registered().values() if s.command}


def options() -> dict[str, type[Options]]:
    """The options of all stages by the name of their class."""
    kinds = (kind for stage in registered().values() for kind in stage.tables.values())
    return {kind.__name__: kind for kind in kinds}
