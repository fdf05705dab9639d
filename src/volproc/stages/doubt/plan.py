"""Everything that `doubt` decides before a voxel is read."""

from __future__ import annotations

from dataclasses import dataclass

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.errors import VolumeError
from volproc.fusion import level_of
from volproc.grid.blocks import Tiling
from volproc.model.doubt_model import GENERAL, DoubtModel, doubt_file_of, load_doubt_model
from volproc.stages.claims import Claim
from volproc.stages.doubt.doubt_tasks import (
    BlockFiles,
    CountProfiles,
    CountVoxels,
    count_step,
    profile_step,
)
from volproc.stages.doubt.options import DoubtOptions
from volproc.stages.objects.sampled_volume import SampledVolume, sampled_at
from volproc.volume.access import relative_url, url_from
from volproc.volume.channels import holds_votes
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import require_ids
from volproc.volume.metadata import VolumeInfo, shard_shape
from volproc.volume.store import Volume

ALGORITHM = 3
"""Raised by hand when the same volumes, options and doubt model would give other numbers."""
MODEL = "doubt model"
"""Its name among the inputs of the recipe."""
BLOCK_BYTES_PER_VOXEL = 8
"""Of shard_shape: blocks of 8 million voxels."""


@dataclass(frozen=True)
class DoubtPlan:
    """What is judged by which model, and where it goes."""

    labels: VolumeInfo
    votes: SampledVolume | None
    """Or one probability; None for labels alone."""
    url: str
    options: DoubtOptions
    model: DoubtModel
    model_url: str
    recipe: Recipe
    prediction: str
    """Where the fused prediction is, beside which a seam certificate may be; "" without."""
    notes: tuple[str, ...]
    """On what is lacking, a line each."""

    @property
    def axes(self) -> int:
        """How many votes there are: 1 for a probability, 0 for labels alone."""
        return max(1, len(self.votes.volume.info.channels)) if self.votes else 0

    @property
    def level(self) -> int:
        """The uint8 from which an axis says yes."""
        return level_of(self.options.threshold)

    @property
    def table(self) -> str:
        """Where features and probabilities of all objects are written (CSV)."""
        return f"{self.url.removesuffix('.json')}.csv"

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        read = (self.labels.url, *((self.votes.volume.info.url,) if self.votes else ()))
        folders, scratch = (self.url, self.table), (self.files.folder,)
        return Claim(self.recipe, read, folders=folders, scratch=scratch)

    @property
    def digest(self) -> str:
        """Names what blocks count, which does not depend on the model that judges."""
        read = {name: found for name, found in self.recipe.inputs.items() if name != MODEL}
        return digest("doubt", ALGORITHM, read, self.recipe.options, self.tiling.core)

    @property
    def files(self) -> BlockFiles:
        """Where blocks leave their sums."""
        return BlockFiles(f"{self.url}.volproc/blocks", self.digest)

    @property
    def tiling(self) -> Tiling:
        """Whole chunks, up to 8 million voxels."""
        level = self.labels.levels[0]
        per_voxel = BLOCK_BYTES_PER_VOXEL
        core = shard_shape(level.shape, chunks=level.chunks, bytes_per_voxel=per_voxel)
        return Tiling(level.shape, core)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Both passes."""
        return (self.count_step, self.profile_step)

    @property
    def count_step(self) -> Step:
        """The first pass."""
        task = CountVoxels(Volume(self.labels), self.votes, self.level, self.files)
        return count_step(task, tiling=self.tiling, digest=self.digest)

    @property
    def profile_step(self) -> Step:
        """The second pass."""
        task = CountProfiles(Volume(self.labels), self.files)
        return profile_step(task, tiling=self.tiling, digest=self.digest)


def plan_doubt(
    labels: VolumeInfo,
    url: str,
    options: DoubtOptions,
    *,
    votes: VolumeInfo | None = None,
    prediction: str = "",
    model: str = "",
    notes: tuple[str, ...] = (),
) -> DoubtPlan:
    """Decide how the objects of `labels` are judged; `url` is where doubt.json goes.

    `votes` has a channel for each axis, or none: then it is a probability. `model` is what
    predicted, by which its doubt model is found. VolumeError for volumes that do not fit,
    ModelError for a file that is no doubt model.
    """
    require_ids(labels)
    if votes:
        _require_votes(votes)
    model_url = options.doubt_model or doubt_file_of(model) or GENERAL
    found = load_doubt_model(model_url)
    read = {"labels": labels, **({"votes": votes} if votes else {})}
    fingerprints = {name: fingerprint(info) for name, info in read.items()}
    recipe = Recipe(
        "doubt",
        ALGORITHM,
        {**fingerprints, MODEL: digest(found.model_dump())},
        options.model_dump(exclude={"doubt_model", "object_class"}),
        places={name: relative_url(info.url, url) for name, info in read.items()},
    )
    return DoubtPlan(
        labels=labels,
        votes=sampled_at(labels, votes) if votes else None,
        url=url,
        options=options,
        model=found,
        model_url=model_url,
        recipe=recipe,
        prediction=prediction,
        notes=(*notes, *_lacking(votes), *_general(model, model_url)),
    )


def _require_votes(votes: VolumeInfo) -> None:
    if votes.dtype != "uint8":
        raise VolumeError(
            f"{votes.url} holds {votes.dtype}; objects are judged by probabilities as `volproc "
            "predict` writes them, uint8 with 255 for certain: leave it out, or predict again"
        )
    if votes.channels and not holds_votes(votes):
        raise VolumeError(
            f"{votes.url} has channels ({', '.join(votes.channels)}), expected the axes' votes or "
            "one probability: name one class as [doubt] object_class"
        )


def _lacking(votes: VolumeInfo | None) -> tuple[str, ...]:
    if not votes:
        return ("no votes or prediction: objects are judged by their form alone",)
    if len(votes.channels) < 2:
        return ("one probability, no votes of several axes: their disagreement is not known",)
    return ()


def _general(model: str, url: str) -> tuple[str, ...]:
    if url != GENERAL:
        return ()
    whose = f"the model {model}" if model else "what predicted is not known; it"
    return (f"{whose} has no doubt model of its own: a general one judges",)


def model_that_predicted(info: VolumeInfo) -> str:
    """The name, folder or URL of the model that predicted a volume; "" if it does not say."""
    place = str(info.provenance.get("recipe", {}).get("places", {}).get("model", ""))
    return url_from(place, info.url) if "/" in place else place
