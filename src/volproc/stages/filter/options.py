"""[filter]: median, Gaussian, unsharp mask and destriping."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from volproc.config.options import Crop, Options, Triple, Voxels
from volproc.stages.filter.filter_steps import FilterStep, parse_step


class FilterOptions(Options):
    """Grey values filtered before a network sees them."""

    steps: tuple[str, ...] = ()
    """Operations, applied in order: "median WIDTH", "gaussian SIGMA", "unsharp SIGMA amount=1",
    "destripe WIDTH length=LENGTH axis=y"; lengths in nm, or with a unit."""
    box: Crop = ""
    """Filter this part only: voxels ("0:64,0:512,0:512"), lengths ("0:2um,0:5um,0:5um"), or a size
    in the middle ("512"). What is around it is read too."""
    voxel_nm: Triple | None = None
    """Voxel size of the image in nm (z, y, x), where its metadata lacks it."""
    block: Voxels | None = None
    """Voxels of one task, a shard of the output; by default about 64 MB."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it is computed. cuda: on a GPU by cupy, which needs the extra gpu (or gpu13 for CUDA
    13); means may differ in the last bit of a float, medians do not. Not measured yet."""

    @field_validator("steps")
    @classmethod
    def _are_operations(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        for step in steps:
            parse_step(step)
        return steps

    @property
    def operations(self) -> tuple[FilterStep, ...]:
        """The steps with their numbers."""
        return tuple(map(parse_step, self.steps))
