"""Plan and run of `subjects`: an image in; slices for volunteers and their manifest out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import AnnotateError
from volproc.grid.blocks import Block
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.provenance import write_provenance
from volproc.stages.subjects.frames import BAND_ROWS, CutFrames, FindContrast
from volproc.stages.subjects.manifest import rows_of, to_csv
from volproc.stages.subjects.options import SubjectsOptions
from volproc.stages.subjects.shown_regions import (
    Region,
    blocks_of,
    regions_of,
    sample_of,
    shown_slices,
    slabs_of,
)
from volproc.volume.access import relative_url
from volproc.volume.file_io import write_file
from volproc.volume.fingerprint import fingerprint
from volproc.volume.metadata import VolumeInfo, itemsize
from volproc.volume.store import Volume

ALGORITHM = 1
"""Raised by hand when the same image and options would give other pictures."""
SLAB_BYTES = 2**28
"""Voxels of one task: no more slices than fit, but never less than one."""


@dataclass(frozen=True)
class SubjectsPlan:
    """Everything decided about the subjects before a voxel is read."""

    image: VolumeInfo
    out: str
    options: SubjectsOptions
    regions: tuple[Region, ...]
    recipe: Recipe

    @property
    def digest(self) -> str:
        """Names everything that the images depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        return Claim(self.recipe, (self.image.url,), folders=(self.out,))

    @property
    def manifest(self) -> str:
        """Where the table of subjects goes."""
        return f"{self.out}/manifest.csv"

    @property
    def contrast(self) -> Step:
        """Black and white of each region, from a sample of its voxels."""
        samples = [sample_of(region.box) for region in self.regions]
        voxels = [sum(box.size for box in boxes) for boxes in samples]
        size = itemsize(self.image.dtype)
        return Step(
            name="contrast of the subjects",
            task=FindContrast(Volume(self.image)),
            blocks=[Block(n, one.box, one.box) for n, one in enumerate(self.regions)],
            digest=self.digest,
            peak_bytes=4 * max(voxels) * size,
            bytes_read=sum(voxels) * size,
        )

    def frames(self, contrast: tuple[tuple[float, float], ...] = ()) -> Step:
        """All images, a few slices of a region at a time; run with the regions' black and white."""
        depth = slab_depth(self.image, self.regions)
        blocks = blocks_of(tuple(slabs_of(self.regions, self.options, depth=depth)))
        size = itemsize(self.image.dtype)
        largest = max(block.core.size for block in blocks)
        plane = max(prod(block.core.shape[1:]) for block in blocks)
        band = BAND_ROWS * max(block.core.shape[2] for block in blocks)
        images = max(block.core.shape[0] for block in blocks) * self.options.largest_bytes
        return Step(
            name="frames of the subjects",
            task=CutFrames(Volume(self.image), self.out, self.regions, self.options, contrast),
            blocks=blocks,
            digest=self.digest,
            peak_bytes=largest * size + images + 4 * plane + 5 * 8 * band,
            bytes_read=sum(block.core.size for block in blocks) * size,
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return self.contrast, self.frames()

    @property
    def images(self) -> int:
        """How many files are made; a frame that several subjects show counts once."""
        return sum(len(shown_slices(region, self.options)) for region in self.regions)


def slab_depth(image: VolumeInfo, regions: Sequence[Region]) -> int:
    """Slices of the volume that are read at once: those of a chunk, or as many as memory allows."""
    plane = max(prod(region.box.shape[1:]) for region in regions) * itemsize(image.dtype)
    return min(image.levels[0].chunks[0], max(1, SLAB_BYTES // plane))


def plan_subjects(image: VolumeInfo, out: str, options: SubjectsOptions) -> SubjectsPlan:
    """Decide which slices of `image` go into the folder `out`, and how they are cut.

    AnnotateError for what is no grey image; ConfigError for regions that are not in it.
    """
    if image.channels or image.kind != "image":
        what = "channels" if image.channels else "labels"
        raise AnnotateError(f"{image.url} holds {what}; volunteers are shown a grey image")
    regions = regions_of(image, options)
    lasting = options.model_dump(exclude={"attribution"})  # in the manifest only
    recipe = Recipe(
        "subjects",
        ALGORITHM,
        {"image": fingerprint(image)},
        lasting | {"regions": digest(regions)},
        {"slices": slab_depth(image, regions)},
        {"image": relative_url(image.url, out)},
    )
    return SubjectsPlan(image, out.rstrip("/"), options, regions, recipe)


def run_subjects(plan: SubjectsPlan, runner: Runner) -> str:
    """Images of all frames and their manifest, whose place is returned.

    OutputError where the folder holds anything else, AnnotateError where an image cannot be made
    small enough.
    """
    admit(plan.claim, runner)
    if plan.claim.state not in ("begun", "done"):
        for step in plan.steps:
            runner.forget(step.name)
        write_provenance(plan.out, plan.recipe, finished=False, folder=True)
    found = runner.run(plan.contrast)
    contrast = tuple((low, high) for low, high in found)
    step = plan.frames(contrast)
    quality: dict[Region, dict[int, int]] = {region: {} for region in plan.regions}
    at = {region.box: region for region in plan.regions}
    for block, record in zip(step.blocks, runner.run(step), strict=True):
        quality[at[block.read]].update({z: q for z, q in record})
    rows = (
        row
        for region, ends in zip(plan.regions, contrast, strict=True)
        for row in rows_of(
            region,
            plan.options,
            voxel_nm=plan.image.voxel_nm,
            contrast=ends,
            quality=quality[region],
        )
    )
    write_file(plan.manifest, to_csv(rows).encode())
    write_provenance(plan.out, plan.recipe, finished=True, folder=True)
    return plan.manifest


def plan_from(request: Request) -> SubjectsPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_subjects(request.volume("image"), request.out(), request.table(SubjectsOptions))
