"""The report of many objects: its size and cost, and that of the pictures in space alone.

python benchmarks/report_objects.py FOLDER --objects 50000
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.scale import VoxelNm
from volproc.stages.report.object_pictures import turntable
from volproc.stages.report.options import ReportOptions
from volproc.stages.report.run_files import ReportInputs
from volproc.stages.report.stage import plan_report, run_report
from volproc.volume.metadata import Kind, new_volume
from volproc.volume.store import create_volume, open_volume

PITCH = 8
"""Voxels from one object to the next."""
NM = 50.0


def main() -> None:
    """Make the objects, and print what their page costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--objects", type=int, default=50_000)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    inputs = made(asked.folder, count=asked.objects)
    began = time.process_time()
    page = run_report(plan_report(inputs, asked.folder / "report.html", ReportOptions()))
    print(
        f"page: {time.process_time() - began:.1f} CPU s, {Path(page).stat().st_size / 1e6:.2f} MB"
    )
    began = time.process_time()
    pictures = turntable(open_volume(str(inputs.objects)))
    size = sum(map(len, pictures)) / 1e6
    print(f"pictures in space: {time.process_time() - began:.1f} CPU s, {size:.2f} MB")
    print(f"peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


def made(folder: Path, *, count: int) -> ReportInputs:
    """Cuboids on a grid in noise, with doubt and sphericity drawn at random."""
    rng = np.random.default_rng(1)
    side = int(np.ceil(count ** (1 / 3)))
    starts = np.indices((side,) * 3).reshape(3, -1).T[:count] * PITCH
    sizes = np.clip(rng.lognormal(1.2, 0.35, starts.shape).round().astype(int), 1, PITCH - 1)
    labels = np.zeros((side * PITCH,) * 3, np.uint32)
    for number, (start, size) in enumerate(zip(starts, sizes, strict=True), start=1):
        labels[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = number
    image = rng.integers(90, 160, labels.shape).astype(np.uint8)
    image[labels > 0] -= 40
    _write(folder / "image.zarr", image)
    _write(folder / "objects.zarr", labels, kind="labels")
    _table(folder / "objects.csv", starts, sizes, rng)
    return ReportInputs(
        image=str(folder / "image.zarr"),
        objects=str(folder / "objects.zarr"),
        table=str(folder / "objects.csv"),
        title=f"{count:,} objects",
    )


def _table(
    file: Path, starts: npt.NDArray[Any], sizes: npt.NDArray[Any], rng: np.random.Generator
) -> None:
    places = {"start": starts, "stop": starts + sizes, "centroid": starts + sizes / 2}
    names = [f"{kind}_{axis}_nm" for kind in places for axis in "zyx"]
    columns = [
        np.arange(1, len(starts) + 1),
        sizes.prod(axis=1) * NM**3 * 1e-9,
        *(own[:, axis] * NM for own in places.values() for axis in range(3)),
        rng.beta(5, 1, len(starts)),
        rng.uniform(0.4, 1, len(starts)),
    ]
    header = ("id", "volume_um3", *names, "probability_right", "sphericity")
    rows = (",".join(f"{value:.6g}" for value in row) for row in zip(*columns, strict=True))
    text = "\n".join(f"{row},False,its axes disagree" for row in rows)
    file.write_text(f"{','.join(header)},touches_border,reason\n{text}\n")


def _write(place: Path, values: npt.NDArray[Any], *, kind: Kind = "image") -> None:
    info = new_volume(
        str(place),
        shape=values.shape,
        voxel_nm=VoxelNm((NM, NM, NM)),
        dtype=str(values.dtype),
        kind=kind,
        max_levels=2,
    )
    volume = create_volume(info, step="made", digest="made", version="0")
    for n, level in enumerate(info.levels):
        volume.write(level.box, values[:: 2**n, :: 2**n, :: 2**n], level=n)
    volume.finish()


if __name__ == "__main__":
    main()
