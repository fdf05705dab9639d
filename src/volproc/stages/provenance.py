"""Who made what lies at a place, and from what.

absent       nothing is there
begun        this stage began it from the same recipe: it is gone on with
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
class Found:
    """What lies at a place where a stage will write."""

    url: str
    state: State
    maker: str = ""
    why: Difference = SAME
    edited: bool = False


def write_provenance(
    url: str, recipe: Recipe, *, finished: bool, folder: bool, **told: Any
) -> None:
    """Record who made a folder or a file, so that nobody else replaces it."""
    record = {
        "step": recipe.stage,
        "version": __version__,
        "digest": recipe.digest,
        "recipe": recipe.record(),
        "finished": finished,
        **told,
    }
    write_file(_record(url, folder=folder), json.dumps(record, indent=1).encode())


def read_provenance(url: str) -> dict[str, Any]:
    """volproc's own record of the volume, folder or file at `url`; empty where there is none."""
    volume = provenance_of(url)
    if volume:
        return volume
    for folder in (True, False):
        place = _record(url, folder=folder)
        try:
            told = json.loads(read_file(place)) if exists(place) else None
        except ValueError:
            told = None
        if isinstance(told, dict):
            return told
    return {}


def _record(url: str, *, folder: bool) -> str:
    return f"{url.rstrip('/')}/{RECORD}" if folder else f"{url.rstrip('/')}.volproc/{RECORD}"


def found_at(url: str, recipe: Recipe) -> Found:
    """What lies at `url`, seen by a stage that would write there from `recipe`."""
    if not is_occupied(url):
        return Found(url, "absent")
    told = read_provenance(url)
    if told.get("step") != recipe.stage:
        return Found(url, "foreign", maker=str(told.get("step", "")))
    finished = bool(told.get("finished"))
    edited = finished and _edited(url)
    if told.get("digest") == "being created":
        return Found(url, "begun", maker=recipe.stage)
    why = difference(told.get("recipe", {}), recipe)
    if why:
        return Found(url, "other", recipe.stage, why, edited)
    return Found(url, "done" if finished else "begun", recipe.stage, why, edited)


def _edited(url: str) -> bool:
    """Whether a finished volume's files are others than when it was finished."""
    noted = noted_content(url)
    return bool(noted) and _content_now(url) != noted


def _content_now(url: str) -> str:
    try:
        return content(read_info(url))
    except VolumeError:
        return "damaged"  # whoever looks into it will be told
