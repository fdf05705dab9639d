"""Where the axes disagree, from the written votes: two volumes, and regions worth drawing next.

    agreement       how many axes say yes at the threshold, 0 to 3
    disagreement    the highest vote less the lowest, 0 to 255
    regions         the volume in equal boxes, by the mean of their disagreement, highest first

A region's mean is of whole numbers over its voxels, so no block size changes it. Its place is
given in voxels of the image, as `volproc subjects` takes them. Of several classes the volumes have
a channel each, and a voxel of a region counts by the class that is disputed most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Chain, Runner
from volproc.errors import ConfigError
from volproc.fusion import count_yes, spread
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each
from volproc.spreadsheet import table_csv
from volproc.stages.output import begin_volumes, finishing, pyramid_steps
from volproc.stages.predict.options import PredictOptions
from volproc.volume.file_io import (
    sibling,
    write_file,
)
from volproc.volume.metadata import VolumeInfo, Window, volume_like
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

Bytes = npt.NDArray[np.uint8]

COLUMNS = ("rank", "z", "y", "x", "depth", "height", "width", "disagreement", "split")


@dataclass(frozen=True)
class DisagreementPlan:
    """What is made from `votes`; None for what was not requested."""

    votes: VolumeInfo
    image: VolumeInfo
    agreement: VolumeInfo | None
    disagreement: VolumeInfo | None
    regions: Tiling | None
    threshold: float
    digest: str
    classes: tuple[str, ...] = ()
    """Channels of the volumes; none for a single class."""
    origin: Shape = (0, 0, 0)
    """Where the votes begin on their grid, which begins with the image."""

    @property
    def table(self) -> str:
        """Where the ranking of the regions is written."""
        return sibling(self.votes.url, "-regions.csv")

    @property
    def step(self) -> Step:
        """The step that compares the votes."""
        blocks = Tiling(shape=self.votes.shape, core=self.votes.write_unit)
        made = sum(info is not None for info in (self.agreement, self.disagreement))
        channels, classes = len(self.votes.channels), max(1, len(self.classes))
        return Step(
            name="disagreement",
            task=CompareVotes(
                Volume(self.votes),
                _volume(self.agreement),
                _volume(self.disagreement),
                self.regions,
                self.threshold,
                classes,
            ),
            blocks=blocks,
            digest=self.digest,
            writes=tuple(WrittenLevel(i) for i in (self.agreement, self.disagreement) if i),
            # votes, which of them say yes, results, and 3 times a shard while it is encoded
            peak_bytes=prod(blocks.core) * (2 * channels + classes * (2 + 3)),
            bytes_read=prod(self.votes.shape) * channels,
            bytes_written=prod(self.votes.shape) * made * classes,
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step, *self.pyramid(self.agreement), *self.pyramid(self.disagreement))

    def pyramid(self, info: VolumeInfo | None) -> tuple[Step, ...]:
        """The coarser levels of one of the volumes."""
        if info is None:
            return ()
        name = "agreement" if info == self.agreement else "disagreement"
        return pyramid_steps(info, digest=self.digest, name=name)


def plan_disagreement(
    votes: VolumeInfo | None,
    image: VolumeInfo,
    options: PredictOptions,
    *,
    recipe: Recipe,
    classes: tuple[str, ...] = (),
    origin: Shape = (0, 0, 0),
) -> DisagreementPlan | None:
    """Plan what is made from the votes, which begin at `origin`; None if nothing is requested.

    `classes` are the channels of the prediction. ConfigError where votes are not written, or of one
    axis only.
    """
    if not (options.agreement or options.disagreement or options.regions_um):
        return None
    axes = len(votes.channels) // max(1, len(classes)) if votes else 0
    if votes is None or axes < 2:
        raise ConfigError(
            "[predict] agreement, disagreement and regions_um compare the votes of the axes: keep "
            "them (votes = true, or --votes VOTES.zarr) and take two viewing axes or more"
        )
    regions = _regions(votes, options)
    like = partial(_like, votes, recipe, classes)
    return DisagreementPlan(
        votes=votes,
        image=image,
        agreement=like("-agreement.zarr", highest=axes) if options.agreement else None,
        disagreement=like("-disagreement.zarr", highest=255) if options.disagreement else None,
        regions=regions,
        threshold=options.threshold,
        digest=digest(
            recipe.digest,
            options.threshold,
            options.agreement,
            options.disagreement,
            regions.core if regions else None,
            votes.write_unit,
        ),
        classes=classes,
        origin=origin,
    )


def comparing_votes(plan: DisagreementPlan, runner: Runner) -> Chain[None]:
    """Steps that write the volumes that are requested, and the table of regions."""
    outputs = [info for info in (plan.agreement, plan.disagreement) if info]
    how = {"step": "predict", "digest": plan.digest}
    begun = begin_volumes(runner, outputs, steps=plan.steps, **how)
    made = {volume.info.url: volume.info for volume in begun}
    plan = replace(
        plan,
        agreement=plan.agreement and made[plan.agreement.url],
        disagreement=plan.disagreement and made[plan.disagreement.url],
    )
    records = yield plan.step
    for volume in begun:
        yield from finishing(runner, volume, plan.pyramid(volume.info))
    if plan.regions:
        write_file(plan.table, ranking(plan, records).encode())


@dataclass(frozen=True)
class CompareVotes:
    """Task: the votes of one block compared with one another."""

    votes: Volume
    agreement: Volume | None
    disagreement: Volume | None
    regions: Tiling | None
    threshold: float
    classes: int = 1

    def load(self, block: Block) -> Bytes:
        """The votes of all axes, (axes, classes, z, y, x)."""
        votes = self.votes.read(block.core)
        return votes.reshape(self.classes, -1, *block.core.shape).swapaxes(0, 1)

    def compute(self, block: Block, loaded: Bytes) -> tuple[Bytes, Bytes]:
        """How many axes say yes, and how far apart the votes are: (classes, z, y, x)."""
        return count_yes(loaded, threshold=self.threshold), spread(loaded)

    def store(self, block: Block, result: tuple[Bytes, Bytes]) -> list[list[int]]:
        """Write the volumes; of each region in the block: its number, sum, and split voxels."""
        count, apart = result
        if self.agreement:
            self.agreement.write(block.core, count if self.classes > 1 else count[0])
        if self.disagreement:
            self.disagreement.write(block.core, apart if self.classes > 1 else apart[0])
        axes = len(self.votes.info.channels) // self.classes
        some: npt.NDArray[np.bool_] = (count > 0) & (count < axes)
        split, apart = np.logical_or.reduce(some, axis=0), apart.max(axis=0)
        sums = []
        for region in self.regions.over(block.core) if self.regions else ():
            part = region.core.clip(block.core).within(block.core.start).slices
            total = int(apart[part].sum(dtype=np.int64))
            sums.append([region.index, total, int(np.count_nonzero(split[part]))])
        return sums


def ranking(plan: DisagreementPlan, records: Sequence[Sequence[Sequence[int]]]) -> str:
    """The table of regions as CSV, the most disputed first.

    `disagreement` is the mean over the region from 0 to 1, `split` the share of its voxels on
    which some axes say yes and others no.
    """
    assert plan.regions is not None
    sums = np.zeros((len(plan.regions), 2), dtype=np.int64)
    for record in records:
        for index, *numbers in record:
            sums[index] += numbers
    sizes = np.array([region.core.size for region in plan.regions])
    means = sums[:, 0] / (255 * sizes)
    rows = []
    for rank, index in enumerate(np.argsort(-means, kind="stable").tolist(), start=1):
        box = in_image(plan.regions[index].core.shift(plan.origin), plan.votes, plan.image)
        shares = (f"{means[index]:.6f}", f"{sums[index, 1] / sizes[index]:.6f}")
        rows.append((rank, *box.start, *box.shape, *shares))
    return table_csv(COLUMNS, rows, end="\n")


def in_image(box: Box, votes: VolumeInfo, image: VolumeInfo) -> Box:
    """The voxels of the image under a box of the votes; neighbours meet without a gap."""

    def place(ends: Shape) -> Shape:
        at = each(lambda a, v, i: round(a * v / i), ends, votes.voxel_nm, image.voxel_nm)
        return each(min, at, image.shape)

    return Box(place(box.start), place(box.stop))


def _regions(votes: VolumeInfo, options: PredictOptions) -> Tiling | None:
    if options.regions_um is None:
        return None
    core = each(
        lambda um, nm, n: min(n, max(1, round(1000 * um / nm))),
        options.regions_um,
        votes.voxel_nm,
        votes.shape,
    )
    return Tiling(shape=votes.shape, core=core)


def _like(
    votes: VolumeInfo, recipe: Recipe, classes: tuple[str, ...], ending: str, *, highest: int
) -> VolumeInfo:
    window = Window(0, highest, 0, highest)
    how = {"dtype": "uint8", "shards": votes.write_unit, "window": window, "channels": classes}
    info = volume_like(votes, sibling(votes.url, ending), **how)
    return info.with_provenance(recipe=recipe.record())


def _volume(info: VolumeInfo | None) -> Volume | None:
    return Volume(info) if info else None
