"""Median, Gaussian, unsharp mask and destriping of a block that was read with its surroundings.

A voxel depends on nothing beyond the operation's `radius`, so a block with so many voxels around it
gets the values of the whole volume. Kernels are symmetric, so what is mirrored stays mirrored.

destripe, as Boin and Haibel remove stripes from sinograms (Optics Express 14, 12071, 2006), by
subtraction as remove_stripe_sf of TomoPy, with a mean over `length`, not over the whole height:

    along y                        across x
    mean over `length`      ->     profile, less its mean over `width`     = the stripes there

Methods that transform whole slices (wavelets and FFT: Münch 2009) have no radius: what they make of
a voxel depends on where its block ends.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.array_namespace import namespace_of
from volproc.stages.filter.filter_steps import FilterStep

TRUNCATE = 4
"""Sigmas at which a Gaussian ends: beyond are 6 of 100,000 parts of it."""

Values = npt.NDArray[Any]


def radius_of(step: FilterStep, voxel_nm: VoxelNm) -> Shape:
    """Voxels on every side that a voxel's result depends on.

    >>> radius_of(FilterStep("median", 60), VoxelNm((50, 10, 10)))
    (0, 3, 3)
    """
    if step.name in ("gaussian", "unsharp"):
        return each(lambda nm: int(TRUNCATE * step.size_nm / nm + 0.5), voxel_nm)
    if step.name == "median":
        return each(lambda nm: _within(step.size_nm, nm), voxel_nm)
    _, y, x = voxel_nm
    if step.axis == "y":
        return 0, _within(step.length_nm, y), _within(step.size_nm, x)
    return 0, _within(step.size_nm, y), _within(step.length_nm, x)


def _within(width_nm: float, nm: float) -> int:
    """Voxels on one side whose centres are within half of a width."""
    return int(width_nm / 2 / nm + 1e-6)


def halo_of(steps: tuple[FilterStep, ...], voxel_nm: VoxelNm) -> Shape:
    """Voxels on every side that the result of all `steps` depends on."""
    z, y, x = (sum(radii) for radii in zip(*(radius_of(s, voxel_nm) for s in steps), strict=True))
    return z, y, x


def filtered(values: Values, steps: tuple[FilterStep, ...], voxel_nm: VoxelNm) -> Values:
    """`values` without the halo of `steps`, which are applied in order.

    Computed in floats, which steps pass to one another; returned in the type of `values`,
    rounded half to even and clipped. Arrays of the CPU, or of a GPU.
    """
    out = values.astype(np.result_type(values.dtype, np.float32))
    for step in steps:
        radius = radius_of(step, voxel_nm)
        inner = Box(radius, each(lambda n, r: n - r, out.shape, radius))
        out = _applied(step, out, voxel_nm, radius)[inner.slices]
    return _as_type(out, values.dtype)


def _applied(step: FilterStep, values: Values, voxel_nm: VoxelNm, radius: Shape) -> Values:
    if step.name == "median":
        size = each(lambda r: 2 * r + 1, radius)
        found: Values = namespace_of(values).ndimage.median_filter(values, size=size)
        return found
    if step.name == "gaussian":
        return _gaussian(values, step, voxel_nm, radius)
    if step.name == "unsharp":
        lost = values - _gaussian(values, step, voxel_nm, radius)
        lost *= step.amount
        lost += values
        return lost
    return _destriped(values, step, radius)


def _gaussian(values: Values, step: FilterStep, voxel_nm: VoxelNm, radius: Shape) -> Values:
    sigma = each(lambda nm: step.size_nm / nm, voxel_nm)
    blurred = partial(namespace_of(values).ndimage.gaussian_filter, output=values.dtype)
    if isinstance(values, np.ndarray):
        found: Values = blurred(values, sigma, radius=radius)
    else:  # one call would add up all axes but the first in 32 bits
        found = values
        for axis in range(3):
            found = blurred(_wide(found), sigma[axis], radius=radius[axis], axes=(axis,))
    return found


def _destriped(values: Values, step: FilterStep, radius: Shape) -> Values:
    along, across = (1, 2) if step.axis == "y" else (2, 1)
    stripes = _mean(values, along, radius[along])
    stripes -= _mean(stripes, across, radius[across])
    found: Values = values - stripes
    return found


def _mean(values: Values, axis: int, radius: int) -> Values:
    """The mean of 2 `radius` + 1 voxels along an axis, each summed from scratch.

    `uniform_filter1d` adds the next voxel and takes the last one off: rounding would then depend
    on where the block begins.
    """
    xp, ndimage = (arrays := namespace_of(values)).xp, arrays.ndimage
    weights = xp.full(2 * radius + 1, 1 / (2 * radius + 1))
    found: Values = ndimage.correlate1d(_wide(values), weights, axis=axis, output=values.dtype)
    return found


def _wide(values: Values) -> Values:
    """What sums are taken of in 64 bits: on a CPU scipy does so, cupyx in the type of its input.

    In 32 bits, whole numbers above 2^16 would be off by more than a rounding (cupy issue 8403).
    """
    return values if isinstance(values, np.ndarray) else values.astype(np.float64)


def _as_type(values: Values, dtype: np.dtype[Any]) -> Values:
    if dtype.kind == "f":
        return values.astype(dtype)
    ends = np.iinfo(dtype if dtype.kind != "b" else "uint8")
    # the largest 64-bit number is no float: the next one below is
    highest = float(ends.max) if ends.bits < 64 else np.nextafter(float(ends.max), 0)
    rounded: Values = namespace_of(values).xp.rint(values)
    return rounded.clip(ends.min, highest).astype(dtype)
