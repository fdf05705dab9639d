"""Components over blocks: numbered apart, united where they touch, numbered again."""

from __future__ import annotations

import numpy as np
from canvas import Canvas
from scipy import ndimage

MASK = """
................
..###......##...
.#####....####..
.####....#####..
..##......##....
................
..####......##..
.##########.###.
.######..##..##.
................
"""
SPLIT, CELL, TOP = 8, 14, 62
COLOURS = ("", "#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#e6ab02", "#66a6e0", "#a6761d")
EIGHT = np.ones((3, 3), dtype=int)


def draw() -> str:
    """Three pictures of a small mask that lies in two blocks."""
    canvas = Canvas(
        880, 250, "Pieces are numbered in each block, united across borders, renumbered."
    )
    mask = np.array([[one == "#" for one in line] for line in MASK.split()])
    apart, count = numbered_apart(mask)
    titles = (
        "1  Each block numbers its pieces",
        "2  Pieces that touch are united",
        "3  New numbers",
    )
    for place, (title, labels) in enumerate(
        zip(titles, (apart, apart, ndimage.label(mask, EIGHT)[0]), strict=True)
    ):
        left = 24 + place * 290
        canvas.text(left, 36, title, "bold")
        _cells(canvas, labels, left, gap=6 if place < 2 else 0)
        if place == 1:
            _links(canvas, apart, left)
    found = ndimage.label(mask, EIGHT)[1]
    canvas.text(24, TOP + 10 * CELL + 24, f"{count} pieces in two blocks", "small")
    canvas.text(314, TOP + 10 * CELL + 24, "lines: pieces that are one object", "small")
    canvas.text(604, TOP + 10 * CELL + 24, f"{found} objects, in reading order", "small")
    return canvas.svg()


def numbered_apart(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Components of the left block, and after them those of the right one."""
    left, count = ndimage.label(mask[:, :SPLIT], EIGHT)
    right, more = ndimage.label(mask[:, SPLIT:], EIGHT)
    return np.hstack([left, np.where(right > 0, right + count, 0)]), count + more


def _cells(canvas: Canvas, labels: np.ndarray, left: float, gap: int) -> None:
    rows, columns = labels.shape
    for start, stop in ((0, SPLIT), (SPLIT, columns)):
        x = left + start * CELL + (gap if start else 0)
        canvas.rect(x, TOP, (stop - start) * CELL, rows * CELL, "empty")
    for (row, column), label in np.ndenumerate(labels):
        if label:
            x = left + column * CELL + (gap if column >= SPLIT else 0)
            canvas.fill(x, TOP + row * CELL, CELL, CELL, COLOURS[label])
    for label in range(1, labels.max() + 1):
        row, column = ndimage.center_of_mass(labels == label)
        x = left + (column + 0.5) * CELL + (gap if column >= SPLIT else 0)
        canvas.text(x, TOP + (row + 0.5) * CELL + 5, str(label), "on-picture", anchor="middle")


def _links(canvas: Canvas, labels: np.ndarray, left: float) -> None:
    """A line between each two pieces that touch where the blocks meet."""
    x = left + SPLIT * CELL
    done = set()
    for row in range(len(labels)):
        for other in range(max(row - 1, 0), min(row + 2, len(labels))):
            pair = labels[row, SPLIT - 1], labels[other, SPLIT]
            if all(pair) and pair not in done:
                done.add(pair)
                y, to = (TOP + (one + 0.5) * CELL for one in (row, other))
                canvas.path(f"M{x - 16:g} {y:g}L{x + 22:g} {to:g}", "#000000", 5)
                canvas.path(f"M{x - 16:g} {y:g}L{x + 22:g} {to:g}", "#ffffff", 2)
