"""What a training depends on and costs; its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.grid.blocks import Tiling
from volproc.grid.scale import VoxelNm
from volproc.model.device import device_for
from volproc.model.model_folder import CARD, load_card
from volproc.model.network import Network
from volproc.model.own_network import described
from volproc.model.weights import Card, NetworkSpec, TrainedOn, card_for
from volproc.stages.claims import Claim
from volproc.stages.provenance import read_provenance
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.pace import NO_PACE, Pace
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.patch_sampler import largest_patch
from volproc.stages.train.regions import Regions, regions_of
from volproc.stages.train.start import Start
from volproc.stages.train.training_sources import Source
from volproc.volume.access import exists


@dataclass(frozen=True)
class TrainPlan:
    """All that a training depends on, and what it costs: one block per step of the optimiser."""

    options: TrainOptions
    sources: tuple[Source, ...]
    validation: tuple[Source, ...]
    spec: NetworkSpec
    voxel_nm: VoxelNm
    axes: tuple[float, float, float]
    """How often patches are viewed along z, y and x; together 1."""
    start: Start | None
    """The model it goes on from."""
    recipe: Recipe
    from_scratch: bool
    """Whether a training of another plan in the folder may be dropped, else it is refused."""
    peak_bytes: int = 0
    bytes_read: int = 0
    flop: int = 0
    notes: tuple[str, ...] = ()
    pace: Pace = NO_PACE
    """What an earlier run of it, or of a like one, left in its folder."""

    @property
    def digest(self) -> str:
        """Names everything that the weights depend on."""
        return self.recipe.digest

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        volumes = (v.url for s in (*self.sources, *self.validation) for v in s.volumes)
        inputs = (*volumes, *([str(self.start.folder)] if self.start else []))
        return Claim(self.recipe, inputs, folders=(self.folder,))

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a plan shows: as blocks the voxels that each step predicts, one after the other."""
        options = self.options
        core = (options.batch * options.slices_out, options.patch, options.patch)
        blocks = Tiling((options.steps * core[0], *core[1:]), core)
        return (
            Step(
                name="train",
                task=None,
                blocks=blocks,
                digest=self.digest,
                peak_bytes=self.peak_bytes,
                bytes_read=self.bytes_read,
                flop=self.flop,
                notes=self.notes,
                on_gpu=self.device == "cuda",
                alone=True,
                recorded=min(self.pace.step, options.steps),
                rate=self.pace.patches_a_second * core[0] * core[1] * core[2] / options.batch,
                way_out="make [train] batch, patch or cache_gb smaller",
            ),
        )

    @property
    def device(self) -> str:
        """Where it trains."""
        return device_for(self.options.device, table="train")

    @property
    def like(self) -> str:
        """Names what the speed of a training depends on."""
        options = self.options
        shares = options.patch, options.batch, options.processes, options.compiled
        return digest(str(self.spec), *shares, self.axes, self.device)

    @property
    def axes_trained(self) -> str:
        """The axes that the network was shown images along, such as "zyx"."""
        return "".join(name for name, share in zip("zyx", self.axes, strict=True) if share)

    @property
    def targets(self) -> tuple[TargetOptions, ...]:
        """What is made of the labels of each class."""
        return targets_of(self.options)

    def images(self, sources: Sequence[Source]) -> tuple[LabelledImage, ...]:
        """Sources as they are read."""
        how = self.options.agreement_as
        return tuple(LabelledImage(one, self.voxel_nm, self.targets, how) for one in sources)

    @property
    def regions(self) -> Regions:
        """Where patches come from."""
        options = self.options
        patch = largest_patch(self.spec, options.patch, self.axes)
        cache = int(options.cache_gb * 1e9)
        return regions_of(self.images(self.sources), patch, cache_bytes=cache)

    @property
    def folder(self) -> str:
        """Where the model goes, a path or URL."""
        return self.options.model_out.rstrip("/")

    def card(self, scores: Mapping[str, float] | None = None) -> Card:
        """The model's card, with the scores it is to state."""
        options = self.options
        return card_for(
            self.spec,
            name=options.name,
            voxel_nm=self.voxel_nm,
            classes=options.classes,
            axes=self.axes_trained,
            purpose=options.purpose,
            limits=options.limits,
            parent=self.start.parent if self.start else None,
            trained_on=tuple(TrainedOn(**entry.model_dump()) for entry in options.trained_on),
            licence=options.licence,
            scores={f"validation {name}": score for name, score in (scores or {}).items()},
            notes=options.notes,
        )

    def network(self) -> Network:
        """The network that will be in its folder."""
        return described(self.card(), self.folder)

    def finished_card(self) -> Card | None:
        """The card of the model in the folder, if it is the finished one that the plan makes."""
        if self.claim.state != "done" or not exists(f"{self.folder}/{CARD}"):
            return None
        card, record = load_card(self.folder), read_provenance(self.folder)
        return card if self.finished_record(card).items() <= record.items() else None

    def finished_record(self, card: Card) -> dict[str, str]:
        """For the provenance of the finished model: digests of its card and weights."""
        words = self.card().model_dump(mode="json", exclude={"scores"})
        return {"card": digest(words), "weights_sha256": card.weights_sha256}


def targets_of(options: TrainOptions) -> tuple[TargetOptions, ...]:
    """What is made of the labels of each class, in their order."""
    return tuple(options.targets.get(name, TargetOptions()) for name in options.classes)
