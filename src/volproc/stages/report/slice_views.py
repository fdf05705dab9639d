"""What the pictures of slices are, as plain values, and the colours of the votes."""

from __future__ import annotations

from dataclasses import dataclass, field

VOTE_COLOURS = {
    "": "#000000",
    "z": "#4d6bff",
    "y": "#2fd04f",
    "yz": "#27d8e0",
    "x": "#ff3b3b",
    "xz": "#f04be0",
    "xy": "#f5d90a",
    "xyz": "#ffffff",
}
"""Of pictures, legend and bars; the keys are the axes that say yes, as `vote_layer` counts them."""
SAFE_COLOURS = {
    "": "#000000",
    "z": "#0072b2",
    "y": "#009e73",
    "yz": "#56b4e9",
    "x": "#d55e00",
    "xz": "#cc79a7",
    "xy": "#f0e442",
    "xyz": "#ffffff",
}
"""The same told apart by all eyes: Okabe and Ito, Color Universal Design, 2008."""
PALETTES = (tuple(VOTE_COLOURS.values()), tuple(SAFE_COLOURS.values()))
PICTURE = {"is_picture": True}
"""Metadata of what is left out of the page's twin."""


@dataclass(frozen=True)
class SlicePanel:
    """A picture: its source as a data URI, and what it shows in words.

    `layers` are the votes over it, in the usual colours and in those that all eyes tell apart.
    """

    uri: str = field(metadata=PICTURE)
    alt: str
    caption: str
    layers: tuple[str, ...] = field(default=(), metadata=PICTURE)


@dataclass(frozen=True)
class SliceRow:
    """One slice: the image with outlines, and beside it the votes if there are any."""

    index: int
    of: int
    at_um: float
    panels: tuple[SlicePanel, ...]


@dataclass(frozen=True)
class AxisView:
    """All slices along one axis."""

    axis: str
    down: str
    across: str
    width: int
    height: int
    pixel_nm: float
    bar_um: float
    bar_share: float
    rows: tuple[SliceRow, ...]
