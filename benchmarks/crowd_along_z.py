"""What `volproc annotate --along-z` adds to `cria`, on crowds over the outlines of a real nucleus.

    python benchmarks/crowd_along_z.py DATA [--crowd typical] [--volunteers 2 3 4 5 7]

The same crowds, slices and scores as crowd_methods.py, which explains them: every slice by itself,
and then with the slices on which the crowd failed replaced by what lies between their neighbours.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile
from crowd_methods import NM, NUCLEUS, PROCESSES, SLICES, Task, boxed, first, skills_of
from crowd_table import markdown

from volproc import AnnotateOptions
from volproc.drawing import Patch
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.quality.consistency import replace_failures
from volproc.stages.annotate.quality.slice_scores import SliceScores, means_of, score_slice
from volproc.stages.crowd.volunteers import CROWDS


def patches_of_slice(task: Task, z: int) -> dict[int, Patch]:
    """What cria makes of slice `z`, for crowds of each size."""
    _, votes = task.drawn(z)
    options, known = AnnotateOptions(method="cria"), task.skills or {}
    return {n: METHODS["cria"](first(votes, n), NM, known[n], options) for n in task.sizes}


def scores_of_patch(labels: Path, numbered: tuple[int, Patch]) -> SliceScores:
    """One slice against the truth."""
    z, patch = numbered
    truth = np.isin(tifffile.imread(labels, key=z), NUCLEUS)
    return score_slice(*boxed(truth, patch), nm=NM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--crowd", default="typical", choices=tuple(CROWDS))
    parser.add_argument("--volunteers", type=int, nargs="+", default=[2, 3, 4, 5, 7])
    given = parser.parse_args()
    labels = given.data / "hela-roi329" / "labels5_10nm.tif"
    task = Task(labels, given.crowd, tuple(given.volunteers), ("cria",))
    rows = []
    with get_context("spawn").Pool(PROCESSES) as pool:
        task = replace(task, skills=skills_of(task, range(SLICES), pool))
        slices = pool.map(partial(patches_of_slice, task), range(SLICES), chunksize=4)
        shape_yx = tifffile.imread(labels, key=0).shape
        for n in given.volunteers:
            alone = [patches[n] for patches in slices]
            mended, replaced = replace_failures(alone, nm=NM, shape_yx=shape_yx)
            for name, patches in (("cria", alone), (f"along z ({len(replaced)})", mended)):
                score = partial(scores_of_patch, labels)
                means = means_of(pool.map(score, enumerate(patches), chunksize=4))
                row = {"crowd": given.crowd, "volunteers": n, "method": name, "seconds": 0.0}
                rows.append(row | asdict(means))
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
