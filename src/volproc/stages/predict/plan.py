"""What a prediction depends on, its steps and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod

from volproc.config.cluster import GPU_THREADS
from volproc.engine.memory import human
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box
from volproc.model.device import unused_gpu_note
from volproc.model.network import Constants, Network
from volproc.model.normalisation import Normalisation
from volproc.stages.claims import Claim
from volproc.stages.inference.tiling import Layout
from volproc.stages.native_grid import NativePlan
from volproc.stages.output import pyramid_steps
from volproc.stages.predict.classes import outputs_of
from volproc.stages.predict.cost import costs_of
from volproc.stages.predict.disagreement import (
    DisagreementPlan,
)
from volproc.stages.predict.empty_blocks import (
    EmptyBlockRule,
    skip_notes,
)
from volproc.stages.predict.gpu_memory import DeviceBytes, device_bytes
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.parts import cuts_tiles, smallest_part
from volproc.stages.predict.restriction import Mask
from volproc.stages.predict.seam_check import ENDING, certificate_step
from volproc.stages.predict.seam_places import Place, places_in
from volproc.stages.predict.task import Predict
from volproc.volume.access import exists
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resampling import Resampling
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel


@dataclass(frozen=True)
class PredictPlan:
    """Everything decided about a prediction before any voxel is read."""

    image: VolumeInfo
    output: VolumeInfo
    votes: VolumeInfo | None
    resampler: Resampling
    layout: Layout
    box: Box
    """The part of the layout's grid that is predicted."""
    blocks: Tiling
    network: Network
    device: str
    """"cuda" or "cpu": where its workers run the network."""
    classes: tuple[str, ...]
    """Those of the network's that are predicted."""
    options: PredictOptions
    recipe: Recipe
    notes: tuple[str, ...] = ()
    """What users should know about the model, and about how it fits the image."""
    native: NativePlan | None = None
    disagreement: DisagreementPlan | None = None
    mask: Mask | None = None
    inside: frozenset[int] | None = None
    """Blocks with voxels inside the mask; None if there is none."""

    @property
    def digest(self) -> str:
        """Names everything that the votes depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What the stage reads and writes."""
        outputs = [self.output, self.votes, self.native and self.native.output]
        compared = self.disagreement
        if compared:
            outputs += [compared.agreement, compared.disagreement]
        tables = [compared.table] if compared and compared.regions else []
        if self.options.seam_check:
            tables.append(sibling(self.output.url, ENDING))
        model = (self.network.source,) if exists(self.network.source) else ()
        mask = (self.mask.volume.info.url,) if self.mask else ()
        volumes = tuple(info for info in outputs if info)
        return Claim(self.recipe, (self.image.url, *model, *mask), volumes, siblings=tuple(tables))

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The coarser levels of the prediction."""
        return pyramid_steps(self.output, digest=self.digest, name="prediction")

    @property
    def votes_pyramid(self) -> tuple[Step, ...]:
        """The coarser levels of the votes, if these are written."""
        return pyramid_steps(self.votes, digest=self.digest, name="votes") if self.votes else ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps with their cost; which blocks are skipped is known only when they are read."""
        task = self.task(Normalisation(0.0, 1.0))
        extras = [plan.steps for plan in (self.native, self.disagreement) if plan]
        places = self.certified()
        certify = [certificate_step(task, places, digest=self.digest)] if places else []
        pyramids = (*self.pyramid, *self.votes_pyramid)
        # both steps on a GPU one after the other: its workers are started once
        return (self.step(task), *certify, *pyramids, *chain.from_iterable(extras))

    def task(self, constants: Constants, empty: EmptyBlockRule | None = None) -> Predict:
        """The task, with the volume's normalisation constants."""
        return Predict(
            image=Volume(self.image),
            output=Volume(self.output),
            votes=Volume(self.votes) if self.votes else None,
            resampler=self.resampler,
            layout=self.layout,
            constants=constants,
            network=self.network,
            options=self.options,
            empty=empty,
            mask=self.mask,
            origin=self.box.start,
            outputs=outputs_of(self.network, self.classes),
            device=self.device,
        )

    def step(self, task: Predict) -> Step:
        """The step that predicts."""
        costs = list(costs_of(self.blocks, task, self.inside))
        channels = len(self.classes) + (len(self.votes.channels) if self.votes else 0)
        return Step(
            name="predict",
            task=task,
            blocks=self.blocks,
            digest=self.digest,
            writes=tuple(WrittenLevel(info) for info in (self.output, self.votes) if info),
            peak_bytes=max(cost.peak_bytes for _, cost in costs),
            waiting_bytes=max(cost.waiting_bytes for _, cost in costs),
            on_gpu=self.device == "cuda",
            precision=self.options.precision,
            bytes_read=sum(count * cost.bytes_read for count, cost in costs),
            bytes_written=prod(self.output.shape) * channels,
            flop=sum(count * cost.flop for count, cost in costs),
            notes=(
                *(f"{self.network.name}: {note}" for note in self.notes),
                *skip_notes(self.options.skip_empty_std),
                *self._mask_notes(),
                *unused_gpu_note(self.options.device),
                *self._gpu_notes(task, [cost.device for _, cost in costs if cost.device]),
            ),
        )

    def _gpu_notes(self, task: Predict, needs: Sequence[DeviceBytes]) -> tuple[str, ...]:
        """What GPU its workers need."""
        if not needs:
            return ()
        most = max(need.in_hand(GPU_THREADS) for need in needs)
        some = task.placed(self.blocks[len(self.blocks) // 2].core)
        cut_tiles = cuts_tiles(self.layout, self.network)
        core, layout = smallest_part(some, self.layout, self.options.axes, cut_tiles=cut_tiles)
        least = device_bytes(core, replace(task, layout=layout)).alone
        return (
            f"needs {human(most)} of GPU memory with {GPU_THREADS} blocks in hand; with less, down "
            f"to {human(least)}, it has fewer in hand, and computes them in parts",
        )

    def _mask_notes(self) -> tuple[str, ...]:
        if self.inside is None:
            return ()
        return (
            f"{len(self.inside):,} of {len(self.blocks):,} blocks have voxels inside "
            f"{self.options.mask}; the others are written as background, and what is shown is the "
            "cost without them",
        )

    def certified(self, skipped: Sequence[int] = ()) -> tuple[Place, ...]:
        """The places that will be predicted again; the same ones every time."""
        return places_in(
            self.layout,
            self.blocks,
            count=self.options.seam_check,
            seed=int(self.digest, 16),
            skipped=skipped,
            origin=self.box.start,
        )
