"""Where an answer errs most: squares of slices, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box
from volproc.stages.evaluate.against import WINDOW
from volproc.stages.evaluate.result import Answer, Target
from volproc.stages.evaluate.score_blocks import ScoreBlocks
from volproc.stages.pictures import Bytes, data_uri, grey, voted
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.volume.display_window import window
from volproc.volume.metadata import VolumeInfo
from volproc.volume.sampling import overlap
from volproc.volume.store import Volume

MARGIN = 32
"""Voxels shown around a square."""
MIN_SPACING = 5
"""Slices between two pictures of one square: neighbours would look alike."""
BACKGROUND = 40
"""Grey where there is no image."""


@dataclass(frozen=True)
class WorstPlace:
    """A square of a slice with `errors` wrong voxels, and its picture as a data URI."""

    z: int
    start: tuple[int, int]
    shape: tuple[int, int]
    errors: int
    uri: str


def worst_places(
    task: ScoreBlocks, errors: SparseSums, number: int, *, image: VolumeInfo | None, count: int = 6
) -> tuple[WorstPlace, ...]:
    """The squares of the answer of this number with the most voxels of one side only."""
    return tuple(
        _place(task, number, z, row, column, wrong, image)
        for z, row, column, wrong in _worst(errors, count)
    )


def _worst(errors: SparseSums, count: int) -> list[tuple[int, int, int, int]]:
    order = np.lexsort((*errors.keys.T[::-1], -errors.counts))
    chosen: list[tuple[int, int, int, int]] = []
    for k in order:
        z, row, column = map(int, errors.keys[k])
        near = any(
            (row, column) == other[1:3] and abs(z - other[0]) < MIN_SPACING for other in chosen
        )
        if not near:
            chosen.append((z, row, column, int(errors.counts[k])))
        if len(chosen) == count:
            break
    return chosen


def _place(
    task: ScoreBlocks,
    number: int,
    z: int,
    row: int,
    column: int,
    wrong: int,
    image: VolumeInfo | None,
) -> WorstPlace:
    square = Box(
        (z, row * WINDOW, column * WINDOW), (z + 1, (row + 1) * WINDOW, (column + 1) * WINDOW)
    )
    box = square.grow((0, MARGIN, MARGIN)).clip(task.scored)
    truth, answer = _both(task, number, box)
    shown = _grey(image, task, box)
    # red: of the result only; blue: of the truth only; white: of both
    yes = np.stack([answer, truth & answer, truth])
    picture = data_uri(voted(shown, yes))
    return WorstPlace(z, box.start[1:], box.shape[1:], wrong, picture)


def _both(
    task: ScoreBlocks, number: int, box: Box
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The ground truth and the answer on a slice, without what is ignored; shape (y, x)."""
    name = task.names[number]
    target, answer = next(found for found in _answers(task, box) if found[1].name == name)
    truth = target.within(task.truth.read(box), what=task.truth.info.url)
    counts = np.ones(truth.shape, bool) if task.ignore is None else task.ignore.read(box) == 0
    return (truth & counts)[0], (answer.inside & counts)[0]


def _answers(task: ScoreBlocks, box: Box) -> Iterator[tuple[Target, Answer]]:
    for target in task.targets:
        for result in task.results:
            for answer in result.answers(result.read(box), box, target):
                yield target, answer


def _grey(image: VolumeInfo | None, task: ScoreBlocks, box: Box) -> Bytes:
    if image is None:
        return np.full(box.shape[1:], BACKGROUND, dtype=np.uint8)
    sampling, both = overlap(image, task.truth.info)
    if not both.contains(box):
        return np.full(box.shape[1:], BACKGROUND, dtype=np.uint8)
    values = sampling.sample_mean(Volume(image).read(sampling.source(box)), box)[0]
    ends = window(values)
    return grey(values, low=ends.start, high=ends.end)
