"""What a stage reads and writes, and whether it may: nothing is replaced unless requested."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from volproc import lease
from volproc.engine.recipe import Difference, Recipe
from volproc.engine.run import Runner
from volproc.errors import OutputError
from volproc.stages.provenance import SAME, ExistingOutput, State, existing_output
from volproc.volume.access import canonical, exists, remove_tree
from volproc.volume.file_io import remove_partial_files
from volproc.volume.metadata import VolumeInfo

LABELS = re.compile(r"/labels/[^/]+")


@dataclass(frozen=True)
class Claim:
    """What a stage reads and writes. It owns `volumes`, and `folders` (or files) of other kinds;
    `siblings` are small files next to them that belong to them, `scratch` folders for what blocks
    pass to one another."""

    recipe: Recipe
    inputs: tuple[str, ...]
    volumes: tuple[VolumeInfo, ...] = ()
    folders: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Where the volumes and folders are."""
        return (*(info.url for info in self.volumes), *self.folders)

    @cached_property
    def found(self) -> tuple[ExistingOutput, ...]:
        """What is at each output now."""
        return tuple(existing_output(url, self.recipe) for url in self.outputs)

    @property
    def state(self) -> State:
        """The outputs together: done only if all are, foreign if one is."""
        states = {one.state for one in self.found}
        if len(states) == 1:
            return next(iter(states))
        return next((s for s in ("foreign", "other") if s in states), "begun")

    @property
    def why(self) -> Difference:
        """How what is there differs from what the recipe makes."""
        return next((one.why for one in self.found if one.why), SAME)

    @property
    def edited(self) -> tuple[str, ...]:
        """Outputs that were changed after they were finished."""
        return tuple(one.url for one in self.found if one.edited)


def admit(claim: Claim, runner: Runner) -> None:
    """Let a stage write its outputs, under the lease and before the first byte.

    OutputError where they overlap with its inputs or would replace something without a request.
    """
    claim = replace(claim)  # what was found before the lease was taken may be outdated
    require_apart(claim)
    require_free(claim, overwrite=runner.overwrite, own=runner.own)
    remove_left(claim)
    for url in clear_foreign(claim):
        runner.note(f"{url}: what was there is removed, as --overwrite says")
    if claim.state == "done" and claim.edited:
        _note_edited(claim, runner)
    if claim.state == "other" and not runner.own:  # a run says so before it starts
        runner.note(f"{claim.outputs[0]} is remade: {claim.why}")


def _note_edited(claim: Claim, runner: Runner) -> None:
    """Finished outputs that changed since, by hand or by a bad disk, stay unless told otherwise."""
    way_out = f"--redo {claim.recipe.stage}" if runner.own else "--overwrite"
    changed = f"{claim.edited[0]} was changed after it was finished"
    if runner.overwrite:
        remove_made(claim)
        runner.note(f"{changed}: it is remade, as --overwrite says")
    else:
        runner.note(
            f"{changed}, and stays as it is; `volproc check` reads it, {way_out} remakes it"
        )


def remove_left(claim: Claim) -> None:
    """Remove partial files of a dead owner, except in volumes, where `create_volume` does."""
    for url in (*claim.folders, *claim.scratch, *claim.siblings) if lease.left_by_dead() else ():
        remove_partial_files(url)


def require_apart(claim: Claim) -> None:
    """OutputError if an output is an input, is inside one, or contains one; or if two are the same.

    Links, `./` and other spellings of a path do not hide it. Labels may be in their image, at
    IMAGE.zarr/labels/NAME.
    """
    outputs = {url: canonical(url) for url in (*claim.outputs, *claim.siblings)}
    for url, there in outputs.items():
        for source in claim.inputs:
            what = _collision(there, canonical(source))
            if what:
                raise OutputError(
                    f"{url} would be written, but it {what} {source}, which is read; choose "
                    "another name for the output"
                )
    for (one, here), (other, there) in combinations(outputs.items(), 2):
        if here == there:
            raise OutputError(f"{one} and {other} are one place; name two for the two outputs")


def require_free(claim: Claim, *, overwrite: bool = False, own: bool = False) -> None:
    """OutputError where something would be replaced without a request.

    `own`: the outputs are in a run's own folder, where the run may remake what it made from another
    recipe, unless that was edited since. `overwrite` replaces what volproc made; anything else is
    always left alone.
    """
    for one in claim.found:
        if one.state == "foreign" and not one.maker:
            raise OutputError(
                f"{one.url} exists and was not written by volproc; choose another name or remove it"
            )
        if one.state in ("foreign", "other") and not overwrite:
            _refuse(one, claim, own=own)
    # where an earlier run left its records, files next to a volume that is gone are its own
    ours = own or any(exists(f"{url.rstrip('/')}.volproc/ledger") for url in claim.outputs)
    if all(one.state == "absent" for one in claim.found) and not ours:
        for url in claim.siblings:
            if exists(url):
                raise OutputError(
                    f"{url} exists and would be written beside {claim.outputs[0]}; choose another "
                    "name or remove it"
                )


def _refuse(one: ExistingOutput, claim: Claim, *, own: bool) -> None:
    stage = claim.recipe.stage
    way_out = f"--redo {stage}" if own else "--overwrite"
    if one.state == "foreign":
        raise OutputError(
            f"{one.url} was made by `{one.maker}` and `{stage}` would replace it; choose another "
            "name, or --overwrite to lose what is there"
        )
    if one.edited:
        raise OutputError(
            f"{one.url} was changed after `{stage}` finished it (edited, or copied without its "
            f"dates), and would be remade ({one.why}); copy it elsewhere to keep it, or "
            f"{way_out} to lose it"
        )
    if one.why.unknown or not (own or one.why.edited):
        raise OutputError(
            f"{one.url} was made otherwise ({one.why}); give the same options and inputs to go on "
            f"with it, choose another name, or {way_out} to remake it"
        )


def clear_foreign(claim: Claim) -> tuple[str, ...]:
    """Remove what another stage of volproc made at the outputs; the URLs that were cleared.

    Only after `require_free` has allowed it: the labels of an image go with it.
    """
    gone = tuple(one.url for one in claim.found if one.state == "foreign" and one.maker)
    for url in gone:
        remove_tree(url)
    return gone


def remove_made(claim: Claim) -> None:
    """Remove everything that the stage made, so that it is made again."""
    for url in (*claim.siblings, *claim.scratch, *claim.outputs):
        remove_tree(url)


def _collision(output: str, source: str) -> str:
    if output == source:
        return "is the same place as"
    if source.startswith(f"{output}/"):
        return "holds"
    inside = output.removeprefix(source)
    if not output.startswith(f"{source}/") or LABELS.fullmatch(inside):
        return ""
    names = ("zarr.json", ".zgroup", ".zarray", "attributes.json")
    volume = any(exists(f"{source}/{name}") for name in names)
    return "lies inside" if volume else ""
