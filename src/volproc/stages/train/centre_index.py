"""How much of each class is in each region: found once in all labels, kept with the training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import ConfigError
from volproc.grid.box import Box
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.pairs import LabelledImage, slab_depth
from volproc.stages.train.regions import Region, Regions
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file

THREADS = 2
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CentreIndex:
    """Voxels per region: arrays (regions,) and (regions, classes)."""

    counted: Counts
    """Those that count for some class."""
    edges: Counts
    """Those on the surfaces of a class' bodies."""
    inside: Counts
    """Those that may be the class, for all that is known."""
    file: str = ""
    key: str = ""
    """Where it is kept, and what it belongs to."""

    def keep(self) -> None:
        """Write it, for a training that goes on."""
        table = np.column_stack([self.counted, self.edges, self.inside])
        write_file(self.file, json.dumps({"key": self.key, "rows": table.tolist()}).encode())


def index_of(regions: Regions, *, file: str, key: str) -> CentreIndex:
    """The index of all regions, from `file` if it was written under the same `key`, else made."""
    kept = json.loads(read_file(file)) if exists(file) else {}
    rows = kept["rows"] if kept.get("key") == key else _counted_all(regions)
    table = np.asarray(rows, np.int64)
    classes = (table.shape[1] - 1) // 2
    return CentreIndex(table[:, 0], table[:, 1 : 1 + classes], table[:, 1 + classes :], file, key)


def _counted_all(regions: Regions) -> list[list[int]]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [*pool.map(partial(_counts, regions), regions.all)]


def _counts(regions: Regions, region: Region) -> list[int]:
    image = regions.images[region.source]
    slabs = [_counts_in(image, slab) for slab in region.core.slabs(slab_depth(region.core))]
    return [int(n) for n in np.sum(slabs, axis=0)]


def _counts_in(image: LabelledImage, box: Box) -> list[int]:
    """Voxels that count, then those on surfaces and those inside, by class.

    Grey values of images that are not of whole numbers are looked at, too: NaN is refused now
    rather than in the middle of a training.
    """
    if np.dtype(image.source.image.dtype).kind == "f":
        image.image(box)
    truths = image.truths(box)
    counts = np.logical_or.reduce([truth.weight > 0 for truth in truths])
    edges = [truth.edges for truth in truths]
    inside = [(truth.target > 0) & (truth.weight > 0) for truth in truths]
    return [int(np.count_nonzero(mask)) for mask in (counts, *edges, *inside)]


def require_learnable(index: CentreIndex, regions: Regions, classes: Sequence[str]) -> None:
    """ConfigError if nothing counts in a source, or no source has a voxel of a class."""
    for number, image in enumerate(regions.images):
        own = [n for n, region in enumerate(regions.all) if region.source == number]
        if not index.counted[own].any():
            _refuse_all_ignored(image)
    for number, name in enumerate(classes):
        if not index.inside[:, number].any():
            urls = [_labels_url(image, number) for image in regions.images]
            target = regions.images[0].targets[number]
            raise ConfigError(
                f"[train] labels: no voxel of {', '.join(filter(None, urls)) or 'any image'} is "
                f"{name}, so there is no object to learn; {_way_out(target)}"
            )


def _way_out(target: TargetOptions) -> str:
    if target.made_from == "borders" and not target.background:
        return "where bodies do not touch, borders are found with background = true"
    if target.width_nm:
        return "give labels that hold some, or a larger width_nm"
    if target.depth_nm:
        return "give labels that hold some, or a smaller depth_nm"
    return "give labels that hold some"


def _labels_url(image: LabelledImage, number: int) -> str:
    one = image.source.classes[number]
    return one.labels.url if one else ""


def _refuse_all_ignored(image: LabelledImage) -> None:
    marks: list[Any] = [one.ignore.url for one in image.source.classes if one and one.ignore]
    raise ConfigError(
        f"every voxel of {image.source.image.url} is marked in {', '.join(dict.fromkeys(marks))}, "
        "so nothing is left to learn from; have more slices drawn, or lower [annotate] min_votes"
    )
