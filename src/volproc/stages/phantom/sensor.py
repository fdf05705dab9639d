"""What the microscope adds: noise, steps from slice to slice, and the charging stripe."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled
from volproc.grid.box import Shape
from volproc.stages.phantom.noise import mixed, unit
from volproc.stages.phantom.scene import Nm3, Scene, Stripe, random_at

Array = npt.NDArray[np.float32]

MAX_STEP = 7.0
"""Grey levels by which a slice may be brighter or darker than the mean of all."""


def noise_of(width_nm: float, share: float) -> tuple[float, float]:
    """Share of a neighbour's noise in a voxel's, and the spread of the noise in grey levels.

    As measured in nuclei of EMPIAR-10094, times `share`: 8 levels at 10 nm, smeared; 4 at 50 nm,
    hardly so.
    """
    scale = width_nm / 10.0
    return 0.5 / max(1.0, scale), share * 8.0 * scale**-0.4


def row_offsets(scene: Scene, z: int, y_nm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What the step of slice `z` and the stripe add to rows at `y_nm`."""
    step = (
        scene.look.slice_steps
        * MAX_STEP
        * (2.0 * unit(z, 0, 0, np.uint32(scene.seed + 77 & 0xFFFFFFFF)) - 1.0)
    )
    stripe = scene.stripe
    strength = {0: stripe.strength, 1: 0.5 * stripe.strength}.get(z - stripe.slice, 0.0)
    across = np.abs(y_nm - stripe.centre_nm) / stripe.half_width_nm
    return np.asarray(step + strength * np.maximum(0.0, 1.0 - across**2))


def stripe_in(shape: Shape, extent: Nm3, seed: int, *, charging: float) -> Stripe:
    """The charging stripe: a slice and a band of its rows; `charging` is a factor."""
    rng = random_at(seed, 6)
    return Stripe(
        slice=int(shape[0] * rng.uniform(0.2, 0.45)),
        centre_nm=extent[1] * rng.uniform(0.25, 0.75),
        half_width_nm=min(1_500.0, extent[1] / 4) * rng.uniform(0.5, 1.0),
        strength=charging * rng.uniform(28, 40),
    )


def lost_slice_in(shape: Shape, seed: int) -> int | None:
    """A slice away from the stripe and the ends; volumes below 8 slices lose none."""
    if shape[0] < 8:
        return None
    return int(shape[0] * random_at(seed, 7).uniform(0.55, 0.85))


@compiled
def _noise_row(out: Array, z: Whole, y: Whole, first: Whole, seed: Whole) -> None:
    """Random numbers of spread 1 for the voxels `first`, first + 1, ... of a row."""
    row = mixed(np.uint32(np.uint32(seed) ^ np.uint32(np.uint32(z) * np.uint32(0x9E3779B1))))
    row = mixed(np.uint32(row ^ np.uint32(np.uint32(y) * np.uint32(0x85EBCA77))))
    byte = np.uint32(255)
    for i in range(len(out)):
        h = mixed(np.uint32(row + np.uint32(np.uint32(first + i) * np.uint32(0xC2B2AE3D))))
        four = (h & byte) + ((h >> np.uint32(8)) & byte)
        four += ((h >> np.uint32(16)) & byte) + (h >> np.uint32(24))
        # four bytes: mean 510, variance 4 * (256**2 - 1) / 12
        out[i] = (np.float32(np.int32(four)) - np.float32(510.0)) * np.float32(1.0 / 147.8)


@compiled
def _smeared_row(
    out: Array, raw: Array, z: Whole, y: Whole, first: Whole, side: Real, seed: Whole
) -> None:
    _noise_row(raw, z, y, first - 1, seed)
    for i in range(len(out)):
        out[i] = raw[i + 1] + side * (raw[i] + raw[i + 2])


@compiled
def add_noise(
    image: npt.NDArray[np.uint8],
    grey: Array,
    gain: Real,
    offsets: npt.NDArray[np.float64],
    z: Whole,
    first: npt.NDArray[np.int64],
    side: Real,
    spread: Real,
    seed: Whole,
) -> None:
    """Grey levels as the sensor gives them: `gain` times, with offsets and noise, rounded, clipped.

    `side` is the share of a neighbour's noise that a voxel sees too; `spread` the noise's.
    """
    rows, columns = grey.shape
    raw = np.empty(columns + 2, np.float32)
    ring = np.empty((3, columns), np.float32)
    side, gain = np.float32(side), np.float32(gain)
    scale = np.float32(spread / (1 + 2 * side * side))
    # a voxel sees its eight neighbours' noise too: rows are smeared along x, then three of them
    # along y; neighbours beyond the box have their noise as well, so borders do not show
    for n in range(-1, 1):
        _smeared_row(ring[(n + 3) % 3], raw, z, first[1] + n, first[2], side, seed)
    for j in range(rows):
        _smeared_row(ring[(j + 1) % 3], raw, z, first[1] + j + 1, first[2], side, seed)
        above, here, below = ring[(j + 2) % 3], ring[j % 3], ring[(j + 1) % 3]
        offset = np.float32(offsets[j] + 0.5)
        for i in range(columns):
            noise = here[i] + side * (above[i] + below[i])
            value = gain * grey[j, i] + offset + scale * noise
            image[j, i] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))
