"""Votes of three axes for phantoms, and damage to them on purpose: what `doubt_fit.py` learns from.

A network's errors are errors of its votes, so votes are damaged, and labels made of them as volproc
makes them. A few errors are of the labels alone, as other programs and hands make them.
"""

from __future__ import annotations

from collections.abc import Callable

import cc3d
import numpy as np
from scipy import ndimage

from volproc.fusion import fuse
from volproc.grid.box import whole_box
from volproc.stages.phantom.look import look_of
from volproc.stages.phantom.render import render_into
from volproc.stages.phantom.scene_layout import make_scene

LEAST_SHARE = 0.02
"""Of the median object's voxels: smaller ones are dropped, as [label] min_volume_um3 does."""


def truth_of(seed: int, *, look: str, shape=(128, 128, 128), nm: float = 250.0) -> np.ndarray:
    """Nuclei of a phantom of coarse voxels, so that a small volume holds many of them."""
    rng = np.random.default_rng(seed)
    given = {"nucleus_size": rng.uniform(0.6, 1.2)} if look == "varied" else {}
    chosen = look_of(look, seed=seed, given=given)
    scene = make_scene(shape, (nm,) * 3, seed=seed, cell_density=1.0, look=chosen)
    truth = np.empty(shape, np.uint16)
    render_into(scene, whole_box(shape), None, truth)
    return truth.astype(np.uint32)


def field(rng: np.random.Generator, shape, length: float) -> np.ndarray:
    """Smooth noise of spread 1 whose bumps are about `length` voxels wide."""
    step = max(1, int(length))
    coarse = rng.standard_normal([n // step + 4 for n in shape]).astype(np.float32)
    fine = ndimage.zoom(coarse, step, order=1)[tuple(slice(step, step + n) for n in shape)]
    return fine / fine.std()


def distance(mask: np.ndarray) -> np.ndarray:
    """Voxels to the surface, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def votes_of(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of three axes that err in part together, in part each by itself."""
    near = distance(truth > 0)
    soft, together, alone = rng.uniform(0.4, 1.6), rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.6)
    shared = together * field(rng, truth.shape, rng.uniform(4, 9))
    axes = (near + shared + alone * field(rng, truth.shape, rng.uniform(2, 6)) for _ in range(3))
    found = np.stack([1 / (1 + np.exp(np.clip(-one / soft, -30, 30))) for one in axes]).astype(
        np.float32
    )
    for n in truth_ids(truth):  # how sure a network is of a nucleus differs
        found[:, truth == n] *= 1 - rng.uniform(0, 0.15)
    return found


def truth_ids(labels: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.unique(labels), [0])


Part = tuple[slice, slice, slice]


class Scene:
    """A truth and its votes, in which errors are made, each in a part of the volume."""

    def __init__(self, truth: np.ndarray, votes: np.ndarray, rng: np.random.Generator) -> None:
        self.truth, self.votes, self.rng = truth, votes, rng
        self.ids = [int(n) for n in truth_ids(truth)]
        boxes = ndimage.find_objects(truth.astype(np.int32))
        self.box = {n: boxes[n - 1] for n in self.ids}
        self.size = {n: int((truth[self.box[n]] == n).sum()) for n in self.ids}
        self.radius = {n: (3 * self.size[n] / 4 / np.pi) ** (1 / 3) for n in self.ids}

    def part(self, start, stop) -> Part:
        """What of a box is in the volume."""
        ends = zip(start, stop, self.truth.shape, strict=True)
        z, y, x = (slice(max(0, int(a)), min(n, int(np.ceil(b)))) for a, b, n in ends)
        return z, y, x

    def around(self, n: int, voxels: int) -> tuple[Part, np.ndarray]:
        """A part with an object and so many voxels around it, and the object dilated there."""
        box = self.box[n]
        part = self.part([s.start - voxels for s in box], [s.stop + voxels for s in box])
        return part, ndimage.binary_dilation(self.truth[part] == n, iterations=max(1, voxels))

    def centre(self, n: int) -> np.ndarray:
        """Centre of mass of an object."""
        box = self.box[n]
        return np.argwhere(self.truth[box] == n).mean(axis=0) + [s.start for s in box]

    def from_plane(self, part: Part, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """How far each voxel of a part is in front of a plane."""
        ends = zip(np.ogrid[part], point, normal, strict=True)
        return sum((g - p) * u for g, p, u in ends)

    def ball(self, point: np.ndarray, radius: float) -> tuple[Part, np.ndarray]:
        """1 in a ball of ragged surface, 0 outside."""
        part = self.part(point - 1.5 * radius - 3, point + 1.5 * radius + 3)
        far = np.sqrt(sum((g - p) ** 2 for g, p in zip(np.ogrid[part], point, strict=True)))
        ragged = self.rng.uniform(0, 0.35) * radius * field(self.rng, far.shape, radius / 2)
        return part, 1 / (1 + np.exp(np.clip((far + ragged - radius) / 0.8, -30, 30)))

    def direction(self) -> np.ndarray:
        found = self.rng.standard_normal(3)
        return found / np.linalg.norm(found)

    def say(self, part: Part, where: np.ndarray, to: float) -> None:
        """Move the votes towards a probability; the axes follow more or less, as they do."""
        agree = self.rng.uniform(0.3, 1.0)
        for axis in range(3):
            strength = 1.0 if self.rng.random() < agree else self.rng.uniform(0, 0.8)
            votes = self.votes[axis][part]
            votes += strength * where * (to - votes)

    def surface_point(self, n: int, towards: np.ndarray) -> np.ndarray:
        """The last voxel of an object on the way from its centre."""
        centre = self.centre(n)
        for step in np.arange(2.5 * self.radius[n], 0, -0.5):
            at = np.round(centre + step * towards).astype(int)
            if (at >= 0).all() and (at < self.truth.shape).all() and self.truth[tuple(at)] == n:
                return at.astype(float)
        return centre


def merge(scene: Scene, n: int) -> None:
    """A bridge to the nearest neighbour."""
    others = [m for m in scene.ids if m != n]
    if not others:
        return
    here = scene.centre(n)
    m = min(others, key=lambda m: np.linalg.norm(scene.centre(m) - here))
    way = scene.centre(m) - here
    way /= np.linalg.norm(way)
    a, b = scene.surface_point(n, way), scene.surface_point(m, -way)
    thick = scene.rng.uniform(0.12, 0.6) * min(scene.radius[n], scene.radius[m]) + 1
    sure = scene.rng.uniform(0.75, 1.0)
    for t in np.linspace(-0.1, 1.1, max(3, int(np.linalg.norm(b - a) / thick * 2))):
        scene.say(*scene.ball(a + t * (b - a), thick), sure)


def split(scene: Scene, n: int) -> None:
    """A gap across an object."""
    part, own = scene.around(n, 1)
    off = scene.rng.uniform(-0.5, 0.5) * scene.radius[n] * scene.direction()
    far = abs(scene.from_plane(part, scene.centre(n) + off, scene.direction()))
    scene.say(part, (far < scene.rng.uniform(1.2, 3)) * own, scene.rng.uniform(0, 0.3))


def hole(scene: Scene, n: int) -> None:
    """A cavity, or a dent where it reaches the surface."""
    at = scene.centre(n) + scene.rng.uniform(0, 0.5) * scene.radius[n] * scene.direction()
    part, ball = scene.ball(at, scene.rng.uniform(0.5, 1.0) * scene.radius[n])
    scene.say(part, ball * (scene.truth[part] == n), 0.1)


def leak(scene: Scene, n: int) -> None:
    """Cytoplasm that is taken for the object."""
    way = scene.direction()
    at = scene.surface_point(n, way) + scene.rng.uniform(0, 0.5) * scene.radius[n] * way
    radius = scene.rng.uniform(0.6, 1.3) * scene.radius[n]
    scene.say(*scene.ball(at, radius), scene.rng.uniform(0.6, 1.0))


def cut(scene: Scene, n: int) -> None:
    """A piece that is not seen."""
    part, own = scene.around(n, 3)
    off = scene.rng.uniform(-0.6, 0.6) * scene.radius[n]
    normal = scene.direction()
    if scene.rng.random() < 0.4:  # along a section, which is lost or too dark from there on
        normal = np.eye(3)[scene.rng.integers(3)]
    beyond = scene.from_plane(part, scene.centre(n) + off * normal, normal) > 0
    scene.say(part, (beyond & own).astype(np.float32), scene.rng.uniform(0, 0.35))


def missed(scene: Scene, n: int) -> None:
    """An object that the axes see weakly, or not at all."""
    part, own = scene.around(n, 4)
    weak = scene.rng.uniform(0, 0.6)
    for axis in range(3):
        factor = np.clip(weak + scene.rng.normal(0, 0.2), 0, 1)
        patchy = 0.25 * field(scene.rng, own.shape, scene.radius[n] / 3)
        scene.votes[axis][part][own] *= np.clip(factor + patchy, 0, 1)[own]


def ragged(scene: Scene, n: int) -> None:
    """An object whose outline is a guess."""
    part, own = scene.around(n, int(scene.radius[n] / 2) + 1)
    near = distance(scene.truth[part] == n)
    wild = scene.rng.uniform(0.2, 0.7) * scene.radius[n]
    shift = scene.rng.uniform(-0.5, 0.2) * scene.radius[n]
    shared = field(scene.rng, near.shape, scene.radius[n] / 2)
    for axis in range(3):
        mine = field(scene.rng, near.shape, scene.radius[n] / 3)
        guess = (near + shift + wild * (0.7 * shared + 0.7 * mine)) / 1.5
        scene.votes[axis][part][own] = (1 / (1 + np.exp(-np.clip(guess, -30, 30))))[own]


def false_blob(scene: Scene, n: int) -> None:
    """Something else that is taken for an object."""
    radius = scene.rng.uniform(0.25, 1.0) * scene.radius[n]
    for _ in range(20):
        at = scene.rng.uniform(0, scene.truth.shape)
        if scene.truth[tuple(at.astype(int))] == 0:
            break
    part, ball = scene.ball(at, radius)
    texture = np.clip(0.8 + 0.4 * field(scene.rng, ball.shape, max(2, radius / 2)), 0, 1)
    scene.say(part, ball * (scene.truth[part] == 0) * texture, scene.rng.uniform(0.55, 1.0))


DAMAGES: dict[str, Callable[[Scene, int], None]] = {
    "merge": merge,
    "split": split,
    "hole": hole,
    "leak": leak,
    "cut": cut,
    "missed": missed,
    "ragged": ragged,
    "false blob": false_blob,
}
"""Of votes."""


def labels_of(votes: np.ndarray) -> np.ndarray:
    """As `label` makes them of fused votes (uint8, axes first)."""
    mask = fuse(votes, mode="mean", threshold=0.5) >= 128
    return without_small(cc3d.connected_components(mask, connectivity=26).astype(np.uint32))


def without_small(labels: np.ndarray) -> np.ndarray:
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    big = sizes[sizes > 50]
    least = max(50, LEAST_SHARE * np.median(big)) if len(big) else 50
    kept = np.zeros(len(sizes), np.uint32)
    there = np.flatnonzero(sizes >= least)
    kept[there] = np.arange(1, len(there) + 1)
    return kept[labels]


def damaged(
    truth: np.ndarray, votes: np.ndarray, rng: np.random.Generator, *, kinds: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Votes with errors of `kinds` (uint8) and their labels; some errors are of the labels."""
    scene = Scene(truth, votes.astype(np.float32), rng)
    share = rng.choice([0.05, 0.15, 0.3, 0.5])
    for n in scene.ids:
        if rng.random() < share and scene.size[n] > 100:
            DAMAGES[kinds[rng.integers(len(kinds))]](scene, n)
    if "false blob" in kinds and scene.ids:
        for _ in range(rng.poisson(share * len(scene.ids) / 3)):
            false_blob(scene, scene.ids[rng.integers(len(scene.ids))])
    found = np.clip(255 * scene.votes, 0, 255).astype(np.uint8)
    labels = labels_of(found)
    return found, relabelled(labels, rng, share=share / 8)


def relabelled(labels: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """Objects that were cut or joined whatever the votes say."""
    labels = labels.copy()
    grid = np.ogrid[tuple(map(slice, labels.shape))]
    ids = truth_ids(labels)
    for n in ids:
        if rng.random() >= share:
            continue
        if rng.random() < 0.5 and len(ids) > 1:
            labels[labels == n] = rng.choice(ids)
        elif (labels == n).any():
            own = labels == n
            middle, normal = np.argwhere(own).mean(axis=0), rng.standard_normal(3)
            front = sum((g - m) * u for g, m, u in zip(grid, middle, normal, strict=True)) > 0
            labels[own & front] = labels.max() + 1
    return labels
