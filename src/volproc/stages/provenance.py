"""The provenance of an output: who made what is there, and from what.

absent       nothing is there
begun        this stage began it from the same recipe: it is continued
done         this stage finished it from the same recipe
other        this stage made it from another recipe
foreign      another stage made it, or nobody knows who
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from volproc import __version__
from volproc.engine.recipe import Difference, Recipe, difference
from volproc.errors import VolumeError
from volproc.volume.access import exists, is_occupied
from volproc.volume.creation import provenance_of
from volproc.volume.file_io import read_file, write_file
from volproc.volume.fingerprint import content, noted_content
from volproc.volume.metadata_reader import read_info

SAME = Difference()
RECORD = "made.json"
"""In a folder that a stage wrote, or in FILE.volproc beside a file."""
State = Literal["absent", "begun", "done", "other", "foreign"]


@dataclass(frozen=True)
class ExistingOutput:
    """What is at a place where a stage will write."""

    url: str
    state: State
    maker: str = ""
    why: Difference = SAME
    edited: bool = False


def write_provenance(
    url: str, recipe: Recipe, *, finished: bool, folder: bool, **more: Any
) -> None:
    """Record who made a folder or a file, so that no other stage replaces it."""
    record = {
        "step": recipe.stage,
        "version": __version__,
        "digest": recipe.digest,
        "recipe": recipe.record(),
        "finished": finished,
        **more,
    }
    write_file(_record(url, folder=folder), json.dumps(record, indent=1).encode())


def read_provenance(url: str) -> dict[str, Any]:
    """The provenance of the volume, folder or file at `url`; empty if volproc did not make it."""
    volume = provenance_of(url)
    if volume:
        return volume
    for folder in (True, False):
        place = _record(url, folder=folder)
        try:
            record = json.loads(read_file(place)) if exists(place) else None
        except ValueError:
            record = None
        if isinstance(record, dict):
            return record
    return {}


def _record(url: str, *, folder: bool) -> str:
    return f"{url.rstrip('/')}/{RECORD}" if folder else f"{url.rstrip('/')}.volproc/{RECORD}"


def existing_output(url: str, recipe: Recipe) -> ExistingOutput:
    """What is at `url`, for a stage that would write there from `recipe`."""
    if not is_occupied(url):
        return ExistingOutput(url, "absent")
    record = read_provenance(url)
    if record.get("step") != recipe.stage:
        return ExistingOutput(url, "foreign", maker=str(record.get("step", "")))
    finished = bool(record.get("finished"))
    edited = finished and _edited(url)
    if record.get("digest") == "being created":
        return ExistingOutput(url, "begun", maker=recipe.stage)
    why = difference(record.get("recipe", {}), recipe)
    if why:
        return ExistingOutput(url, "other", recipe.stage, why, edited)
    return ExistingOutput(url, "done" if finished else "begun", recipe.stage, why, edited)


def _edited(url: str) -> bool:
    """Whether the files of a finished volume have changed since."""
    noted = noted_content(url)
    return bool(noted) and _content_now(url) != noted


def _content_now(url: str) -> str:
    try:
        return content(read_info(url))
    except VolumeError:
        return "damaged"  # whoever looks into it will be record
