"""The pictures of the page: the same slices of the image, the objects and the votes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, log10

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.fusion import level_of
from volproc.stages.pictures import (
    Bytes,
    Picture,
    data_uri,
    grey,
    outlined,
    plain,
    two_wide,
    vote_layer,
    voted,
)
from volproc.stages.report.field import field_of
from volproc.stages.report.object_listing import Objects
from volproc.stages.report.shown_slices import (
    Canvas,
    bytes_of_plane,
    canvases,
    indices,
    read_nearest,
    read_smooth,
    spread,
)
from volproc.stages.report.slice_views import PALETTES, AxisView, SlicePanel, SliceRow
from volproc.volume.channels import holds_votes, voted_classes, votes_of_class
from volproc.volume.display_window import window
from volproc.volume.kinds import foreground, foreground_level
from volproc.volume.store import Volume

MAX_NAMED = 12
"""Objects listed in a picture's description."""
COLOUR_OF_AXIS = "xyz"
"""Red, green and blue."""


@dataclass(frozen=True)
class Answer:
    """What was predicted of one class, which has no name where it is the only one; its votes where
    there are several axes to compare."""

    name: str
    prediction: Volume | None
    votes: Volume | None

    def titled(self, what: str) -> str:
        """`what`, and of which class."""
        return f"{what}: {self.name}" if self.name else what


@dataclass(frozen=True)
class Gallery:
    """What is pictured, and on which pixels; `count` slices along each axis."""

    image: Volume
    prediction: Volume | None
    votes: Volume | None
    objects: Volume | None
    canvases: tuple[Canvas, Canvas, Canvas]
    count: int

    @property
    def answers(self) -> tuple[Answer, ...]:
        """What was predicted, class by class."""
        predicted = self.prediction.info.channels if self.prediction else ()
        voted = voted_classes(self.votes.info) if self.votes else ()
        names = predicted or voted
        if not names:
            return (Answer("", self.prediction, self.votes),)
        return tuple(self._answer(name, name in predicted, name in voted) for name in names)

    def _answer(self, name: str, predicted: bool, voted: bool) -> Answer:
        prediction = self.prediction.channel(name) if self.prediction and predicted else None
        votes = self.votes.info if self.votes and voted else None
        mine = Volume(votes_of_class(votes, name, option="class")) if votes else None
        return Answer(name, prediction, mine if mine and mine.info.channels else None)

    @property
    def vote_axes(self) -> tuple[str, ...]:
        """Axes that voted, in the order of their colours."""
        votes = self.answers[0].votes
        voted = votes.info.channels if votes else ()
        return tuple(name for name in COLOUR_OF_AXIS if name in voted)

    @property
    def bytes_read(self) -> int:
        """Raw bytes of the chunks under all pictures."""
        second = self.votes or self.prediction
        shown = [volume.info for volume in (self.image, self.objects, second) if volume]
        once = sum(bytes_of_plane(info, canvas) for info in shown for canvas in self.canvases)
        return self.count * once


def gallery_of(
    image: Volume,
    *,
    prediction: Volume | None,
    votes: Volume | None,
    objects: Volume | None,
    count: int,
) -> Gallery:
    """The pictures to make; VolumeError if a volume covers another space than the image.

    The vote of a single axis has no channels and nothing to be compared with: it is not shown.
    """
    image = field_of(image, [other for other in (prediction, votes, objects) if other])
    if votes and votes.info.channels and not holds_votes(votes.info):
        raise VolumeError(
            f"{votes.info.url} has channels {', '.join(votes.info.channels)}; votes have one per "
            "axis, named x, y and z: run `volproc predict` with [predict] votes = true"
        )
    votes = votes if votes and votes.info.channels else None
    return Gallery(image, prediction, votes, objects, canvases(image.info), count)


@dataclass(frozen=True)
class _Place:
    """A slice: which, and its middle."""

    canvas: Canvas
    index: int
    at_nm: float


@dataclass(frozen=True)
class Shades:
    """The grey values that all pictures show as black and as white."""

    low: float
    high: float


def views(gallery: Gallery, objects: Objects | None) -> tuple[tuple[AxisView, ...], Shades]:
    """All pictures, axis by axis, and what is black and white in them."""
    places = [_places(gallery, canvas, objects) for canvas in gallery.canvases]
    planes = {
        place: read_smooth(gallery.image, place.canvas, place.at_nm)
        for row in places
        for place in row
    }
    # every seventh pixel is enough to find black and white
    shown = window(np.concatenate([plane.ravel()[::7] for plane in planes.values()]))
    shades, found = Shades(shown.start, shown.end), []
    for canvas, row in zip(gallery.canvases, places, strict=True):
        images = (grey(planes[place], low=shades.low, high=shades.high) for place in row)
        rows = (_row(gallery, place, image) for place, image in zip(row, images, strict=True))
        found.append(_view(gallery, canvas, tuple(rows)))
    return tuple(found), shades


def _places(gallery: Gallery, canvas: Canvas, objects: Objects | None) -> list[_Place]:
    axis, info = canvas.axis, gallery.image.info
    voxel_nm, size = info.voxel_nm[axis], info.shape[axis]
    none = np.zeros(0)
    start = objects.start_um[:, axis] * 1000 if objects else none
    stop = objects.stop_um[:, axis] * 1000 if objects else none
    weight = objects.volume_um3 if objects else none
    chosen = spread(start, stop, weight, count=gallery.count, length=size * voxel_nm)
    return [
        _Place(canvas, index, (index + 0.5) * voxel_nm)
        for index in indices(chosen, voxel_nm=voxel_nm, size=size)
    ]


def _view(gallery: Gallery, canvas: Canvas, rows: tuple[SliceRow, ...]) -> AxisView:
    down, across = ("zyx"[side] for side in canvas.sides)
    bar = scale_bar(canvas.width * canvas.pixel_nm / 1000)
    return AxisView(
        axis=canvas.name,
        down=down,
        across=across,
        width=canvas.width,
        height=canvas.height,
        pixel_nm=canvas.pixel_nm,
        bar_um=bar,
        bar_share=bar * 1000 / (canvas.width * canvas.pixel_nm),
        rows=rows,
    )


def _row(gallery: Gallery, place: _Place, image: Bytes) -> SliceRow:
    panels = (_first(gallery, place, image), *_second(gallery, place, image))
    size = gallery.image.info.shape[place.canvas.axis]
    return SliceRow(place.index, size, place.at_nm / 1000, panels)


def _first(gallery: Gallery, place: _Place, image: Bytes) -> SlicePanel:
    where = f"slice {place.canvas.name} = {place.at_nm / 1000:.2f} µm"
    if gallery.objects is None:
        return SlicePanel(data_uri(plain(image)), f"Image, {where}", "Image")
    labels = read_nearest(gallery.objects, place.canvas, place.at_nm)
    ids = [int(i) for i in np.unique(labels) if i]
    picture = outlined(image, labels, two_wide(labels))
    named = ", ".join(map(str, ids[:MAX_NAMED])) + (", …" if len(ids) > MAX_NAMED else "")
    shown = f"{len(ids)} objects (ids {named})" if ids else "no objects here"
    return SlicePanel(
        data_uri(picture), f"Image, {where}, outlined: {shown}", "Image with outlines"
    )


def _second(gallery: Gallery, place: _Place, image: Bytes) -> Iterator[SlicePanel]:
    for answer in gallery.answers:
        yield from _answered(gallery, answer, place, image)


def _answered(
    gallery: Gallery, answer: Answer, place: _Place, image: Bytes
) -> Iterator[SlicePanel]:
    where = f"slice {place.canvas.name} = {place.at_nm / 1000:.2f} µm"
    of = f" for {answer.name}" * bool(answer.name)
    if answer.votes is not None:
        yes = _votes(answer.votes, place)
        some = yes.any(axis=0).sum()
        agreed = yes[[COLOUR_OF_AXIS.index(a) for a in gallery.vote_axes]].all(axis=0).sum()
        share = f"all agree on {100 * agreed / some:.0f}% of it" if some else "none"
        alt = f"Votes of the axes{of} over the image, {where}: {share}"
        layers = tuple(data_uri(vote_layer(yes, palette)) for palette in PALETTES)
        yield SlicePanel(data_uri(plain(image)), alt, answer.titled("Votes"), layers)
    elif answer.prediction is not None:
        picture = _predicted(answer.prediction, place, image)
        alt = f"Prediction{of} in white over the image, {where}"
        yield SlicePanel(data_uri(picture), alt, answer.titled("Prediction"))


def _votes(votes: Volume, place: _Place) -> npt.NDArray[np.bool_]:
    """Who votes yes at each pixel, always three channels: x, y, z."""
    values = read_nearest(votes, place.canvas, place.at_nm)
    yes = np.zeros((3, *values.shape[1:]), dtype=bool)
    for name, vote in zip(votes.info.channels, values, strict=True):
        if name in COLOUR_OF_AXIS:
            yes[COLOUR_OF_AXIS.index(name)] = vote >= level_of(0.5)
    return yes


def _predicted(prediction: Volume, place: _Place, image: Bytes) -> Picture:
    values = read_nearest(prediction, place.canvas, place.at_nm)
    level = foreground_level(prediction.info, threshold=0.5)
    inside = foreground(values, level=level, what=prediction.info.url)
    return voted(image, np.stack([inside] * 3))


def scale_bar(width_um: float) -> float:
    """The longest of 1, 2, 5, 10 ... um that fits in a quarter of the picture.

    >>> scale_bar(40.0), scale_bar(1.5)
    (10.0, 0.2)
    """
    room = width_um / 4
    power = 10.0 ** floor(log10(room))
    return float(max(step * power for step in (1, 2, 5) if step * power <= room))
