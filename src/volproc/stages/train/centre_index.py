"""How much of each class is in each region: found once in all labels, kept with the training.

Regions are drawn by these counts, so they may be rough: of more voxels than `MOST_COUNTED`, those
of coarser levels of the label volumes are counted. A class, or a source, of which these show
nothing is looked for in finer ones, down to all voxels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volproc.errors import ConfigError
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.regions import Regions
from volproc.stages.train.voxels_per_core import Counts, voxels_per_core
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file

MOST_COUNTED = 2**28
"""Voxels: some 20 seconds of a core."""


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


def counted_apart(images: Sequence[LabelledImage]) -> int:
    """How many times as long as the model's the voxels are that are counted."""
    size, factor = sum(image.box.size for image in images), 1
    while size > MOST_COUNTED * factor**3:
        factor *= 2
    return factor


def _counted_all(regions: Regions) -> Counts:
    factor = counted_apart(regions.images)
    table = _counted_at(regions, factor)
    while factor > 1 and _lacks(table, regions):
        factor //= 2
        table = _counted_at(regions, factor)
    return table


def _lacks(table: Counts, regions: Regions) -> bool:
    """Whether a source has nothing that counts, or a class no voxel."""
    classes = (table.shape[1] - 1) // 2
    sources = np.bincount([one.source for one in regions.all], table[:, 0], len(regions.images))
    return not (sources.all() and table[:, 1 + classes :].any(axis=0).all())


def _counted_at(regions: Regions, factor: int) -> Counts:
    tables = (
        voxels_per_core(image, regions.core or image.box.shape, factor) for image in regions.images
    )
    return np.concatenate([*tables])


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
