"""A volume of 10^12 voxels without its voxels: the merge, and the scheduler.

    python benchmarks/label_teravoxel.py FOLDER [--shape 10000 10000 10000] [--labels 1e9]

Writes what the first pass would leave of every block of 256^3 voxels: tables and faces with 1e9
provisional labels in all, of which 3% lie at a border between blocks and 0.1% are large enough to
stay; most of those at a border go on into one neighbour, some run through the whole volume in rows,
one through all blocks. Then merges and numbers them as `label` does, on two workers, and writes
the table and every block's final ids. Last, as many blocks of a task that does nothing go through
the engine and the ledger: how many a second, and the memory of this process, which is the
scheduler's too, as it goes on. The files are removed again (some 3 GB).
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from clock import Clock, Took

from volproc import LabelOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.events import BlockDone, Event
from volproc.engine.memory import process_peak_bytes
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.block_table import BlockTable
from volproc.stages.label.component_tasks import FACES
from volproc.stages.label.find_plan import FindPlan
from volproc.stages.label.mask_source import ArraySource
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.object_search import find_objects, plan_find
from volproc.stages.objects.statistics import COLUMNS, PAIRS_OF_AXES, Statistics
from volproc.volume.metadata import new_volume

Shape = tuple[int, int, int]
Rows = npt.NDArray[np.int64]

CORE = (256, 256, 256)
VOXEL_NM = (50.0, 50.0, 50.0)
BORDER_SHARE, KEPT_SHARE = 0.03, 0.001
RODS = 4
"""Components on each axis that go on from face to face, besides the one that all faces share."""


@dataclass(frozen=True, eq=False)
class Template:
    """What every block has in common: faces by step, and statistics as if it began at 0."""

    faces: dict[Shape, npt.NDArray[np.uint32]]
    border: Rows
    inner: Rows
    count: int

    @lru_cache(maxsize=27)  # noqa: B019 - one template for a whole run
    def ids_towards(self, steps: tuple[Shape, ...]) -> npt.NDArray[np.uint32]:
        """Components in the faces towards some neighbours."""
        ids = np.unique(np.concatenate([self.faces[step].ravel() for step in steps]))
        return ids[ids > 0].astype(np.uint32)


@lru_cache(maxsize=1)
def make_template(count: int) -> Template:
    """Blobs on a lattice on each face: of an axis the same places on both sides."""
    rng = np.random.default_rng(0)
    per_face = round(count * BORDER_SHARE / 6)
    side = int(np.ceil(np.sqrt(per_face)))
    pitch = CORE[0] // side
    places = [(r, c) for r in range(side) for c in range(side)][:per_face]
    faces, last = {}, 1 + 3 * RODS
    for step in FACES:
        axis = next(i for i, s in enumerate(step) if s)
        plane = np.zeros((CORE[0], CORE[0]), dtype=np.uint32)
        for n, (r, c) in enumerate(places):
            new = n > RODS
            last += new
            name = last if new else 1 if n == 0 else 1 + axis * RODS + n
            top, left = r * pitch + 1, c * pitch + 1
            plane[top : top + pitch // 2, left : left + pitch // 2] = name
        faces[step] = np.expand_dims(plane, axis)
    inner = round(count * KEPT_SHARE)
    return Template(faces, _rows(rng, last), _rows(rng, inner, least=10_000), count)


def _rows(rng: np.random.Generator, n: int, *, least: int = 5) -> Rows:
    rows = np.zeros((n, COLUMNS), dtype=np.int64)
    rows[:, 0] = rng.integers(least, 4 * least, n)
    rows[:, 1:4] = rng.integers(0, 200, (n, 3))
    rows[:, 4:7] = rows[:, 1:4] + 40
    rows[:, 7:10] = rows[:, :1] * (rows[:, 1:4] + 20)
    rows[:, 11] = 1
    for column, (a, b) in enumerate(PAIRS_OF_AXES):
        spread = 100 * rows[:, 0] * (a == b)
        rows[:, 12 + column] = rows[:, 7 + a] * rows[:, 7 + b] // rows[:, 0] + spread
    return rows


def _moved(rows: Rows, origin: Shape, shape: Shape) -> Rows:
    """The same objects in a block that begins at `origin`."""
    moved, n = rows.copy(), rows[:, 0]
    by = np.array(origin, dtype=np.int64)
    moved[:, 1:4] += by
    moved[:, 4:7] += by
    moved[:, 7:10] += n[:, None] * by
    place = moved[:, 1:4]
    moved[:, 10] = (place[:, 0] * shape[1] + place[:, 1]) * shape[2] + place[:, 2]
    for column, (a, b) in enumerate(PAIRS_OF_AXES):
        moved[:, 12 + column] += by[a] * rows[:, 7 + b] + by[b] * rows[:, 7 + a] + n * by[a] * by[b]
    return moved


@dataclass(frozen=True)
class MakeTables:
    """Task: what the first pass would leave of a row of blocks, as files and as records."""

    tables: Tables
    blocks: Tiling
    count: int

    def load(self, block: Block) -> Template:
        return make_template(self.count)

    def compute(self, block: Block, loaded: Template) -> Template:
        return loaded

    def store(self, block: Block, result: Template) -> list[dict[str, int]]:
        return [self._save(one, result) for one in self.blocks.over(block.core)]

    def _save(self, block: Block, template: Template) -> dict[str, int]:
        steps = tuple(step for _, step in self.blocks.neighbours(block.index, FACES))
        ids = template.ids_towards(steps)
        # dust and inner objects come after the border's ids
        inner = np.arange(len(template.inner), dtype=np.uint32) + len(template.border) + 1
        origin, shape = block.core.start, self.blocks.shape
        table = BlockTable(
            count=template.count,
            border_ids=ids,
            border=Statistics(_moved(template.border[ids - 1], origin, shape)),
            inner_ids=inner,
            inner=Statistics(_moved(template.inner, origin, shape)),
        )
        faces = {step: template.faces[step] for step in steps}
        self.tables.save_block(block.index, table, faces, content=0)
        rows = len(ids) + len(inner)
        counted = {"components": template.count, "rows": rows, "dropped": template.count - rows}
        return {**counted, "largest_dropped": 9, "highest": 0, "content": 0}


def make_tables(plan: FindPlan, count: int) -> Step:
    """The step that stands for the first pass."""
    z, y, _ = CORE
    rows = Tiling(plan.blocks.shape, (z, y, plan.blocks.shape[2]))
    return Step("tables", MakeTables(plan.tables, plan.blocks, count), rows, plan.tables.digest)


class Labelled(Runner):
    """A runner for which the first pass is done."""

    records_of_blocks: list[dict[str, int]]

    def run(self, step: Step) -> list[Any]:
        return self.records_of_blocks if step.name == "label" else super().run(step)


@dataclass(frozen=True)
class Nothing:
    """A task that does nothing."""

    def load(self, block: Block) -> None:
        return None

    def compute(self, block: Block, loaded: None) -> None:
        return None

    def store(self, block: Block, result: None) -> None:
        return None


def merge(plan: FindPlan, folder: Path, count: int, workers: int) -> None:
    """Everything between the two passes, with times and memory."""
    clock = Clock()
    with local_engine(workers=workers, worker_bytes=4 * 10**9) as engine:
        runner = Labelled(engine, folder / "ledger", (clock,))
        made = runner.run(make_tables(plan, count))
        runner.records_of_blocks = [record for row in made for record in row]
        print(f"{sum(record['rows'] for record in runner.records_of_blocks):,} rows of tables")
        found = find_objects(plan, runner)
        runner.run(plan.number_step(found.merged, str(folder / "objects.csv")))
        client = process_peak_bytes()
        runner.run(plan.ids_step(found.merged))
    groups = found.merged.groups.grid
    print(f"{found.objects:,} objects, {sum(found.dropped.values()):,} dropped; ", end="")
    print(f"{len(groups)} groups of up to {groups.core} blocks; open objects: ", end="")
    print(f"{sum(found.merged.opened):,}; client and scheduler: {client / 1e9:.2f} GB\n")
    print("| part | where | s | CPU s | peak of a process, GB |\n|---|---|---|---|---|")
    written, merged, united, listed, numbered = clock.rows
    megabytes = (folder / "objects.csv").stat().st_size / 1e6
    print(_line("(making the tables)", written))
    print(_line("groups", merged))
    print(_line("unions of open objects", united))
    print(_line(f"numbers and table ({megabytes:.0f} MB)", listed))
    print(_line("ids of all blocks", numbered))


def _line(part: str, took: Took) -> str:
    numbers = f"{took.seconds:.0f} | {took.cpu_s:.0f} | {took.peak_bytes / 1e9:.2f}"
    return f"| {part} | workers | {numbers} |"


def schedule(blocks: Tiling, folder: Path, workers: int) -> Iterator[tuple[int, float, float]]:
    """(blocks done, blocks per second since the last line, resident MB of this process)."""
    lines: list[tuple[int, float, float]] = []
    last = [0, time.monotonic()]

    def watch(event: Event) -> None:
        if isinstance(event, BlockDone) and event.done % (len(blocks) // 8) == 0:
            now = time.monotonic()
            memory = psutil.Process().memory_info().rss / 1e6
            lines.append((event.done, (event.done - last[0]) / (now - last[1]), memory))
            last[:] = [event.done, now]

    with local_engine(workers=workers, worker_bytes=2 * 10**9) as engine:
        Runner(engine, folder / "nothing", (watch,)).run(Step("nothing", Nothing(), blocks, "x"))
    yield from lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(10_000, 10_000, 10_000))
    parser.add_argument("--labels", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", choices=("merge", "scheduler"))
    given = parser.parse_args()
    shape: Shape = tuple(given.shape)
    blocks = Tiling(shape, CORE)
    print(f"{prod(shape):.3g} voxels, {len(blocks):,} blocks, {given.labels:.3g} labels")
    if given.part != "scheduler":
        info = new_volume("mask", shape=shape, voxel_nm=parse_voxel_nm(VOXEL_NM), dtype="uint8")
        folder = str(given.folder / "tables")
        source = ArraySource(info, np.broadcast_to(np.uint8(0), shape))
        plan = plan_find(source, folder, LabelOptions(), blocks=blocks)
        plan = replace(plan, level=1)
        print(f"stated by the plan: {plan.steps[1].peak_bytes / 1e9:.2f} GB for a group")
        merge(plan, given.folder, round(given.labels / len(blocks)), given.workers)
    if given.part != "merge":
        print(
            "\n| blocks done | blocks per s | memory of client and scheduler, MB |\n|---|---|---|"
        )
        for done, rate, memory in schedule(blocks, given.folder, given.workers):
            print(f"| {done:,} | {rate:.0f} | {memory:.0f} |")
    shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
