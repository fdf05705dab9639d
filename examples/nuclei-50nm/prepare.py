"""Training volumes for nuclei-50nm from the expert-labelled cell ROI_1656-6756-329.

    python prepare.py DATA/hela-roi329 OUT

Only slices 0 to 149 are read; 150 to 299 stay for the test. Slices 0 to 129 are written for
training, 130 to 149 for validation. The recovered pixels are not quite those of the microscope:
every slice was stretched on its own, and where an outline had been drawn over the image the
pixels are lost (255) and form a ring along the nucleus. A network would learn that ring, so

- every slice is brought to one mean and spread,
- two versions are written, both with the ring's surface repeated at other places
  ("decoys": the same surface mirrored, turned and shifted), so that it says nothing:
  `filled`, where ring and decoys are filled from their surroundings, and `ringed`, where
  both stay at 255, because volumes are given to the network that way, too.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from scipy.ndimage import gaussian_filter

from volproc import __version__
from volproc.grid.box import whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

TRAINING, VALIDATION = slice(0, 130), slice(130, 150)
IMAGE_NM, LABELS_NM = (50.0, 40.0, 40.0), (50.0, 50.0, 50.0)
MEAN, SPREAD = 178.0, 31.0  # what the untouched slices have on average
DECOYS = 4
LOST = 255

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def equalised(image: Bytes, lost: Mask) -> Bytes:
    """Every slice with one mean and spread, measured where pixels are known."""
    result = np.empty(image.shape, np.float32)
    for index, (plane, gone) in enumerate(zip(image, lost, strict=True)):
        known = plane[~gone].astype(np.float32)
        result[index] = (plane - known.mean()) / known.std() * SPREAD + MEAN
    return np.clip(result.round(), 0, LOST - 1).astype(np.uint8)


def decoys(lost: Mask, *, seed: int) -> Mask:
    """The ring's surface at `DECOYS` other places: mirrored, turned and shifted at random."""
    rng = np.random.default_rng(seed)
    result = np.zeros_like(lost)
    for _ in range(DECOYS):
        surface = np.rot90(lost, rng.integers(4), axes=(1, 2))
        surface = np.flip(surface, [axis for axis in range(3) if rng.integers(2)])
        shift = [rng.integers(n // 8, n - n // 8) for n in lost.shape]
        result |= np.roll(surface, shift, axis=(0, 1, 2))
    return result


def filled(image: Bytes, gone: Mask) -> Bytes:
    """`image` with the pixels of `gone` replaced by a mean of the known ones around, per slice."""
    weight = gaussian_filter((~gone).astype(np.float32), (0, 4, 4))
    total = gaussian_filter(np.where(gone, 0, image).astype(np.float32), (0, 4, 4))
    around = total / np.maximum(weight, 1e-6)
    return np.where(gone, around.round(), image).astype(np.uint8)


def nuclei(labels: Bytes) -> Bytes:
    """1 where most of a 50 nm pixel is nucleus (its envelope, class 1, included), else 0."""
    z, y, x = labels.shape
    inside = (labels == 1) | (labels == 2)
    return (inside.reshape(z, y // 5, 5, x // 5, 5).mean((2, 4)) >= 0.5).astype(np.uint8)


def images(folder: Path) -> dict[str, Bytes]:
    """The two versions of slices 0 to 149 by name."""
    stop = VALIDATION.stop
    image = tifffile.imread(folder / "raw_40nm.tif")[:stop]
    lost = tifffile.imread(folder / "lost_mask.tif")[:stop] > 0
    even = equalised(image, lost)
    gone = [lost | decoys(lost, seed=seed) for seed in (1, 2)]
    return {
        "filled": filled(even, gone[0]),
        "ringed": np.where(gone[1], LOST, even).astype(np.uint8),
    }


def save(path: Path, values: Bytes, *, voxel_nm: tuple[float, float, float], labels: bool) -> None:
    """One OME-Zarr volume of a single level."""
    info = new_volume(
        str(path),
        shape=whole_box(values.shape).shape,
        voxel_nm=parse_voxel_nm(voxel_nm),
        dtype="uint8",
        kind="labels" if labels else "image",
        max_levels=1,
    )
    content = sha256(values.tobytes()).hexdigest()
    volume = create_volume(info, step="prepare", digest=content, version=__version__)
    volume.write(whole_box(info.shape), values)
    volume.finish()


def main(source: Path, out: Path) -> None:
    truth = nuclei(tifffile.imread(source / "labels4_multinuclei_10nm.tif")[: VALIDATION.stop])
    versions = images(source)
    for part, slices in {"train": TRAINING, "validation": VALIDATION}.items():
        save(out / f"real-{part}-nuclei.zarr", truth[slices], voxel_nm=LABELS_NM, labels=True)
        for name, image in versions.items():
            save(out / f"real-{part}-{name}.zarr", image[slices], voxel_nm=IMAGE_NM, labels=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
