"""Is an OME-Zarr made from a MadeVolume right, and how fast are boxes of it read? Anyone's file.

Reads with zarr alone, not with volproc, so that all writers are judged by the same reader.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from made_series import MadeVolume, Shape

Slices = tuple[slice, slice, slice]


def levels_of(out: Path) -> list[Any]:
    """The arrays of its pyramid, finest first (OME-Zarr 0.4 or 0.5)."""
    group = zarr.open_group(out, mode="r")
    attributes = dict(group.attrs)
    described: Any = attributes.get("ome", attributes)
    return [group[one["path"]] for one in described["multiscales"][0]["datasets"]]


def wrong_voxels(finest: Any, volume: MadeVolume, *, boxes: int, seed: int = 0) -> int:
    """Voxels of random boxes that are not the made ones."""
    drawn = random_boxes(volume.shape, boxes, seed=seed)
    return sum(int((finest[box] != volume.box(*box)).sum()) for box in drawn)


def errors_of_mean(finer: Any, coarser: Any, *, boxes: int, seed: int = 0) -> tuple[float, float]:
    """Greatest distance and mean difference of a level from the exact mean of the one before.

    Rounding leaves at most 0.5 and about 0. At an odd end only the voxels that exist count.
    """
    steps = [round(n / m) for n, m in zip(finer.shape, coarser.shape, strict=True)]
    far, bias = 0.0, []
    for box in random_boxes(coarser.shape, boxes, seed=seed):
        under = tuple(slice(b.start * s, b.stop * s) for b, s in zip(box, steps, strict=True))
        difference = coarser[box] - exact_mean(finer[under], steps)
        far = max(far, float(np.abs(difference).max()))
        bias.append(float(difference.mean()))
    return far, float(np.mean(bias))


def exact_mean(values: npt.NDArray[Any], steps: list[int]) -> npt.NDArray[np.float64]:
    """The mean of every `steps` voxels, those beyond the end left out."""
    beyond = [(0, -n % s) for n, s in zip(values.shape, steps, strict=True)]
    there = np.ones(values.shape, dtype=np.uint8)
    return _sums(np.pad(values, beyond), steps) / _sums(np.pad(there, beyond), steps)


def _sums(values: npt.NDArray[Any], steps: list[int]) -> npt.NDArray[np.float64]:
    split = [n for m, s in zip(values.shape, steps, strict=True) for n in (m // s, s)]
    return np.asarray(values.reshape(split).sum(axis=(1, 3, 5)), dtype=float)


def halo_reads(finest: Any, *, reads: int, halo: int, seed: int = 1) -> tuple[float, float]:
    """MB per CPU second, and per second, of reading random boxes grown by a halo: warm files."""
    boxes = random_boxes(finest.shape, reads, seed=seed, halo=halo)
    for box in boxes[: reads // 4]:
        finest[box]
    began, cpu = time.perf_counter(), time.process_time()
    megabytes = sum(finest[box].nbytes for box in boxes) / 1e6
    return megabytes / (time.process_time() - cpu), megabytes / (time.perf_counter() - began)


def random_boxes(shape: Shape, count: int, *, seed: int, halo: int = 0) -> list[Slices]:
    """Boxes of 64 to 128 voxels an axis, anywhere; the first ends at the volume's far corner."""
    rng = np.random.default_rng(seed)

    def ends() -> Iterator[slice]:
        for length in shape:
            size = min(length, int(rng.integers(64, 129)) + 2 * halo)
            start = int(rng.integers(0, length - size + 1))
            yield slice(start, start + size)

    drawn: list[Any] = [tuple(ends()) for _ in range(count)]
    corner = zip(shape, drawn[0], strict=True)
    drawn[0] = tuple(slice(n - (s.stop - s.start), n) for n, s in corner)
    return drawn
