"""Wall time and memory of `volproc annotate` on the drawings of a large project.

    python benchmarks/crowd_scale.py DATA FOLDER [--slices 4241] [--volunteers 30] [--method cria]

4,241 slices of 2000 x 2000 voxels is what volunteers of Etch-a-Cell drew on, here with 30 of a
typical crowd on each. Outlines are those of the nucleus in DATA/hela-roi329/labels5_10nm.tif, for
each slice turned, moved and resized anew. The export goes to FOLDER/drawings.csv in the form of
classifier 1, which is the longer one, and stays for the next run; the image it was drawn on is an
OME-Zarr without voxels, since annotate reads only its size. Costs count all processes and their
start (processes.py); the two workers of annotate are volproc's own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile
from processes import Cost, measured

from volproc import __version__
from volproc.grid.scale import VoxelNm
from volproc.stages.crowd.export_rows import Export, Parts, header
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.visible_outlines import FRAME_VOXELS, Outline, trace
from volproc.stages.crowd.volunteers import panel, volunteers
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

PLANE = (2000, 2000)
VOXEL_NM = VoxelNm((50.0, 10.0, 10.0))
NM = VOXEL_NM[1:]
NUCLEUS = (1, 2)
SLICES_OF_CELL = range(300)
PART_SLICES = 32
PROCESSES = 2
PEOPLE = 500


def outlines_of_cell(labels: Path, z: int) -> tuple[Outline, ...]:
    """What there is to draw on slice `z` of the real cell."""
    return trace(np.isin(tifffile.imread(labels, key=z), NUCLEUS), NM)


def turned(outlines: tuple[Outline, ...], z: int) -> tuple[Outline, ...]:
    """The outlines turned, moved and resized, all alike; nothing leaves the image."""
    rng = np.random.default_rng((z, 5))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array(PLANE) * NM / 2
    by, move = rng.uniform(0.8, 1.1), rng.uniform(-1500, 1500, 2)
    return tuple(_placed(o, (o.points - middle) @ turn * by + middle + move) for o in outlines)


def _placed(outline: Outline, points: np.ndarray) -> Outline:
    within = np.clip(points, 0, np.array(PLANE) * NM)
    edge = FRAME_VOXELS * np.array(NM)
    hidden = ((within < edge) | (within > np.array(PLANE) * NM - edge)).any(axis=1)
    return replace(outline, points=within, hidden=hidden)


def write_part(
    cell: list[tuple[Outline, ...]], export: Export, parts: Parts, slices: int, index: int
) -> int:
    """Draw and write the rows of one part; how many slices it has."""
    people = volunteers("typical", seed=0, count=PEOPLE)
    text = []
    here = range(index * PART_SLICES, min((index + 1) * PART_SLICES, slices))
    for z in here:
        outlines = turned(cell[z % len(cell)], z)
        shown_to = panel(people, z, count=export.volunteers)
        votes = [draw(outlines, who, z=z, shape_yx=PLANE, nm=NM) for who in shown_to]
        text.append(export.rows(z, votes))
    parts.save(index, "".join(text))
    return len(here)


def make_export(labels: Path, out: Path, *, slices: int, count: int) -> None:
    """The CSV of the whole project, written in parts by two processes and joined."""
    shape = (slices, *PLANE)
    export = Export("scale", shape, VOXEL_NM, scale=0.5, classifier=1, volunteers=count)
    parts, indices = Parts(f"{out}.parts"), range(-(-slices // PART_SLICES))
    with get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.map(partial(outlines_of_cell, labels), SLICES_OF_CELL, chunksize=10)
        cell = [outlines for outlines in found if outlines]
        done = 0
        for some in pool.imap_unordered(partial(write_part, cell, export, parts, slices), indices):
            done += some
            print(f"\rdrawing: {done} of {slices} slices", end="", flush=True)
    print()
    parts.join(str(out), indices, first=header())
    parts.remove(indices)


def make_image(url: Path, slices: int) -> None:
    """The image volume, with its metadata and without a voxel."""
    info = new_volume(str(url), shape=(slices, *PLANE), voxel_nm=VOXEL_NM, dtype="uint8")
    create_volume(info, step="benchmark", digest="none", version=__version__).finish()


def annotate(given: argparse.Namespace, csv: Path, image: Path) -> Cost:
    """What `volproc annotate` costs."""
    labels = given.folder / f"labels-{given.method}.zarr"
    for left in given.folder.glob(f"labels-{given.method}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    command = [sys.executable, "-m", "volproc", "annotate", csv, image, labels]
    return measured(
        [*map(str, command), "--method", given.method], log=given.folder / "annotate.log"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", type=int, default=4241)
    parser.add_argument("--volunteers", type=int, default=30)
    parser.add_argument("--method", default="cria")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    name = f"{given.slices}x{given.volunteers}"
    csv, image = given.folder / f"drawings-{name}.csv", given.folder / f"image-{given.slices}.zarr"
    if not csv.exists():
        labels = given.data / "hela-roi329" / "labels5_10nm.tif"
        make_export(labels, csv, slices=given.slices, count=given.volunteers)
    if not image.exists():
        make_image(image, given.slices)
    cost = annotate(given, csv, image)
    told = {"export_bytes": csv.stat().st_size, "classifications": given.slices * given.volunteers}
    result = {"method": given.method, "slices": given.slices, **told, **asdict(cost)}
    (given.folder / f"scale-{given.method}-{name}.json").write_text(json.dumps(result, indent=1))
    print("| method | slices | volunteers | export GB | wall s | CPU s | largest process GB |")
    print("|---" * 7 + "|")
    cells = [given.method, given.slices, given.volunteers]
    cells += [f"{told['export_bytes'] / 1e9:.2f}", f"{cost.wall_s:.0f}", f"{cost.cpu_s:.0f}"]
    print(f"| {' | '.join(map(str, cells))} | {cost.largest_bytes / 1e9:.2f} |")
    sys.exit(cost.code)


if __name__ == "__main__":
    main()
