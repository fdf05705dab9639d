"""The description of a stage: its command, its function and its place in a run come from it.

    STAGE = Stage(
        name="smooth", help="Smooth an image.", options=SmoothOptions,
        inputs=(Input("image", "The image.", sources=("ingest.out", "run.source")),),
        outputs=(Output("out", "The smoothed image.", file="smoothed.zarr"),),
        package=__name__, lines=lines_of_volume,
    )

A stage is its folder, whose `__init__.py` holds its `STAGE`, and its name in
`workflow/registry.py`; in another package, an entry point of the group `volproc.stages`.
Descriptions are light: `stage.py`, which plans and runs, is imported when it is needed, so that
`--help` does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from volproc.config.options import Options

if TYPE_CHECKING:
    from volproc.engine.events import Watcher
    from volproc.engine.run import Runner
    from volproc.volume.metadata import VolumeInfo

T = TypeVar("T", bound=Options)
Find = Callable[[str], "VolumeInfo"]


@dataclass(frozen=True)
class Input:
    """Something a stage reads: a volume, or with `kind` a file or a source of images.

    `sources` are the outputs of other stages ("label.out") that it may be in a run, the first
    that the run has; "run.source" is the image that a run is given. An option of the same name
    holds the path where a workflow file names it, or, as a boolean, asks for it.
    """

    name: str
    help: str
    sources: tuple[str, ...] = ()
    required: bool = True
    kind: Literal["volume", "file", "source"] = "volume"
    metavar: str = ""
    nullable: bool = False
    """Whether None may be given, for what is not at hand."""
    only_in_run: bool = False
    """Whether single commands do not take it."""


@dataclass(frozen=True)
class Output:
    """Something a stage writes; `file` is its name in a run's folder.

    What is not required is written where a command names a place for it, and in a run unless a
    boolean option of the same name is false. `path_option` is the option that holds its place.
    """

    name: str
    help: str
    file: str
    required: bool = True
    metavar: str = ""
    path_option: str = ""
    flags: tuple[str, ...] = ()
    """Other names of its flag."""


@dataclass(frozen=True)
class Request:
    """What a stage is asked to plan: its options, its inputs, and the places of its outputs."""

    tables: Mapping[str, Options]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """A path, URL or VolumeInfo by name; absent where none is given."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    find: Find | None = None
    """Opens a volume, or says what it will be where a run is still to make it."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """In a run: the stage that makes an input."""
    coming: Callable[[str], Any] = lambda stage: None
    """In a run: the plan of a stage that is still to be run, None where nothing is to come."""
    watchers: Sequence[Watcher] = ()
    stages: Mapping[str, Stage] = field(default_factory=dict)
    """Other stages, for those that are made of them."""
    run: Any = None
    """The `Plans` of the whole run that it is part of."""

    def table(self, kind: type[T]) -> T:
        """The options of a kind."""
        return next(one for one in self.tables.values() if isinstance(one, kind))

    def volume(self, name: str, *, voxel_nm: Any = None) -> VolumeInfo:
        """The metadata of the volume that an input is."""
        given = self.inputs[name]
        if isinstance(given, str):
            return self.opened(given, voxel_nm=voxel_nm)
        return cast("VolumeInfo", given)

    def opened(self, url: str, *, voxel_nm: Any = None) -> VolumeInfo:
        """The metadata of the volume at `url`, which a run may still have to make."""
        if self.find:
            return self.find(url)
        from volproc.volume.store import open_volume

        return open_volume(url, voxel_nm=voxel_nm).info

    def given(self, name: str) -> VolumeInfo | None:
        """The same, None where the input is not there."""
        return self.volume(name) if self.inputs.get(name) is not None else None

    def path(self, name: str) -> str:
        """The path or URL of an input, as it was given."""
        return str(self.inputs[name])

    def out(self, name: str = "") -> str:
        """The place of an output, by default the first; "" where it is not asked for."""
        return self.outputs.get(name, "") if name else next(iter(self.outputs.values()), "")


@dataclass(frozen=True)
class Stage:
    """One step from files to objects: its name, what it reads and writes, its plan and run.

    `in_run` says whether a workflow has it: "always", if its "table" is there, "never" (only as a
    command), or a function of the workflow. `resolve(workflow, place)` returns its options with
    what a run decides where they leave it open. `needs_no_source(workflow)` says whether it names
    all that it works on: then a workflow without a source has it alone. `lines` are what the
    command prints of a result.
    """

    name: str
    help: str
    options: type[Options]
    package: str
    """Its folder: `stage.py` there has `plan_from(request)` and `run_NAME(plan, runner)`."""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    more_options: Mapping[str, type[Options]] = field(default_factory=dict)
    """Further tables by name, such as [fetch] of ingest."""
    in_run: Literal["always", "table", "never"] | Callable[[Any], bool] = "table"
    resolve: Callable[[Any, Callable[[str], str]], Options] | None = None
    needs_no_source: Callable[[Any], bool] = lambda workflow: False
    command: bool = True
    """Whether it is a command and a function of its own."""
    after: tuple[str, ...] = ()
    """Stages that come before it in a run though none of its inputs says so."""
    lines: Callable[[Any, Mapping[str, Options]], Iterable[Any]] = lambda result, tables: ()
    returns: str = "Any"
    """The dotted name of the type of its result, or Any."""
    about_result: str = ""
    """What comes back, for the docstring."""
    arguments: tuple[str, ...] = ()
    """What is positional on the command line, in order; by default what is required."""

    def plan(self, request: Request) -> Any:
        """Everything decided about what is asked for, before a voxel is read."""
        return import_module(f"{self.package}.stage").plan_from(request)

    def run(self, plan: Any, runner: Runner) -> Any:
        """What a plan makes."""
        return getattr(import_module(f"{self.package}.stage"), f"run_{self.name}")(plan, runner)

    @property
    def tables(self) -> dict[str, type[Options]]:
        """Its kinds of options, by the name of their table in a workflow file."""
        return {self.name: self.options, **self.more_options}

    @property
    def places(self) -> tuple[Input | Output, ...]:
        """What it reads and writes."""
        return (*self.inputs, *self.outputs)

    @property
    def positional(self) -> tuple[str, ...]:
        """Names of what is positional on the command line."""
        required = [one.name for one in self.places if one.required]
        return self.arguments or tuple(required)

    def asks(self, name: str) -> bool:
        """Whether a boolean option of this name asks for an input or output."""
        found = self.options.model_fields.get(name)
        return found is not None and found.annotation is bool

    def names(self, name: str) -> bool:
        """Whether an option of this name holds the path of an input."""
        return name in self.options.model_fields and not self.asks(name)

    def before(self) -> set[str]:
        """The stages that come before it."""
        made = (source.partition(".")[0] for one in self.inputs for source in one.sources)
        return {*made, *self.after} - {"run"}


def lines_of_volume(volume: Any, tables: Mapping[str, Options]) -> Iterator[str]:
    """A finished volume in a few lines."""
    info = volume.info
    size = " x ".join(map(str, info.shape))
    voxel = " x ".join(f"{v:g}" for v in info.voxel_nm)
    yield (
        f"{info.url}: {size} voxels of {voxel} nm, {len(info.levels)} levels, "
        f"{prod(info.shape) / 1e6:.4g} Mvoxel"
    )
    if "files_taken" in info.provenance:
        yield info.provenance["files_taken"]
    filled = info.provenance.get("filled_slices")
    if filled:
        yield f"{len(filled)} slices are in no file and were filled: {filled}"
    for note in info.provenance.get("model_notes", ()):
        yield f"its model: {note}"
    if "nothing_found" in info.provenance:
        yield info.provenance["nothing_found"]
    if "skipped_blocks" in info.provenance:
        skipped, blocks = (info.provenance[key] for key in ("skipped_blocks", "blocks"))
        yield f"{skipped:,} of {blocks:,} blocks hold nothing and were skipped"
