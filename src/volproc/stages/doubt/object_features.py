"""Features of objects: what may tell a wrong one, each 0 or little where nothing is amiss.

None depends on the size of voxels but through what one voxel is to an object. The more of a
feature, the more doubt: the model that weighs them (`model/doubt_model.py`) never takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.scale import VoxelNm
from volproc.stages.doubt.doubt_tasks import Counted
from volproc.stages.doubt.profiles import main_axes, necks
from volproc.stages.doubt.voxel_counts import NEAR
from volproc.stages.objects.shape import semi_axes_nm
from volproc.stages.scores.sparse_sums import SparseSums

Floats = npt.NDArray[np.float64]

REASONS = {
    "disagree_surface": "axes disagree on its surface",
    "split_inside": "axes disagree inside it",
    "unsure": "the network is unsure inside it",
    "soft_surface": "its surface is blurred",
    "open_surface": "the probability goes on beyond its surface",
    "beyond": "some axes see more beyond its surface",
    "facing": "perhaps split: another object lies across a narrow gap",
    "beside": "perhaps split: another object is right beside it",
    "border": "cut by the volume's border",
    "slice_jump": "its area jumps between slices",
    "neck": "two objects joined by a neck",
    "hollow": "dented, branched or hollow",
    "rough": "its surface is ragged",
    "long": "much longer than wide",
    "holes": "it has holes or tunnels",
    "small": "smaller than nearly all others",
    "large": "larger than nearly all others",
    "unfamiliar": "unlike the objects that the doubt model knows",
}
"""What people read, by feature; the last one is the model's own."""
OF_VOTES = ("disagree_surface", "split_inside", "beyond")
OF_PROBABILITY = ("unsure", "soft_surface", "open_surface")
LEAST_SPREAD = 0.25
"""Of the logarithm of sizes: a run of equal objects must not make each of them an outlier."""
FEW = 5
"""Objects that count as equal to the others, when sizes are compared: of few, none stands out."""
SPHERE_FACES = 1.5
"""Faces of voxels of a large ball over its area."""
LEAST_HEIGHT = 0.4
"""Radii of a ball: what the border leaves of an object may be less, but says nothing of it then."""


@dataclass(frozen=True)
class Features:
    """Features of n objects: names, and values of shape (n, features)."""

    names: tuple[str, ...]
    values: Floats


def features_of(found: Counted, profiles: SparseSums, *, voxel_nm: VoxelNm, axes: int) -> Features:
    """Features of all objects; those of votes with two axes or more, of probabilities with one."""
    lines = main_axes(found.objects, voxel_nm=voxel_nm)
    columns = {
        **(_of_votes(found) if axes > 1 else {}),
        **(_of_probability(found, axes) if axes else {}),
        **_of_shape(found, voxel_nm),
        "slice_jump": found.jumps,
        "neck": necks(profiles, found.ids, lines, voxel_nm=voxel_nm),
        **_of_size(found),
    }
    return Features(tuple(columns), np.stack([*columns.values()], axis=1))


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(part / np.maximum(whole, 1))


def _of_votes(found: Counted) -> dict[str, Floats]:
    voxels = found.objects.voxels.astype(np.float64)
    return {
        "disagree_surface": _share(found.column("spread"), 255 * found.column("surface")),
        "split_inside": _share(found.column("split"), voxels),
        "beyond": _share(found.column("beyond"), NEAR * found.column("faces")),
    }


def _of_probability(found: Counted, axes: int) -> dict[str, Floats]:
    voxels, faces = found.objects.voxels.astype(np.float64), found.column("faces")
    step = _share(found.column("step"), 255 * axes * faces)
    return {
        "unsure": _share(found.column("unsure"), voxels),
        "soft_surface": np.where(faces > 0, 1 - step, 0.0),
        "open_surface": _share(found.column("open"), faces),
    }


def _of_shape(found: Counted, voxel_nm: VoxelNm) -> dict[str, Floats]:
    faces, border = found.column("faces"), found.column("border")
    semi = semi_axes_nm(found.objects, voxel_nm=voxel_nm)
    size = np.array(voxel_nm)
    volume = found.objects.voxels * size.prod()
    # of a solid ellipsoid the moments give back its volume: what is missing is concave or empty
    solidity = volume / (4 / 3 * np.pi * semi.prod(axis=1))
    area = sum(found.column(f"area_{a}") * size.prod() / size[n] for n, a in enumerate("zyx"))
    ball = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3)
    return {
        "facing": _share(found.column("facing"), faces),
        "beside": _share(found.column("beside"), faces),
        "border": _share(border, faces + border),
        "hollow": np.maximum(0, 1 - solidity),
        "rough": np.maximum(0, np.log(area / SPHERE_FACES / ball)),
        "long": np.log(semi[:, 0] / semi[:, 2]),
        "holes": np.log1p(abs(found.column("euler") - 1)),
    }


def _of_size(found: Counted) -> dict[str, Floats]:
    """How many spreads the logarithm of each size lies below and above the run's median.

    Median and MAD (1.4826 times it is a standard deviation), of objects that no border cuts. What
    the border cuts is small if the whole of it would be.
    """
    logs, completed = np.log(found.objects.voxels), np.log(_completed(found))
    whole = logs[found.column("border") == 0]
    sample = whole if len(whole) >= FEW else completed
    middle = np.median(sample) if len(sample) else 0.0
    spread = 1.4826 * np.median(abs(sample - middle)) if len(sample) else 0.0
    scale = len(logs) / (len(logs) + FEW) / max(spread, LEAST_SPREAD)
    return {
        "small": np.maximum(0, middle - completed) * scale,
        "large": np.maximum(0, logs - middle) * scale,
    }


def _completed(found: Counted) -> Floats:
    """Voxels of the ball of which each object is a cap, the border being its base.

    Base over curved surface is (2 - h) / 2 of a cap h radii high, its share of the ball
    h^2 (3 - h) / 4.
    """
    base = _share(SPHERE_FACES * found.column("border"), found.column("faces"))
    height = np.clip(2 - 2 * base, LEAST_HEIGHT, 2)
    return np.asarray(found.objects.voxels / (height**2 * (3 - height) / 4))
