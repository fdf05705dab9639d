"""What makes the labels of a block of slices: volunteers measured, their drawings merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import Patch, SliceVotes
from volproc.grid.blocks import Block
from volproc.grid.box import Box
from volproc.stages.annotate.export.vote_store import read_votes
from volproc.stages.annotate.geometry.outline import INSIDE, envelope
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.quality.consistency import HALO, agreed, replace_failures
from volproc.stages.annotate.quality.level_sets import Level, inside_counts, level_sets
from volproc.stages.annotate.quality.skills import slice_errors
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Drawings:
    """The votes of an export, as `store_votes` wrote them: `blocks` are those that have any."""

    folder: str
    blocks: tuple[int, ...]
    options: AnnotateOptions
    nm: tuple[float, float]

    def slices(self, first: int, stop: int) -> list[SliceVotes]:
        """Votes on slices from `first` to `stop`."""
        size = self.options.block_slices
        blocks = (n for n in range(first // size, -(-stop // size)) if n in self.blocks)
        found = (one for n in blocks for one in read_votes(self.folder, n))
        return [one for one in found if first <= one.z < stop]

    def on(self, block: Block) -> list[SliceVotes]:
        """Votes on the slices of a block."""
        return self.slices(block.core.start[0], block.core.stop[0])

    @property
    def method(self) -> str:
        """What made the labels, in words: the method, and whether failed slices were replaced."""
        return self.options.method + ", along z" * self.options.along_z

    def agreement(self, votes: SliceVotes, skills: dict[str, float], method: str = "") -> Patch:
        """The agreement on one slice by a method, by default the one that was chosen."""
        return METHODS[method or self.options.method](votes, self.nm, skills, self.options)

    def level_sets(self, votes: SliceVotes) -> tuple[Level, ...]:
        """The level sets of a slice."""
        counts = inside_counts(votes, close_nm=self.options.close_nm, nm=self.nm)
        return level_sets(counts, votes.shape_yx)


class RecordTask:
    """A task that writes nothing: its result is the record."""

    def store(self, block: Block, result: list[Any]) -> list[Any]:
        """The record."""
        return result


@dataclass(frozen=True)
class MeasureVolunteers(RecordTask):
    """Task: how far each volunteer's drawings lie from the majority, slice by slice."""

    drawings: Drawings

    def load(self, block: Block) -> list[SliceVotes]:
        """The votes."""
        return self.drawings.on(block)

    def compute(self, block: Block, loaded: list[SliceVotes]) -> list[Any]:
        """The errors of each slice."""
        own = self.drawings
        return [slice_errors(votes, own.nm, own.options) for votes in loaded]


@dataclass(frozen=True)
class OutputVolumes:
    """The volumes that are written, on the image's grid."""

    labels: Volume
    envelope: Volume
    agreement: Volume
    ignore: Volume


@dataclass(frozen=True)
class Annotate:
    """Task: labels, envelope, agreement and what to ignore, of a block; a row for each slice."""

    drawings: Drawings
    made: OutputVolumes
    skills: dict[str, float] = field(default_factory=dict)

    def load(self, block: Block) -> list[SliceVotes]:
        """Votes on the block's slices, and on the neighbours that decide on a slice."""
        halo = HALO if self.drawings.options.along_z else 0
        first, stop = block.core.start[0] - halo, block.core.stop[0] + halo
        found = self.drawings.slices(max(0, first), min(stop, self.made.labels.info.shape[0]))
        return [one for one in found if _region_box(one).clip(_plane(block.core)).size]

    def compute(self, block: Block, loaded: list[SliceVotes]) -> tuple[Any, list[Any]]:
        """The four arrays, and the rows of the regions that begin in this block."""
        empty = {"labels": 0, "envelope": 0, "agreement": 0, "ignore": 1}
        out = {name: np.full(block.core.shape, v, np.uint8) for name, v in empty.items()}
        rows: list[Any] = []
        for votes, patch, replaced in self._agreements(loaded):
            if block.core.start[0] <= votes.z < block.core.stop[0]:
                self._draw(votes, patch, block.core, out)
                if _begins_in(votes.origin_yx, block.core):
                    rows.append(self._row(votes, patch, replaced=replaced))
        return out, rows

    def store(self, block: Block, result: tuple[Any, list[Any]]) -> list[Any]:
        """Write the four arrays; the rows."""
        arrays, rows = result
        for name, values in arrays.items():
            volume: Volume = getattr(self.made, name)
            volume.write(block.core, values)
        return rows

    def _agreements(self, loaded: Sequence[SliceVotes]) -> Iterator[tuple[SliceVotes, Patch, bool]]:
        """Region by region, each slice, its agreement, and whether its neighbours replaced it."""
        # by name too: what lies above in z may be a region of its own, with another object
        for _, own in groupby(sorted(loaded, key=lambda v: (*_region(v), v.z)), key=_region):
            stack = list(own)
            patches = [self.drawings.agreement(votes, self.skills) for votes in stack]
            replaced = [False] * len(stack)
            if self.drawings.options.along_z:
                patches, replaced = self._consistent(stack, patches)
            yield from zip(stack, patches, replaced, strict=True)

    def _consistent(
        self, stack: Sequence[SliceVotes], patches: Sequence[Patch]
    ) -> tuple[list[Patch], list[bool]]:
        """The patches of a region, those that failed replaced, and which those are."""
        known = {votes.z: patch for votes, patch in zip(stack, patches, strict=True)}
        first, last = min(known), max(known)
        whole = [known.get(z) for z in range(first, last + 1)]
        found, replaced = replace_failures(whole, nm=self.drawings.nm, shape_yx=stack[0].shape_yx)
        fresh = {first + one.index for one in replaced}
        return [found[z - first] or known[z] for z in known], [z in fresh for z in known]

    def _draw(
        self, votes: SliceVotes, patch: Patch, core: Box, out: dict[str, npt.NDArray[np.uint8]]
    ) -> None:
        options, z = self.drawings.options, votes.z - core.start[0]
        width = options.envelope_nm
        line = envelope(patch, votes.shape_yx, nm=self.drawings.nm, width_nm=width)
        inside = Patch(patch.origin_yx, (patch.values >= INSIDE).astype(np.uint8))
        shown = Patch(patch.origin_yx, np.rint(patch.values * 255).astype(np.uint8))
        for name, one in (("labels", inside), ("envelope", line), ("agreement", shown)):
            _paste(out[name][z], one, votes.origin_yx, core)
        if len(votes.votes) >= options.min_votes:
            seen = Patch((0, 0), np.broadcast_to(np.uint8(0), votes.shape_yx))
            _paste(out["ignore"][z], seen, votes.origin_yx, core)

    def _row(self, votes: SliceVotes, patch: Patch, *, replaced: bool) -> dict[str, Any]:
        area = float((patch.values >= INSIDE).sum()) * self.drawings.nm[0] * self.drawings.nm[1]
        seen = SliceQuality.of(votes)
        return asdict(
            replace(seen, agreement=agreed(patch), area_um2=area / 1e6, replaced=replaced)
        )


def _region(votes: SliceVotes) -> tuple[tuple[int, int], tuple[int, int], str]:
    return votes.origin_yx, votes.shape_yx, votes.region


def _region_box(votes: SliceVotes) -> Box:
    return Box((0, *votes.origin_yx), (1, *map(add, votes.origin_yx, votes.shape_yx)))


def _plane(core: Box) -> Box:
    return Box((0, *core.start[1:]), (1, *core.stop[1:]))


def _begins_in(origin_yx: tuple[int, int], core: Box) -> bool:
    corner = zip(origin_yx, core.start[1:], core.stop[1:], strict=True)
    return all(a <= max(0, at) < b for at, a, b in corner)


def _paste(plane: npt.NDArray[Any], patch: Patch, origin_yx: tuple[int, int], core: Box) -> None:
    """The patch of a region into a block's plane, as far as they meet."""
    top, left = map(add, origin_yx, patch.origin_yx)
    rows, columns = patch.values.shape
    box = Box((0, top, left), (1, top + rows, left + columns))
    both = box.clip(_plane(core))
    if both.size:
        inside = both.within(box.start).slices[1:]
        plane[both.within(_plane(core).start).slices[1:]] = patch.values[inside]
