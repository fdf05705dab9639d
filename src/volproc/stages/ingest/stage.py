"""Plan and run of `ingest`: files in, an OME-Zarr image with its pyramid out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each, whole_box
from volproc.grid.crop import box_in
from volproc.grid.scale import VoxelNm
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.ingest.empiar.entry import accession
from volproc.stages.ingest.empiar.fetch import FETCH
from volproc.stages.ingest.empiar.ingest_while_downloading import (
    EntryFiles,
    downloading,
    open_entry,
)
from volproc.stages.ingest.formats.views import Part, WithoutNaN, part_of
from volproc.stages.ingest.grey.grey_range import GreyRange, grey_range, sample_blocks
from volproc.stages.ingest.grey.slice_matching import SliceTable, matching
from volproc.stages.ingest.options import FetchOptions, IngestOptions
from volproc.stages.ingest.reader import open_source
from volproc.stages.ingest.refusals import (
    refuse_changed,
    refuse_labels_that_change,
    required_voxel_nm,
)
from volproc.stages.ingest.shard_layout import Layout, laid_out, layout_of
from volproc.stages.ingest.tasks import CopyBlock, MeasureSlices, SampleGreys
from volproc.stages.ingest.voxel_source import Source
from volproc.stages.output import begin_volume, cutting_of, finish_volume, pyramid_steps
from volproc.volume.access import relative_url
from volproc.volume.metadata import PositionNm, VolumeInfo, itemsize, new_volume
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same files and options would give other voxels."""
_APART = {"changed", "keep", "box", "position_nm"}
"""Options that are in no recipe, or only where they are given."""
STORED = {"bool": "uint8", "float16": "float32"}
"""Types that few readers of OME-Zarr know, and what they become without loss."""


@dataclass(frozen=True)
class IngestPlan:
    """Everything decided about an ingest from the files' headers."""

    source: Source
    output: VolumeInfo
    layout: Layout
    options: IngestOptions
    recipe: Recipe
    path: str
    entry: EntryFiles | None = None
    """The files to download, if they are not here yet."""

    @property
    def digest(self) -> str:
        """Of the recipe."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        return Claim(self.recipe, () if self.entry else (self.path,), (self.output,))

    @property
    def blocks(self) -> Tiling:
        """Whole shards over the full width of the volume."""
        return Tiling(shape=self.output.shape, core=self.layout.block)

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The levels that are made from those written before; `CopyBlock` writes the first two."""
        return pyramid_steps(self.output, digest=self.digest, name="image", first=2)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost: constants of the volume come before its voxels."""
        measure = (self.measure_step,) if self.options.match_slices else ()
        sample = (self.sample_step,) if self.maps_greys and not self.options.grey_range else ()
        return (*measure, *sample, self.copy_step(), *self.pyramid)

    @property
    def voxels(self) -> Source:
        """The source as blocks read it."""
        nan = self.options.nan
        if nan is None or not self.source.dtype.startswith("float"):
            return self.source
        return WithoutNaN.of(self.source, value=nan)

    @property
    def maps_greys(self) -> bool:
        """Whether grey values become uint8 by a range."""
        return self.options.dtype == "uint8" and self.source.dtype not in ("uint8", "bool")

    @property
    def measure_step(self) -> Step:
        """The step that finds every slice's mean and spread."""
        depth, plane = self.layout.block[0], self._plane_bytes
        return Step(
            name="measure slices",
            task=MeasureSlices(self.voxels),
            blocks=Tiling(shape=self.source.shape, core=(depth, *self.source.shape[1:])),
            digest=self.digest,
            reads=self.path,
            peak_bytes=3 * plane,
            bytes_read=self.source.shape[0] * plane,
        )

    @property
    def sample_step(self) -> Step:
        """The step that samples grey values."""
        blocks, plane = sample_blocks(self.source.shape), self._plane_bytes
        return Step(
            name="sample grey values",
            task=SampleGreys(self.voxels),
            blocks=blocks,
            digest=self.digest,
            reads=self.path,
            peak_bytes=plane + 17 * prod(self.source.shape[1:]),
            bytes_read=len(blocks) * plane,
        )

    def copy_step(self, table: SliceTable = (), greys: GreyRange | None = None) -> Step:
        """The step that writes the finest level; see `CopyBlock` for `table` and `greys`."""
        block, shard = self.blocks[0].core.size, prod(self.layout.shards)
        stored, read = itemsize(self.output.dtype), itemsize(self.source.dtype)
        changing = 4 * block if self.options.match_slices or self.maps_greys else 0
        levels = self.output.levels[:2]
        decoded = self.output.is_part and not self.source.by_rows
        return Step(
            name="ingest",
            task=CopyBlock(self.voxels, Volume(self.output), table, greys),
            blocks=self.blocks,
            digest=self.digest,
            reads=self.path,
            writes=tuple(WrittenLevel(self.output, n, n) for n in range(len(levels))),
            # the files' voxels, a changed copy of them, level 1, and a shard while it is encoded;
            # of a part, a plane that is decoded whole
            peak_bytes=block * (read + stored)
            + changing
            + 4 * shard * stored
            + (self._plane_bytes if decoded else 0),
            bytes_read=prod(self.output.shape) * read,
            bytes_written=sum(prod(level.shape) for level in levels) * stored,
        )

    @property
    def _plane_bytes(self) -> int:
        source = self.source.inside if isinstance(self.source, Part) else self.source
        return prod(source.shape[1:]) * itemsize(source.dtype)


def plan_ingest(
    path: str, url: str, options: IngestOptions, fetch: FetchOptions = FETCH
) -> IngestPlan:
    """Decide shards and blocks for the files at `path`. Reads headers only.

    IngestError if they cannot be read, or if `url` was begun from other files.
    """
    source: Source
    files = None
    if entry := accession(path):
        source, files = open_entry(entry, url, options, fetch)
    else:
        source = open_source(path, options)
    if source.kind == "labels":  # averaged, ids would become others
        options = options.model_copy(update={"labels": True})
    voxel_nm = required_voxel_nm(source, options, path)
    refuse_labels_that_change(source, options, path)
    box, whole = box_in(options.box, source.shape, voxel_nm), whole_box(source.shape)
    source, files = part_of(source, box), files and files.within(box.start[0], box.stop[0])
    output = new_volume(
        url,
        shape=source.shape,
        voxel_nm=voxel_nm,
        dtype="uint8" if options.dtype == "uint8" else STORED.get(source.dtype, source.dtype),
        kind="labels" if options.labels else "image",
        version=options.ome_zarr,
        corner_nm=_corner_nm(source, options, voxel_nm, box),
        part=box != whole,
    )
    layout = layout_of(output, by_rows=source.by_rows)
    output = laid_out(output, layout).with_provenance(**_provenance(source))
    refuse_changed(output, options)
    lasting = options.model_dump(exclude=_APART) | {"voxel_nm": voxel_nm}
    # recipes of what was made without these options stay as they were
    lasting |= {"box": [box.start, box.stop]} if box != whole else {}
    lasting |= {"position_nm": options.position_nm} if options.position_nm else {}
    inputs = {"files": digest(source.identity, whole.shape, source.dtype)}
    places = {"files": path if files else relative_url(path, url)}
    cutting = cutting_of(layout.block, output)
    recipe = Recipe("ingest", ALGORITHM, inputs, lasting, cutting, places)
    output = output.with_provenance(recipe=recipe.record())
    return IngestPlan(source, output, layout, options, recipe, path, files)


def run_ingest(plan: IngestPlan, runner: Runner) -> Volume:
    """The finished image."""
    admit(plan.claim, replace(runner, own=runner.own or plan.options.changed == "redo"))
    if plan.entry is None:
        return _run(plan, runner)
    with downloading(plan.entry, runner) as waiting:
        return _run(plan, waiting)


def _run(plan: IngestPlan, runner: Runner) -> Volume:
    table, greys = _slice_table(plan, runner), _grey_range(plan, runner)
    info = plan.output
    if table:
        info = info.with_provenance(slice_scale_offset=table)
    if greys:
        info = info.with_provenance(grey_range=[greys.low, greys.high])
    steps = (plan.copy_step(table, greys), *plan.pyramid)
    volume = begin_volume(runner, info, step="ingest", digest=plan.digest, steps=steps)
    plan = replace(plan, output=volume.info)
    runner.run(plan.copy_step(table, greys))
    return finish_volume(runner, volume, plan.pyramid)


def _slice_table(plan: IngestPlan, runner: Runner) -> SliceTable:
    if not plan.options.match_slices:
        return ()
    found = [pair for record in runner.run(plan.measure_step) for pair in record]
    return matching([(mean, spread) for mean, spread in found])


def _grey_range(plan: IngestPlan, runner: Runner) -> GreyRange | None:
    if not plan.maps_greys:
        return None
    stated = plan.options.grey_range
    return GreyRange(*stated) if stated else grey_range(runner.run(plan.sample_step))


def _provenance(source: Source) -> dict[str, Any]:
    """For the output's metadata: what tells the same files from changed ones; what became of files
    and values; slices that are in no file.
    """
    sizes = [size for _, size, _ in source.identity]
    listing = {"files": len(sizes), "bytes": sum(sizes), "digest": digest(source.identity)}
    found = {"files_taken": source.note, "filled_slices": list(source.filled)}
    return {"source": listing, **{key: value for key, value in found.items() if value}}


def _corner_nm(
    source: Source, options: IngestOptions, voxel_nm: VoxelNm, box: Box
) -> PositionNm | None:
    """Where `box` of what the files hold begins; None where no place is stated and it is all."""
    stated = options.position_nm
    corner = source.stated.corner_nm(voxel_nm)
    if stated is not None:
        corner = each(lambda p, v: p - v / 2, stated, voxel_nm) if any(stated) else None
    if corner is None and not any(box.start):
        return None
    # where no place is stated, the centre of the first voxel is at 0
    corner = corner or each(lambda v: -v / 2, voxel_nm)
    return each(lambda c, n, v: c + n * v, corner, box.start, voxel_nm)


def plan_from(request: Request) -> IngestPlan:
    """The plan for what a command, a function or a run asks for."""
    options, fetch = request.table(IngestOptions), request.table(FetchOptions)
    return plan_ingest(request.path("source"), request.out(), options, fetch)
