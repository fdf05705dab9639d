"""A workflow file: a table per stage, in TOML, overruled by the environment, then by flags.

A file is overruled by the environment (VOLPROC_PREDICT__AXES=zy), the environment by flags
(--set predict.axes=zy). Relative paths in a file are seen from the file's folder.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, create_model

from volproc.config.cluster import ClusterOptions
from volproc.config.loading import anchor, overrule, parsed, set_option
from volproc.config.options import Options
from volproc.config.run import RunOptions
from volproc.errors import ConfigError
from volproc.retry import patient
from volproc.workflow.registry import registered

if TYPE_CHECKING:
    from volproc.stages.description import Stage

Place = Callable[[str], str]
"""Where a file or volume of the run is, by its name in the run's folder."""


class Tables(Options):
    """A whole workflow file: one table per stage.

    Tables that are None by default bring a stage with them, which a run has only if they are there.
    """

    run: RunOptions = RunOptions()
    cluster: ClusterOptions = ClusterOptions()

    @property
    def source_is_volume(self) -> bool:
        """Whether the source is an OME-Zarr volume; ConfigError where none is named."""
        if not self.run.source:
            raise ConfigError('[run] source is missing; name the image, e.g. source = "stack.tif"')
        source = self.run.source.rstrip("/")
        return source.endswith(".zarr") or ".zarr/" in source

    def image(self, place: Place) -> str:
        """The image that the run works on."""
        made = registered()["ingest"].outputs[0].file
        return self.run.source if self.source_is_volume else place(made)

    def table(self, name: str) -> Options | None:
        """The options of a table by its name; None where it is not there."""
        return cast("Options | None", getattr(self, name))

    def resolved(self, name: str, place: Place) -> Options | None:
        """The options of a stage, with what a run decides where they leave it open."""
        stage, options = registered()[name], self.table(name)
        return stage.resolve(self, place) if stage.resolve and options is not None else options

    def has(self, stage: Stage) -> bool:
        """Whether a run of this workflow has a stage; without a source, those that need none."""
        if not self.run.source:
            without = [
                one
                for one in registered().values()
                if one.needs_no_source(self) and self._asks(one)
            ]
            if without:
                return stage in without
        return self._asks(stage)

    def _asks(self, stage: Stage) -> bool:
        if callable(stage.in_run):
            return bool(stage.in_run(self))
        return stage.in_run == "always" or (
            stage.in_run == "table" and self.table(stage.name) is not None
        )


def _fields() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stage in registered().values():
        for name, kind in stage.tables.items() if stage.in_run != "never" else ():
            if stage.in_run == "table" and name == stage.name:
                found[name] = (kind | None, Field(None, description=stage.help))
            else:
                found[name] = (kind, Field(kind(), description=stage.help))
    return found


if TYPE_CHECKING:

    class Workflow(Tables):
        """A whole workflow file, with the table of every stage that is registered."""

        def __getattr__(self, table: str) -> Any: ...
else:
    Workflow = create_model(
        "Workflow", __base__=Tables, __doc__=Tables.__doc__, __module__=__name__, **_fields()
    )


@patient
def load_workflow(
    path: str | Path, *, flags: Iterable[str] = (), environment: Mapping[str, str] = os.environ
) -> Workflow:
    """The options of a TOML file, overruled by the environment, then by `flags` (table.key=value).

    ConfigError, one line, names the key that is wrong and what it may be.
    """
    tables = tables_of(path)
    overrule(tables, environment)
    for flag in flags:
        set_option(tables, flag)
    return parsed(Workflow, tables, where=str(path))


@patient
def tables_of(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file as they stand there, but for paths; ConfigError if it is none."""
    try:
        tables: dict[str, Any] = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the workflow file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    anchor(tables, Workflow, Path(path).parent)
    return tables
