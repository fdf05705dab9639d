"""Objects in volumes and arrays of your own: label, filter, renumber, measure, block by block.

    from volproc import labels

    found = labels.label("mask.zarr", "objects.zarr", voxel_nm=(50, 10, 10), min_volume_um3=1.25)
    found.objects, found.dask(), found.table()["volume_um3"]

Everywhere a volume is a path or URL of OME-Zarr, Zarr or N5, or any array of z, y and x that gives
boxes when indexed: numpy, Zarr, HDF5, dask. A dask array is computed block by block, once in each
pass; save it first if that costs more than reading it. Results are OME-Zarr on disk, as lazy dask
arrays by `Labelled.dask`. An interrupted call goes on where it stopped. What was made with other
options is refused unless `overwrite`; an input that was edited is labelled anew.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.config.cluster import ClusterOptions
from volproc.config.loading import parsed
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError
from volproc.grid.blocks import Connectivity, Tiling
from volproc.stages.label.mask_source import ArraySource, Source, source_of
from volproc.stages.label.object_search import find_objects, plan_find
from volproc.stages.label.options import LabelOptions
from volproc.stages.label.relabelling import rename
from volproc.stages.label.stage import LabelResult, plan_label, run_label
from volproc.stages.objects.table import columns_of
from volproc.volume.file_io import read_file
from volproc.volume.metadata import VolumeInfo, shard_shape
from volproc.volume.store import Volume
from volproc.workflow.single_stage import runner_for

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Labelled:
    """Labels on disk and the table of their objects.

    `reasons` says how many objects were dropped by which criterion.
    """

    volume: Volume
    objects: int
    table_url: str
    reasons: dict[str, int]

    def dask(self, level: int = 0) -> Any:
        """The labels as a lazy dask array."""
        return self.volume.dask(level)

    def table(self) -> Columns:
        """One row per object, by column; `pandas.DataFrame(found.table())` takes it."""
        header, *rows = csv.reader(StringIO(read_file(self.table_url).decode()))
        columns = zip(*rows, strict=True) if rows else ((),) * len(header)
        return {name: _typed(name, values) for name, values in zip(header, columns, strict=True)}


def label(
    mask: Any,
    out: str | Path,
    *,
    voxel_nm: Sequence[float] | None = None,
    connectivity: Connectivity = 26,
    classes: bool = False,
    threshold: float | None = None,
    cluster: ClusterOptions | None = None,
    overwrite: bool = False,
    **criteria: Any,
) -> Labelled:
    """Connected components of `mask` as labels at `out`, 1 to n in the order of first voxels.

    Every voxel but 0 is foreground, of floats those of 0.5 and above; `threshold` (0 to 1) is for
    probabilities. With `classes` only equal values connect. `voxel_nm` (z, y, x) is needed where
    nothing states it. `criteria` are options of `LabelOptions` such as min_volume_um3, border,
    largest, block; nothing is dropped by default. Without `cluster` this process does the work.
    """
    source = source_of(mask, voxel_nm=voxel_nm)
    floats = np.dtype(source.info.dtype).kind == "f"
    chosen = {
        "input": "classes" if classes else "mask",
        "connectivity": connectivity,
        "threshold": (0.5 if floats else 0.0) if threshold is None else threshold,
        **criteria,
    }
    return _labelled(source, out, chosen, cluster, overwrite)


def filter(
    labels: Any,
    out: str | Path,
    *,
    voxel_nm: Sequence[float] | None = None,
    keep_ids: bool = True,
    cluster: ClusterOptions | None = None,
    overwrite: bool = False,
    **criteria: Any,
) -> Labelled:
    """The labels that meet `criteria` (see `label`), with their ids or, if not `keep_ids`, 1 to n.

    Equal ids are one object wherever they are.
    """
    source = source_of(labels, voxel_nm=voxel_nm)
    chosen = {"input": "labels", "keep_ids": keep_ids, **criteria}
    return _labelled(source, out, chosen, cluster, overwrite)


def relabel(
    labels: Any,
    out: str | Path,
    mapping: Mapping[int, int] | None = None,
    *,
    voxel_nm: Sequence[float] | None = None,
    cluster: ClusterOptions | None = None,
    overwrite: bool = False,
) -> Volume:
    """The labels with other ids: those of `mapping`, or 1 to n in the order of first voxels.

    Ids that `mapping` does not name stay; 0 removes one; two ids that become one are merged.
    """
    if mapping is None:
        found = filter(
            labels, out, voxel_nm=voxel_nm, keep_ids=False, cluster=cluster, overwrite=overwrite
        )
        return found.volume
    source = source_of(labels, voxel_nm=voxel_nm)
    with _runner(source, out, cluster, overwrite) as runner:
        return rename(source, str(out), mapping, runner)


def statistics(labels: Any, *, voxel_nm: Sequence[float] | None = None) -> Columns:
    """One row per id of `labels`, by column: the table that `label` writes, and nothing on disk.

    Sizes, bounding boxes, centroids in voxels and nm, elongation; see docs/labels.md.
    """
    source = source_of(labels, voxel_nm=voxel_nm)
    info = source.info
    options = LabelOptions(input="labels", min_volume_um3=0, keep_ids=True)
    unit = shard_shape(info.shape, chunks=info.levels[0].chunks, bytes_per_voxel=4)
    with tempfile.TemporaryDirectory(prefix="volproc-") as folder:
        blocks = Tiling(info.shape, unit)
        plan = plan_find(source, f"{folder}/tables", options, blocks=blocks)
        found = find_objects(plan, Runner(SerialEngine(), folder))
        how = {"voxel_nm": info.voxel_nm, "shape": info.shape}
        columns = columns_of(found.merged.numbering().rows(), **how)
    by_id = np.argsort(columns["id"])
    return {name: values[by_id] for name, values in columns.items()}


def _labelled(
    source: Source,
    out: str | Path,
    chosen: Mapping[str, Any],
    cluster: ClusterOptions | None,
    overwrite: bool,
) -> Labelled:
    options = parsed(LabelOptions, {"min_volume_um3": 0, **chosen}, where="labels")
    with _runner(source, out, cluster, overwrite) as runner:
        info: VolumeInfo = source.info
        plan = plan_label(info, str(out), options, source=source)
        made: LabelResult = run_label(plan, runner)
    return Labelled(made.labels, made.objects, made.table, made.reasons)


@contextmanager
def _runner(
    source: Source, out: str | Path, cluster: ClusterOptions | None, overwrite: bool
) -> Iterator[Runner]:
    if cluster is not None and isinstance(source, ArraySource):
        raise ConfigError(
            f"{source.info.url} lives in this process, workers cannot read it: save it as Zarr and "
            "give its path, or leave out cluster"
        )
    chosen = cluster or ClusterOptions(kind="serial")
    with runner_for(str(out), chosen, (), overwrite=overwrite) as runner:
        yield runner


def _typed(name: str, values: Sequence[str]) -> npt.NDArray[Any]:
    """A column of the table as it was before it was written."""
    if name == "touches_border":
        return np.asarray(np.array(values, dtype=str) == "True")
    real = name.endswith(("_nm", "_um3")) or name.startswith(("centroid", "elongation"))
    return np.array(values, dtype=np.float64 if real else np.uint64 if name in IDS else np.int64)


IDS = ("id", "value")
