"""What a training depends on and costs; its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from volproc.engine.protocol import Cost
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Tiling
from volproc.grid.scale import VoxelNm
from volproc.model.network import Network
from volproc.model.predictor import described
from volproc.model.unet import UNetSpec
from volproc.model.weights import Card, TrainedOn, card_for
from volproc.stages.claims import Claim
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.training_sources import Source


@dataclass(frozen=True)
class TrainPlan:
    """All that a training depends on, and what it costs: one block per step of the optimiser."""

    options: TrainOptions
    sources: tuple[Source, ...]
    validation: tuple[Source, ...]
    spec: UNetSpec
    voxel_nm: VoxelNm
    recipe: Recipe
    peak_bytes: int
    bytes_read: int
    flop: int
    anew: bool
    """Where the folder holds a training of another plan: begin anew, else it is refused."""
    bytes_written: int = 0
    notes: tuple[str, ...] = ()
    name: str = "train"
    recorded: int = 0

    @property
    def digest(self) -> str:
        """Names everything that the weights depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        volumes = (v.url for s in (*self.sources, *self.validation) for v in s.volumes)
        inputs = (*volumes, *filter(None, [self.options.start_from]))
        return Claim(self.recipe, inputs, folders=(str(self.folder),))

    @property
    def blocks(self) -> Tiling:
        """The voxels that each step answers, one step after the other."""
        options = self.options
        step = (options.batch * options.slices_out, options.patch, options.patch)
        return Tiling((options.steps * step[0], *step[1:]), step)

    @property
    def steps(self) -> tuple[Cost, ...]:
        """What a plan shows."""
        return (self,)

    @property
    def folder(self) -> Path:
        """Where the model goes."""
        return Path(self.options.model_out)

    def card(self, scores: Mapping[str, float] | None = None) -> Card:
        """The model's card, with the scores it is to state."""
        options = self.options
        return card_for(
            self.spec,
            name=options.name,
            voxel_nm=self.voxel_nm,
            classes=(options.object_name,),
            trained_on=tuple(TrainedOn(**entry.model_dump()) for entry in options.trained_on),
            licence=options.licence,
            scores={f"validation {name}": score for name, score in (scores or {}).items()},
            notes=options.notes,
        )

    def network(self) -> Network:
        """The network that will be in its folder."""
        return described(self.card(), self.folder)
