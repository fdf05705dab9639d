"""Model folders: which there are, and their cards. What needs the weights is in `weights.py`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from volproc.errors import ModelError
from volproc.faults import first_line
from volproc.location import filesystem_of
from volproc.model.card import FORMAT, Card, Format
from volproc.retry import patient

WEIGHTS, INT8, CARD = "weights.safetensors", "int8.safetensors", "card.json"
SHIPPED = Path(__file__).parent / "shipped"


def load_card(folder: Path | str) -> Card:
    """The card of a model's folder or of a shipped model, checked.

    ModelError if it is missing or not usable.
    """
    path = f"{model_folder(str(folder))}/{CARD}"
    content = read_file(path)
    try:
        card = Card.model_validate_json(content)
    except ValidationError as error:
        _refuse_later_format(content, path)
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"{path} is not a model card of this version: {place}: "
            f"{first['msg'].removeprefix('Value error, ')}"
        ) from error
    spec = card.spec
    stated = (card.slices_in, card.slices_out, card.reach, card.stride)
    actual = (spec.slices_in, spec.slices_out, spec.reach, spec.stride)
    if stated != actual:
        raise ModelError(
            f"{path} says slices in, out, reach, stride = {stated}, its network has {actual}; "
            "use the card that came with the weights"
        )
    return card


def _refuse_later_format(content: bytes, path: str) -> None:
    """ModelError if that is all that is wrong with the card, as far as this version can tell."""
    with suppress(ValueError, AttributeError):
        stated = json.loads(content).get("format")
        if isinstance(stated, str) and stated not in get_args(Format):
            raise ModelError(
                f"{path} has format {stated!r}, this volproc reads up to {FORMAT!r}: a later one "
                "wrote it; update volproc"
            )


@patient
def model_folder(name: str) -> Path | str:
    """The folder of a shipped model, or `name` as a path; ModelError if there is neither.

    A URL is returned as it is: what lies there, `load_card` finds out.
    """
    if "://" in name:
        return name.rstrip("/")
    shipped = SHIPPED / name
    folder = shipped if "/" not in name and (shipped / CARD).is_file() else Path(name)
    if not folder.is_dir():
        known = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD}"))) or "none"
        raise ModelError(f"no model {name!r}: neither a folder nor shipped (shipped: {known})")
    return folder


def cards_in(folder: Path | str = "") -> tuple[tuple[str, Card], ...]:
    """Name or path, and card, of the shipped models and of the model folders in `folder`.

    ModelError for a card that is not usable, and where `folder` is none.
    """
    if folder and not Path(folder).is_dir():
        raise ModelError(f"{folder} is not a folder; give one that holds model folders")
    shipped = ((path.parent.name, path.parent) for path in sorted(SHIPPED.glob(f"*/{CARD}")))
    cards = sorted(Path(folder).glob(f"*/{CARD}")) if folder else []
    there = ((str(path.parent), path.parent) for path in cards)
    return tuple((name, load_card(place)) for name, place in (*shipped, *there))


@patient
def read_file(url: str) -> bytes:
    """The content of a file of a model folder; ModelError where there is none."""
    filesystem, path = filesystem_of(url)
    try:
        content: bytes = filesystem.cat_file(path)
    except OSError as error:
        only = ", the only kind that is read at a URL" if "://" in url else ""
        raise ModelError(
            f"cannot read {url}: {error.strerror or first_line(error)}; a model is a folder with "
            f"{WEIGHTS} and {CARD}{only}"
        ) from error
    return content


@patient
def file_bytes(url: str) -> int:
    """The size of a file at a path or URL; 0 where there is none."""
    filesystem, path = filesystem_of(url)
    try:
        return int(filesystem.info(path)["size"] or 0)
    except (FileNotFoundError, NotADirectoryError):
        return 0
