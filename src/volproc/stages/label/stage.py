"""Plan and run of `label`: mask in, numbered objects and their table out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from volproc.config import LabelOptions
from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ConfigError, VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Shape
from volproc.stages.label.filter import minimum_voxels
from volproc.stages.label.merge import Merged, merge, touching_pairs
from volproc.stages.label.native import native_step
from volproc.stages.label.passes import Components, FindComponents, WriteLabels
from volproc.stages.label.statistics import describe, to_csv
from volproc.stages.label.tables import Borders, Tables
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.access import exists
from volproc.volume.files import beside, write_file
from volproc.volume.foreground import foreground_level
from volproc.volume.metadata import VolumeInfo, itemsize, new_volume
from volproc.volume.sampling import sampling_to
from volproc.volume.store import Volume

FOREGROUND_BYTES = 1
LABEL_BYTES = 4
UNION_FIND_BYTES = 2
"""Per voxel, cc3d's provisional ids at their worst: a 6-connected checkerboard."""
STATISTICS_BYTES = 4
"""Per voxel, two rows of 88 bytes for a component in every 44 voxels: noisier than any mask."""
ENCODING_BYTES = 3 * LABEL_BYTES
"""Writing a shard peaks at up to 3 times its size."""


@dataclass(frozen=True)
class LabelPlan:
    """Everything decided about a labelling before a voxel is read."""

    mask: VolumeInfo
    output: VolumeInfo
    native: VolumeInfo | None
    blocks: Tiling
    options: LabelOptions
    level: float
    minimum: int
    digest: str

    @property
    def table(self) -> str:
        """Where the table of objects is written (CSV)."""
        return beside(self.output.url, ".csv")

    @property
    def tables(self) -> Tables:
        """What blocks leave on disk for the merge."""
        return Tables(beside(self.output.url, ".tables"), self.digest)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.label_step, *self.output_steps, *self.native_steps)

    @property
    def label_step(self) -> Step:
        """First pass: components of every block, for the merge."""
        working = FOREGROUND_BYTES + LABEL_BYTES + UNION_FIND_BYTES + STATISTICS_BYTES
        return self._step(
            "label",
            FindComponents(self._components, self.tables, self.blocks, self.minimum),
            working=working,
            written=self._border_voxels,
        )

    @property
    def output_steps(self) -> tuple[Step, ...]:
        """Second pass: final ids of every block; then the coarser levels."""
        relabelled = self._step(
            "relabel",
            WriteLabels(self._components, self.tables, Volume(self.output)),
            working=FOREGROUND_BYTES + LABEL_BYTES + ENCODING_BYTES,
            written=prod(self.output.shape) * itemsize(self.output.dtype),
        )
        return (relabelled, *pyramid_steps(self.output, digest=self.digest, name="labels"))

    @property
    def native_steps(self) -> tuple[Step, ...]:
        """The labels on the image's own grid, if they are asked for."""
        if self.native is None:
            return ()
        step = native_step(self.output, self.native, digest=self.digest)
        return (step, *pyramid_steps(self.native, digest=self.digest, name="native labels"))

    def _step(self, name: str, task: Any, *, working: int, written: int) -> Step:
        per_voxel = itemsize(self.mask.dtype)
        return Step(
            name=name,
            task=task,
            blocks=self.blocks,
            digest=self.digest,
            peak_bytes=self.blocks[0].core.size * (per_voxel + working),
            bytes_read=prod(self.mask.shape) * per_voxel,
            bytes_written=written,
        )

    @property
    def _components(self) -> Components:
        return Components(Volume(self.mask), self.level, self.options.connectivity)

    @property
    def _border_voxels(self) -> int:
        """Both sides of all faces between blocks, at one byte a voxel before compression."""
        shape, counts = self.output.shape, self.blocks.counts
        return sum(2 * (n - 1) * prod(shape) // size for n, size in zip(counts, shape, strict=True))


@dataclass(frozen=True)
class LabelResult:
    """What a labelling found, and where it is. `native` is None unless asked for."""

    labels: Volume
    native: Volume | None
    table: str
    objects: int
    dropped: int


def plan_label(
    mask: VolumeInfo,
    url: str,
    options: LabelOptions,
    *,
    native: VolumeInfo | None = None,
    identity: str = "",
) -> LabelPlan:
    """Decide blocks and costs for labelling `mask` into `url`.

    `native` is the image whose grid the labels are also written on if `options.native`;
    `identity` is the mask's digest (`Volume.identity`), part of the plan's own. VolumeError for
    a mask with channels or off the image's grid, ConfigError if `native` is missing.
    """
    if mask.channels:
        raise VolumeError(
            f"{mask.url} has channels ({', '.join(mask.channels)}); label needs one answer per "
            "voxel: take the fused prediction"
        )
    output = _labels_like(mask, url, block=options.block)
    lasting = options.model_dump(exclude={"native", "block"})
    return LabelPlan(
        mask=mask,
        output=output,
        native=_native(output, native) if options.native else None,
        blocks=Tiling(shape=mask.shape, core=output.write_unit),
        options=options,
        level=foreground_level(mask, threshold=options.threshold),
        minimum=minimum_voxels(options.min_volume_um3, voxel_nm=mask.voxel_nm),
        digest=digest("label", identity, lasting, output.write_unit),
    )


def run_label(plan: LabelPlan, runner: Runner) -> LabelResult:
    """The finished labels, numbered in the order of their first voxels, and their table."""
    if not exists(plan.tables.folder):  # removed by hand: the record of them is void
        runner.forget(plan.label_step.name)
    _refuse_zero_and_one(plan, runner.run(plan.label_step))
    merged = _merge(plan)
    plan = replace(plan, output=replace(plan.output, dtype=merged.dtype))
    begun = begin_volume(
        runner, plan.output, step="label", digest=plan.digest, steps=plan.output_steps
    )
    plan = replace(plan, output=begun.info)
    for block in plan.blocks:
        plan.tables.save_lookup(block.index, merged.lookup(block.index))
    columns = describe(merged.objects, voxel_nm=plan.mask.voxel_nm, shape=plan.mask.shape)
    write_file(plan.table, to_csv(columns).encode())
    relabelled, *pyramid = plan.output_steps
    runner.run(relabelled)
    labels = finish_volume(runner, begun, pyramid)
    native = _run_native(replace(plan, output=labels.info), runner)
    return LabelResult(labels, native, plan.table, len(merged.objects), merged.dropped)


def _run_native(plan: LabelPlan, runner: Runner) -> Volume | None:
    if plan.native is None:
        return None
    info = replace(plan.native, dtype=plan.output.dtype)
    begun = begin_volume(runner, info, step="label", digest=plan.digest, steps=plan.native_steps)
    written, *pyramid = replace(plan, native=begun.info).native_steps
    runner.run(written)
    return finish_volume(runner, begun, pyramid)


def _merge(plan: LabelPlan) -> Merged:
    """The merge, here on the client, with a layer of blocks' borders at hand."""
    layer = plan.blocks.counts[1] * plan.blocks.counts[2]
    pairs = touching_pairs(
        plan.blocks,
        connectivity=plan.options.connectivity,
        load=Borders(plan.tables, keep=2 * layer + 2),
    )
    tables = (plan.tables.load(index) for index in range(len(plan.blocks)))
    return merge(tables, pairs, minimum=plan.minimum)


def _labels_like(mask: VolumeInfo, url: str, *, block: Shape | None) -> VolumeInfo:
    """The label volume on the mask's grid; a block size that is asked for becomes its shard."""
    return new_volume(
        url,
        shape=mask.shape,
        voxel_nm=mask.voxel_nm,
        dtype="uint32",
        kind="labels",
        shards=block,
    )


def _native(labels: VolumeInfo, image: VolumeInfo | None) -> VolumeInfo:
    if image is None:
        raise ConfigError("[label] native = true needs the image that the labels belong to")
    sampling_to(labels, image)
    return new_volume(
        beside(labels.url, "-native.zarr"),
        shape=image.shape,
        voxel_nm=image.voxel_nm,
        dtype=labels.dtype,
        kind="labels",
    )


def _refuse_zero_and_one(plan: LabelPlan, found: list[Any]) -> None:
    """A 0/1 mask read as probabilities has no foreground: say so rather than find nothing."""
    none = not any(block["components"] for block in found)
    if none and plan.level > 1 and max(block["highest"] for block in found) == 1:
        raise VolumeError(
            f"no voxel of {plan.mask.url} reaches {plan.level:g} of 255, its highest value is 1: "
            "for a mask of 0 and 1 set [label] threshold = 0"
        )
