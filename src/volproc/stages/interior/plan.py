"""Every step from an envelope to its nuclei, with what it costs.

    regions    what the envelope leaves once its gaps are closed: cores (tasks.py)
    label      the regions, numbered over the whole volume by the label stage
    faces      how much of each region lies on the volume's border (leak_test.py)
    inside     regions that pass the leak test, grown to the envelope (geodesic_growth.py); the vote
    label      the interiors, numbered
    nuclei     each voxel of the envelope to the nearest interior (envelope_distance.py)

The first three are done in the volume as a whole and in slices across each axis that is chosen:
what each of them finds inside is a vote. The volumes in between are in OUT.parts and may be looked
at, or removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot, prod
from typing import Any

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Tiling
from volproc.grid.box import Shape, each
from volproc.stages.claims import Claim
from volproc.stages.interior.envelope_distance import reach_voxels, with_slices_apart
from volproc.stages.interior.geodesic_growth import halo_of
from volproc.stages.interior.labelling import Labelling, Planned
from volproc.stages.interior.leak_test import CountFaces, Verdict
from volproc.stages.interior.options import InteriorOptions
from volproc.stages.interior.tasks import AddEnvelope, Envelope, FillInside, FindCores
from volproc.stages.output import cutting_of, pyramid_steps
from volproc.volume.access import relative_url
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo, chunk_shape, itemsize, new_volume, shard_shape
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same envelope and options would give other nuclei."""
LABEL_BYTES = 4
NOT_COUNTED = {"block", "object_class", "device"}
"""Options that change no voxel, or by what is in the volume that they name."""


@dataclass(frozen=True)
class InteriorPlan:
    """Everything decided about filling an envelope before a voxel is read."""

    envelope: Envelope
    output: VolumeInfo
    options: InteriorOptions
    labelling: Labelling
    fingerprint: str
    """Of the envelope."""

    @property
    def recipe(self) -> Recipe:
        """Everything that the nuclei depend on."""
        return Recipe(
            "interior",
            ALGORITHM,
            {"envelope": self.fingerprint},
            self.options.model_dump(exclude=NOT_COUNTED),
            cutting_of(self.output.write_unit, self.output),
            {"envelope": relative_url(self.source.url, self.output.url)},
        )

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        scratch = (sibling(self.output.url, ".parts"),)
        return Claim(self.recipe, (self.source.url,), (self.output,), scratch=scratch)

    @property
    def digest(self) -> str:
        """Names everything that the nuclei depend on."""
        return self.recipe.digest

    @property
    def source(self) -> VolumeInfo:
        """The envelope's volume."""
        return self.envelope.volume.info

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        found: list[Step] = []
        regions = tuple(Volume(self.part(named("numbered", axis), "uint32")) for axis in self.axes)
        for axis, numbered in zip(self.axes, regions, strict=True):
            cores = Volume(self.part(named("regions", axis), "uint8"))
            inner = self.region_numbering(axis, cores).steps
            found += [self.regions_step(axis, cores), *inner, self.faces_step(axis, numbered)]
        inside = Volume(self.part("inside", "uint8"))
        interiors = Volume(self.part("interiors", "uint32"))
        inner = self.nucleus_numbering(inside).steps
        return (*found, self.inside_step(regions, inside), *inner, *self.output_steps(interiors))

    @property
    def axes(self) -> tuple[int | None, ...]:
        """What is filled, each with a vote: None, the volume as a whole; slices across axes."""
        whole: tuple[int | None, ...] = (None,) if self.options.volume else ()
        return (*whole, *("zyx".index(axis) for axis in self.options.axes))

    @property
    def gap_nm(self) -> float:
        """The widest gap that is closed, but no wider than the volume needs."""
        sides = (n * nm for n, nm in zip(self.source.shape, self.source.voxel_nm, strict=True))
        return min(self.options.gap_nm, 2.1 * hypot(*sides))

    def regions_step(self, axis: int | None, output: Volume) -> Step:
        """What is deep between the parts of the envelope, into `output`."""
        voxel_nm = with_slices_apart(output.info.voxel_nm, axis)
        return self._step(
            named("regions", axis),
            FindCores(self.envelope, self.gap_nm, axis, output, self.options.device),
            halo=reach_voxels(self.gap_nm / 2, voxel_nm=voxel_nm),
            output=output.info,
            depends=self.options.model_dump(include={"gap_nm", "threshold"}),
        )

    def faces_step(self, axis: int | None, regions: Volume) -> Step:
        """Faces of the numbered regions, for the leak test."""
        name, made = named("faces", axis), self.faces_digest(axis)
        return self._step(
            name,
            CountFaces(regions, self.place(name), made),
            halo=(1, 1, 1),
            depends=made,
        )

    def inside_step(self, regions: tuple[Volume, ...], output: Volume) -> Step:
        """Voxels inside of the envelope, from numbered regions across each axis, into `output`."""
        options = self.options
        # cores begin half a gap from the envelope: a shorter reach would leave a rim unfilled
        reach_nm = max(options.reach_nm, options.gap_nm)
        sizes = [with_slices_apart(output.info.voxel_nm, axis) for axis in self.axes]
        task = FillInside(
            envelope=self.envelope,
            axes=self.axes,
            regions=regions,
            verdicts=tuple(self.verdict(axis) for axis in self.axes),
            votes=options.votes or ceil(len(self.axes) / 2),
            reach_nm=reach_nm,
            output=output,
            device=options.device,
        )
        return self._step(
            "inside",
            task,
            halo=each(max, *(halo_of(reach_nm, voxel_nm=size) for size in sizes), (0, 0, 0)),
            output=output.info,
            depends=options.model_dump(exclude={"envelope_nm", "min_volume_um3", *NOT_COUNTED}),
        )

    def output_steps(self, interiors: Volume) -> tuple[Step, ...]:
        """Interiors with their envelopes, and the coarser levels."""
        reach_nm, voxel_nm = self.options.envelope_nm, self.output.voxel_nm
        output, device = Volume(self.output), self.options.device
        nuclei = self._step(
            "nuclei",
            AddEnvelope(self.envelope, interiors, reach_nm, output, device),
            halo=reach_voxels(reach_nm, voxel_nm=voxel_nm),
            output=self.output,
            depends=self.digest,
        )
        return (nuclei, *pyramid_steps(self.output, digest=self.digest, name="nuclei"))

    def faces_digest(self, axis: int | None) -> str:
        """Names what the counted faces depend on."""
        return digest("faces", self._cores_digest, axis, self.output.write_unit)

    def verdict(self, axis: int | None) -> Verdict:
        """The file that says which regions are interiors."""
        rule = self.options.model_dump(include={"open_share", "max_volume_um3"})
        made = digest(self._cores_digest, axis, rule)
        return Verdict(self.place(named("verdict", axis)), made)

    def region_numbering(self, axis: int | None, cores: Volume) -> Planned:
        """How regions are numbered: those that share faces, within a slice where there are any."""
        kind, block = "mask" if axis is None else "classes", self.options.block
        options = {"input": kind, "connectivity": 6, "min_volume_um3": 0, "block": block}
        url = self.part(named("numbered", axis), "uint32").url
        return self.labelling.plan(cores.info, url, options)

    def nucleus_numbering(self, inside: Volume) -> Planned:
        """How interiors are numbered, and the small ones dropped."""
        smallest, block = self.options.min_volume_um3, self.options.block
        options = {"connectivity": 6, "min_volume_um3": smallest, "block": block}
        return self.labelling.plan(inside.info, self.part("interiors", "uint32").url, options)

    def part(self, name: str, dtype: str) -> VolumeInfo:
        """A volume between two steps, on the envelope's grid."""
        return volume_like(self.source, self.place(f"{name}.zarr"), dtype, self.options)

    def place(self, name: str) -> str:
        """The path of a file or volume between two steps."""
        return f"{sibling(self.output.url, '.parts')}/{name}"

    @property
    def _cores_digest(self) -> str:
        lasting = self.options.model_dump(include={"gap_nm", "threshold"})
        return digest(ALGORITHM, self.fingerprint, lasting)

    def _step(
        self,
        name: str,
        task: FindCores | CountFaces | FillInside | AddEnvelope,
        *,
        halo: Shape,
        depends: Any,
        output: VolumeInfo | None = None,
    ) -> Step:
        info, unit = self.source, self.output.write_unit
        blocks = Tiling(info.shape, unit, halo)
        per_voxel, written = itemsize(info.dtype), itemsize(output.dtype) if output else 0
        # a block in the middle has its whole halo, the first one may have more core
        read = max(blocks[len(blocks) // 2].read.size, blocks[0].read.size)
        return Step(
            name=name,
            task=task,
            blocks=blocks,
            digest=digest(name, ALGORITHM, self.fingerprint, depends, halo, unit),
            on_gpu=not isinstance(task, CountFaces) and task.device == "cuda",
            writes=(WrittenLevel(output),) if output else (),
            peak_bytes=read * (per_voxel + task.working_bytes) + 4 * blocks[0].core.size * written,
            bytes_read=read * len(blocks) * per_voxel,
            bytes_written=prod(info.shape) * written,
        )


def volume_like(
    info: VolumeInfo, url: str, dtype: str, options: InteriorOptions, *, levels: int = 1
) -> VolumeInfo:
    """A label volume on the grid of `info`, with shards that one task can work on."""
    unit = options.block or shard_shape(
        info.shape, chunks=chunk_shape(info.voxel_nm), bytes_per_voxel=LABEL_BYTES
    )
    return new_volume(
        url,
        shape=info.shape,
        voxel_nm=info.voxel_nm,
        corner_nm=info.corner_nm,
        part=info.is_part,
        dtype=dtype,
        kind="labels",
        shards=unit,
        max_levels=levels,
    )


def named(name: str, axis: int | None) -> str:
    """The name of a step or volume that may be there once per axis."""
    return name if axis is None else f"{name}-{'zyx'[axis]}"
