"""The patches of a training step: a pure function of the seed, the step and a patch's number.

There is no state between steps, so an interrupted training resumes with exactly the patches that
it would have seen; and processes that share a step each take some numbers of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.grid.blocks import reflected
from volproc.grid.box import Box, Shape, each
from volproc.model.weights import NetworkSpec
from volproc.stages.train.batch import RawPatches
from volproc.stages.train.centre_index import CentreIndex
from volproc.stages.train.pairs import Pair
from volproc.stages.train.region_cache import RegionCache
from volproc.stages.train.regions import SLOTS, VISITS, Regions, first_voxel

ON_SURFACES = 0.5
"""Share of the patches that are centred on a surface of some class, each class as often."""
ANYWHERE = -1
Rng = np.random.Generator


def patch_shape(spec: NetworkSpec, patch: int, axis: int) -> Shape:
    """Voxels (z, y, x) of a patch viewed along `axis`."""
    return each(lambda a: spec.slices_in if a == axis else patch, range(3))


def largest_patch(spec: NetworkSpec, patch: int, axes: Sequence[float]) -> Shape:
    """The most voxels along each axis of patches viewed along those with a share."""
    shapes = [patch_shape(spec, patch, axis) for axis in range(3) if axes[axis]]
    return each(max, (0, 0, 0), *shapes)


@dataclass(frozen=True)
class Sampler:
    """Patches for a network of `spec`: half anywhere, half on a surface."""

    regions: Regions
    index: CentreIndex
    spec: NetworkSpec
    patch: int
    """Height and width of a patch in pixels."""
    batch: int
    """Patches per step, of all processes."""
    seed: int
    axes: tuple[float, float, float]
    """How often patches are viewed along z, y and x."""

    def patches(self, step: int, first: int = 0, count: int | None = None) -> RawPatches:
        """Patches `first` up to `first + count` of a step's batch; all by default."""
        numbers = range(first, self.batch if count is None else first + count)
        self._look_ahead(step, numbers)
        drawn = [self._patch(step, number) for number in numbers]
        planes, targets, weights = (
            torch.from_numpy(np.stack(part))
            for part in zip(*(one[:3] for one in drawn), strict=True)
        )
        constants = [one[3].normalisation for one in drawn]
        return RawPatches(
            planes=planes,
            mean=torch.tensor([one.mean for one in constants], dtype=torch.float32),
            std=torch.tensor([one.std for one in constants], dtype=torch.float32),
            target=targets,
            weight=weights,
            axes=tuple(one[4] for one in drawn),
            step=step,
            first=first,
        )

    def _patch(
        self, step: int, number: int
    ) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.uint8], npt.NDArray[np.uint8], Pair, int]:
        rng = np.random.default_rng([self.seed, step, number])
        kind, place = self._place(rng, step, number)
        region, pair = self.regions.all[place], self._cache.get(place)
        axis = int(rng.choice(3, p=np.asarray(self.axes) / sum(self.axes)))
        whole = self.regions.images[region.source].box
        centre = centre_of(pair, region.core, rng, kind)
        index = window(centre, whole, pair.box, patch_shape(self.spec, self.patch, axis))

        def seen(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
            return np.moveaxis(values[index], axis, 0)

        targets, weights = (
            np.stack([seen(values) for values in of]) for of in (pair.targets, pair.weights)
        )
        return seen(pair.image), targets, weights, pair, axis

    def _place(self, rng: Rng, step: int, number: int) -> tuple[int, int]:
        """What a patch is centred on (a class or `ANYWHERE`), and the number of its region."""
        if self.regions.is_whole:
            return self._drawn(rng)
        slots = slots_of(number, self.batch)
        return self._in_slot(int(rng.choice(slots)), step)

    def _in_slot(self, slot: int, step: int) -> tuple[int, int]:
        """The same for all patches of a slot, until the slot's turn to be exchanged."""
        turn = self._turn
        epoch = (step + slot * turn // SLOTS) // turn
        return self._drawn(np.random.default_rng([self.seed, slot, epoch, SLOTS]))

    @cached_property
    def _turn(self) -> int:
        """Steps for which a region stays in its slot."""
        return max(1, VISITS * SLOTS // self.batch)

    def _drawn(self, rng: Rng) -> tuple[int, int]:
        on = len(self._kinds) and rng.random() < ON_SURFACES
        kind = int(rng.choice(self._kinds)) if on else ANYWHERE
        # what rng.choice(p=...) draws, which looks at all regions every time
        return kind, int(self._shares[kind].searchsorted(rng.random(), side="right"))

    @cached_property
    def _kinds(self) -> list[int]:
        """Classes that have surfaces."""
        return [int(kind) for kind in np.flatnonzero(self.index.edges.any(axis=0))]

    @cached_property
    def _shares(self) -> dict[int, npt.NDArray[np.float64]]:
        """By kind how often each region is drawn, added up over those before it."""
        columns = {kind: self.index.edges[:, kind] for kind in self._kinds}
        return {
            kind: cumulative(self._weighed(column))
            for kind, column in {ANYWHERE: self.index.counted, **columns}.items()
        }

    def _weighed(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """How often each region is drawn: a source by its weight, in it a region by its count."""
        own = np.asarray([region.source for region in self.regions.all])
        totals = np.bincount(own, counts, minlength=len(self.regions.images))
        weights = np.asarray([image.source.weight for image in self.regions.images])
        per_voxel = np.divide(weights, totals, out=np.zeros(len(totals)), where=totals > 0)
        shares: npt.NDArray[np.float64] = counts * per_voxel[own]
        shares /= shares.sum()
        return shares

    @cached_property
    def _cache(self) -> RegionCache:
        return RegionCache(self.regions)

    def _look_ahead(self, step: int, numbers: range) -> None:
        """Begin to read what the next exchange of slots will bring."""
        if not self.regions.is_whole:
            slots = sorted({slot for number in numbers for slot in slots_of(number, self.batch)})
            ahead = max(1, self._turn // SLOTS)
            for later in (step, step + ahead):
                self._cache.expect(self._in_slot(slot, later)[1] for slot in slots)


def cumulative(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums of shares up to each, the last one 1, as Generator.choice makes them."""
    sums: npt.NDArray[np.float64] = shares.cumsum()
    sums /= sums[-1]
    return sums


def slots_of(number: int, batch: int) -> range:
    """The slots that patch `number` of a batch draws from: a process needs those of its own."""
    first = number * SLOTS // batch
    return range(first, max(first + 1, (number + 1) * SLOTS // batch))


def centre_of(pair: Pair, core: Box, rng: Rng, kind: int) -> Shape:
    """The centre of a patch on the model's grid: on a surface of class `kind`, if there is one.

    Otherwise any voxel of the core that counts.
    """
    voxels = pair.counted if kind == ANYWHERE or not len(pair.edges[kind]) else pair.edges[kind]
    if voxels is not None and len(voxels):
        chosen = voxels[rng.integers(len(voxels))]
        return each(lambda a, b: int(a) + b, chosen, pair.box.start)
    return each(lambda a, b: int(rng.integers(a, b)), core.start, core.stop)


def window(centre: Shape, whole: Box, held: Box, shape: Shape) -> Any:
    """The index in `held` of `shape` voxels around a centre, mirrored at the ends of `whole`.

    They are moved so that at most an eighth is outside on either side, unless `whole` is too small.
    """
    inside = each(lambda c, a: c - a, centre, whole.start)
    starts = each(first_voxel, inside, shape, whole.shape)
    stops = each(lambda a, n: a + n, starts, shape)
    if min(starts) >= 0 and all(b <= n for b, n in zip(stops, whole.shape, strict=True)):
        return Box(starts, stops).shift(whole.start).within(held.start).slices
    lines: Iterator[npt.NDArray[np.intp]] = map(reflected, starts, stops, whole.shape)
    shift = each(lambda a, b: a - b, whole.start, held.start)
    return np.ix_(*(line + by for line, by in zip(lines, shift, strict=True)))
