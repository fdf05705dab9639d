"""The scores of docs/scores.md beside those of other programs, of one pair: a table.

    python benchmarks/score_peers.py

Truth: two balls and a slab, voxels of 50 x 10 x 10 nm. Result: the same, three voxels further
along y, the slab cut in two, the balls joined, and a ball that is not there. scipy's column is its
tree on the same corners of the grid.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import directed_hausdorff
from skimage.metrics import adapted_rand_error, hausdorff_distance, variation_of_information

from volproc.stages.scores.contingency import Contingency, block_contingency
from volproc.stages.scores.surface_distances import compare
from volproc.stages.scores.surface_elements import element_sizes, surface_elements

NM = (50.0, 10.0, 10.0)
SHAPE = (40, 160, 200)


def ball(middle: tuple[int, int, int], nm: float) -> np.ndarray:
    """Voxels within `nm` of a voxel."""
    away = np.ix_(*((np.arange(n) - m) * e for n, m, e in zip(SHAPE, middle, NM, strict=True)))
    return sum(part**2 for part in away) <= nm**2


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Labels of the truth and of the result."""
    truth = np.zeros(SHAPE, np.int64)
    truth[ball((20, 50, 50), 300)] = 1
    truth[ball((20, 50, 120), 300)] = 2
    truth[15:22, 100:130, 30:150] = 3
    result = np.roll(np.where(truth == 2, 1, truth), 3, axis=1)
    result[15:22, 103:133, 90:150] = 4
    result[ball((20, 120, 180), 150)] = 5
    return truth, result


def by_scipy(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Means and shares of distances to the nearest corner, by the size of each corner's sheet."""
    sides = [surface_elements(mask) for mask in (a, b)]
    points = [side.corners * np.array(NM) for side in sides]
    sizes = [element_sizes(NM)[side.codes] for side in sides]
    ways = ((0, 1), (1, 0))
    nm = [cKDTree(points[there]).query(points[here])[0] for here, there in ways]
    means = [np.average(d, weights=w) for d, w in zip(nm, sizes, strict=True)]
    within = sum((w * (d <= 50)).sum() for d, w in zip(nm, sizes, strict=True))
    return {
        "masd_nm": float(np.mean(means)),
        "assd_nm": float(np.average(np.concatenate(nm), weights=np.concatenate(sizes))),
        "hd_nm": max(directed_hausdorff(points[h], points[t])[0] for h, t in ways),
        "nsd_50": float(within / sum(w.sum() for w in sizes)),
    }


def by_surface_distance(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """google-deepmind's tool."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import surface_distance as tool

        found = tool.compute_surface_distances(a, b, NM)
        return {
            "dice": tool.compute_dice_coefficient(a, b),
            "masd_nm": float(np.mean(tool.compute_average_surface_distance(found))),
            "hd_nm": tool.compute_robust_hausdorff(found, 100),
            "hd95_nm": tool.compute_robust_hausdorff(found, 95),
            "nsd_50": tool.compute_surface_dice_at_tolerance(found, 50),
        }


def by_skimage(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """scikit-image; its Hausdorff distance is of the outermost voxels, not of corners."""
    split, merge = variation_of_information(truth, result, ignore_labels=(0,))
    error, _, _ = adapted_rand_error(truth, result, ignore_labels=(0,))
    shells = (m & ~ndimage.binary_erosion(m) for m in (truth > 0, result > 0))
    return {
        "voi_split": split,
        "voi_merge": merge,
        "adapted_rand_error": error,
        "hd_nm": hausdorff_distance(*_at_nm(*shells)) * 10,
    }


def _at_nm(*masks: np.ndarray) -> list[np.ndarray]:
    """On voxels of 10 nm: scikit-image knows no voxel size."""
    return [np.kron(m, np.array([1, 0, 0, 0, 0])[:, None, None]).astype(bool) for m in masks]


def main() -> None:
    truth, result = pair()
    a, b = truth > 0, result > 0
    pairs = Contingency.of(block_contingency(truth, result)).scores()
    own = {**compare(a, b, nm=NM).scores([50]), **pairs}
    others = by_surface_distance(a, b), by_skimage(truth, result), by_scipy(a, b)
    print("| score | volproc | surface-distance | scikit-image | scipy |\n|---|---|---|---|---|")
    for name in (
        *compare(a, b, nm=NM).scores([50]),
        "voi_split",
        "voi_merge",
        "adapted_rand_error",
    ):
        if not any(name in one for one in others):
            continue
        cells = [own[name], *(one.get(name, math.nan) for one in others)]
        print(f"| `{name}` |", " | ".join("" if math.isnan(v) else f"{v:.6g}" for v in cells), "|")


if __name__ == "__main__":
    main()
