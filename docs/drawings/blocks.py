"""Blocks and halos: which voxels a task reads, and which it writes."""

from __future__ import annotations

from canvas import Canvas

CELL, COLUMNS, ROWS, HALO = 78, 4, 3, 20
LEFT, TOP = 30, 52


def draw() -> str:
    """A volume cut into blocks with one of them at work, and a row of blocks from the side."""
    told = "A volume is cut into blocks. A block writes its core and also reads a halo around it."
    canvas = Canvas(800, 336, told)
    _grid(canvas)
    _row(canvas)
    return canvas.svg()


def _grid(canvas: Canvas) -> None:
    canvas.text(LEFT, 32, "A volume, cut into blocks", "bold")
    for row in range(ROWS):
        for column in range(COLUMNS):
            canvas.rect(LEFT + column * CELL, TOP + row * CELL, CELL, CELL, "empty")
    x, y = LEFT + CELL, TOP + CELL
    canvas.rect(x - HALO, y - HALO, CELL + 2 * HALO, CELL + 2 * HALO, "halo")
    canvas.rect(x, y, CELL, CELL, "core")
    canvas.text(x + CELL / 2, y + CELL / 2 + 5, "core", anchor="middle")
    canvas.text(x + CELL / 2, y - 6, "halo", anchor="middle")
    canvas.text(
        LEFT, TOP + ROWS * CELL + 26, "One task reads core and halo, and writes the core.", "small"
    )


def _row(canvas: Canvas) -> None:
    left, width, gap = 440, 100, 66
    canvas.text(left - 20, 32, "Three blocks of a row", "bold")
    for number in range(3):
        x, y = left + number * width, TOP + 16 + number * gap
        first, last = number == 0, number == 2
        start = x - (0 if first else HALO)
        canvas.rect(start, y, width + HALO * (1 if first or last else 2), 40, "halo")
        canvas.rect(x, y, width, 40, "core")
        canvas.text(x + width / 2, y + 25, f"block {number + 1}", anchor="middle")
    y = TOP + 16 + 3 * gap
    canvas.rect(left, y, 3 * width, 22, "core")
    for number in (1, 2):
        canvas.path(f"M{left + number * width} {y}v22")
    canvas.text(left, y + 42, "Together: every voxel is written once.", "small")
