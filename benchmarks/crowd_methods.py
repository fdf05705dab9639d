"""Methods of `volproc annotate` on simulated crowds over the outlines of a real nucleus.

    python benchmarks/crowd_methods.py DATA FOLDER [--slices-every 10] [--crowds typical]

DATA holds hela-roi329/labels5_10nm.tif (300 slices of 2000 x 2000 voxels of 50 x 10 x 10 nm). The
nucleus with its envelope (labels 1 and 2) is on 239 of them. Simulated volunteers draw it
(stages/crowd), every method makes one answer of the first n of them, and each answer is compared
with the labels. Smaller panels are parts of larger ones, so that rows differ by n alone.

Dice, MASD and NSD are means over the slices with a nucleus; their formulas are in
stages/annotate/quality/slice_scores.py. Where an answer is empty, every distance is the radius of a
disc of the nucleus's area. A fragment (8-connected, over 0.05 um2) is found if a fragment of the
answer overlaps with it by an IoU above 0.5; what else the answer has of that size is made up.
Slices without a nucleus count in "drawn where nothing is" only.

Scores of single slices are kept in FOLDER: the same command goes on where it was stopped, and
--again scores a method that was changed anew. The table is printed and written as Markdown, JSON
and, for the volunteers that cria needs to be as near as cria-2021, as a figure.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from crowd_figure import needed_figure
from crowd_table import markdown, summary, volunteers_needed

from volproc import AnnotateOptions, __version__
from volproc.drawing import Patch, SliceVotes
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.quality.skills import Errors, skills, slice_errors
from volproc.stages.annotate.quality.slice_scores import SliceScores, score_slice
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import CROWDS, Crowd, panel, volunteers

NM = (10.0, 10.0)
SLICES = 300
NUCLEUS = (1, 2)
CROWD_SIZES = (5, 7, 11, 21, 31)
FEWER = (2, 3, 4)
"""Panels that only cria has to do with: it may need fewer than the smallest of the others."""
PROCESSES = 2
SEED = 0


@dataclass(frozen=True)
class Task:
    """What a process does to a slice: the same for all slices of a crowd."""

    labels: Path
    crowd: Crowd
    sizes: tuple[int, ...]
    methods: tuple[str, ...]
    done: frozenset[tuple[int, str, int]] = frozenset()
    """Sizes, methods and slices that are scored already."""
    skills: dict[int, dict[str, float]] | None = None
    """Of each volunteer in crowds of each size, for cria."""

    def drawn(self, z: int) -> tuple[np.ndarray, SliceVotes]:
        """The truth on slice `z`, and what the largest panel draws there."""
        truth = np.isin(tifffile.imread(self.labels, key=z), NUCLEUS)
        people = panel(volunteers(self.crowd, seed=SEED), z, count=max(self.sizes))
        outlines = trace(truth, NM)
        votes = tuple(draw(outlines, who, z=z, shape_yx=truth.shape, nm=NM) for who in people)
        return truth, SliceVotes(z, (0, 0), truth.shape, votes)

    def wanted(self, z: int) -> list[tuple[int, str]]:
        """Sizes and methods that slice `z` is not scored for."""
        pairs = [(n, m) for n in self.sizes for m in self.methods if m == "cria" or n not in FEWER]
        return [(n, m) for n, m in pairs if (n, m, z) not in self.done]


def errors_of_slice(task: Task, z: int) -> dict[int, Errors]:
    """How far each volunteer is off on slice `z`, for crowds of each size."""
    _, votes = task.drawn(z)
    options = AnnotateOptions(method="cria")
    found = {}
    for n in task.sizes:
        some = first(votes, n)
        found[n] = slice_errors(some, NM, options)
    return found


def skills_of(task: Task, slices: Sequence[int], pool: Pool) -> dict[int, dict[str, float]]:
    """Skills of each volunteer in crowds of each size, from all slices, as annotate finds them."""
    tables = pool.map(partial(errors_of_slice, task), slices, chunksize=1)
    return {n: skills([table[n] for table in tables]) for n in task.sizes}


def scores_of_slice(task: Task, z: int) -> list[dict[str, Any]]:
    """A row for every size and method that slice `z` is not scored for yet."""
    wanted = task.wanted(z)
    if not wanted:
        return []
    truth, votes = task.drawn(z)
    rows = []
    for n, method in wanted:
        some = first(votes, n)
        weights = (task.skills or {}).get(n, {}) if method == "cria" else {}
        began = time.process_time()
        patch = METHODS[method](some, NM, weights, AnnotateOptions(method=method))
        seconds = time.process_time() - began
        rows.append(
            {"crowd": task.crowd, "volunteers": n, "method": method, "z": z}
            | known(score_slice(*boxed(truth, patch), nm=NM))
            | {"seconds": round(seconds, 4)}
        )
    return rows


def first(votes: SliceVotes, n: int) -> SliceVotes:
    """The same slice as the first `n` volunteers drew it."""
    return replace(votes, votes=votes.votes[:n])


def boxed(truth: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """The truth and the patch's label in the smallest box that holds both."""
    (y, x), (height, width) = patch.origin_yx, patch.values.shape
    corners = [(y, x), (y + height, x + width)]
    rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
    if len(rows):
        corners += [(rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    label = np.zeros(high - low, dtype=bool)
    label[y - low[0] :, x - low[1] :][:height, :width] = patch.values >= 0.5
    return truth[low[0] : high[0], low[1] : high[1]], label


def known(scores: SliceScores) -> dict[str, Any]:
    """Those that there are: no distance to nothing."""
    return {name: value for name, value in asdict(scores).items() if value is not None}


def run_crowd(crowd: Crowd, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The scores of all slices of a crowd: those on disk, and the rest."""
    file = given.folder / f"{crowd}.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if any(row["method"] in given.again for row in rows):
        rows = [row for row in rows if row["method"] not in given.again]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task(
        labels=given.data / "hela-roi329" / "labels5_10nm.tif",
        crowd=crowd,
        sizes=tuple(sorted({*given.volunteers, *FEWER})),
        methods=tuple(given.methods),
        done=frozenset((row["volunteers"], row["method"], row["z"]) for row in rows),
    )
    slices = [z for z in range(0, SLICES, given.slices_every) if task.wanted(z)]
    with get_context("spawn").Pool(PROCESSES) as pool:
        if any(method == "cria" for z in slices for _, method in task.wanted(z)):
            every = range(0, SLICES, given.slices_every)
            task = replace(task, skills=skills_of(task, every, pool))
        with file.open("a") as kept:
            for of_slice in pool.imap_unordered(partial(scores_of_slice, task), slices):
                kept.writelines(json.dumps(row) + "\n" for row in of_slice)
                kept.flush()
                rows += of_slice
                print(f"\r{crowd}: {len(rows)} scores", end="", flush=True)
    print()
    chosen = set(range(0, SLICES, given.slices_every))
    return [
        row
        for row in rows
        if row["z"] in chosen and row["volunteers"] in task.sizes and row["method"] in task.methods
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices-every", type=int, default=1)
    parser.add_argument("--volunteers", type=int, nargs="+", default=CROWD_SIZES)
    parser.add_argument("--crowds", nargs="+", default=tuple(CROWDS), choices=tuple(CROWDS))
    parser.add_argument("--again", nargs="+", default=(), help="methods to score anew")
    parser.add_argument("--methods", nargs="+", default=tuple(METHODS), choices=tuple(METHODS))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    table = summary(row for crowd in given.crowds for row in run_crowd(crowd, given))
    lines = [line for line in markdown([r for r in table if r["volunteers"] not in FEWER])]
    found = volunteers_needed(table)
    for crowd, pairs in found.items():
        said = ", ".join(f"{n}: {m:.1f}" for n, m in pairs)
        lines += ["", f"{crowd}: cria-2021 with n volunteers is as near as cria with: {said}"]
    print("\n".join(lines))
    (given.folder / "methods.md").write_text("\n".join(lines) + "\n")
    told = {"version": __version__, "seed": SEED, "slices_every": given.slices_every}
    (given.folder / "methods.json").write_text(
        json.dumps({**told, "table": table, "needed": found}, indent=1)
    )
    if found:
        (given.folder / "needed.svg").write_text(needed_figure(found))


if __name__ == "__main__":
    main()
