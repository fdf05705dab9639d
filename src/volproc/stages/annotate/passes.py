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
from volproc.stages.annotate.consensus import METHODS
from volproc.stages.annotate.consistency import HALO, agreed, mend
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.outline import INSIDE, envelope
from volproc.stages.annotate.quality import SliceQuality
from volproc.stages.annotate.skill import slice_errors
from volproc.stages.annotate.votes import read_votes
from volproc.volume.store import Volume


@dataclass(frozen=True)
class Drawings:
    """The votes of an export, as `gather` stored them: `blocks` are those that have any."""

    folder: str
    blocks: tuple[int, ...]
    options: AnnotateOptions
    nm: tuple[float, float]

    def slices(self, first: int, stop: int) -> list[SliceVotes]:
        """Votes on slices from `first` to `stop`."""
        size = self.options.block_slices
        wanted = (n for n in range(first // size, -(-stop // size)) if n in self.blocks)
        found = (one for n in wanted for one in read_votes(self.folder, n))
        return [one for one in found if first <= one.z < stop]

    @property
    def made_by(self) -> str:
        """What made the labels, in words: the method, and whether its slices were mended."""
        return self.options.method + ", along z" * self.options.along_z

    def agreement(self, votes: SliceVotes, skills: dict[str, float], method: str = "") -> Patch:
        """The agreement on one slice by a method, by default the one that was chosen."""
        return METHODS[method or self.options.method](votes, self.nm, skills, self.options)


@dataclass(frozen=True)
class MeasureVolunteers:
    """Task: how far each volunteer's drawings lie from the majority, slice by slice."""

    drawings: Drawings

    def load(self, block: Block) -> list[SliceVotes]:
        """The votes."""
        return self.drawings.slices(block.core.start[0], block.core.stop[0])

    def compute(self, block: Block, loaded: list[SliceVotes]) -> list[Any]:
        """The errors of each slice."""
        own = self.drawings
        return [slice_errors(votes, own.nm, own.options) for votes in loaded]

    def store(self, block: Block, result: list[Any]) -> list[Any]:
        """Nothing but the record."""
        return result


@dataclass(frozen=True)
class Made:
    """The volumes that are written, on the image's grid."""

    labels: Volume
    envelope: Volume
    agreement: Volume
    ignore: Volume


@dataclass(frozen=True)
class Annotate:
    """Task: labels, envelope, agreement and what to ignore, of a block; a row for each slice."""

    drawings: Drawings
    made: Made
    skills: dict[str, float] = field(default_factory=dict)

    def load(self, block: Block) -> list[SliceVotes]:
        """Votes on the block's slices, and on those beside them that decide on a slice."""
        halo = HALO if self.drawings.options.along_z else 0
        first, stop = block.core.start[0] - halo, block.core.stop[0] + halo
        found = self.drawings.slices(max(0, first), min(stop, self.made.labels.info.shape[0]))
        return [one for one in found if _meet(one, block.core)]

    def compute(self, block: Block, loaded: list[SliceVotes]) -> tuple[Any, list[Any]]:
        """The four arrays, and the rows of the regions that begin in this block."""
        out = {name: np.zeros(block.core.shape, np.uint8) for name in ("labels", "envelope")}
        out["agreement"] = np.zeros(block.core.shape, np.uint8)
        out["ignore"] = np.ones(block.core.shape, np.uint8)
        rows: list[Any] = []
        for votes, patch, replaced in self._agreements(loaded):
            if block.core.start[0] <= votes.z < block.core.stop[0]:
                self._draw(votes, patch, block.core, out)
                if _begins_in(votes.origin_yx, block.core):
                    rows.append(self._row(votes, patch, replaced=replaced))
        return out, rows

    def store(self, block: Block, result: tuple[Any, list[Any]]) -> list[Any]:
        """Write the four, keep the rows."""
        arrays, rows = result
        for name, values in arrays.items():
            volume: Volume = getattr(self.made, name)
            volume.write(block.core, values)
        return rows

    def _agreements(self, loaded: Sequence[SliceVotes]) -> Iterator[tuple[SliceVotes, Patch, bool]]:
        """Region by region, each slice, what it holds, and whether its neighbours say so."""
        # by name too: what lies above in z may be a region of its own, with another object
        for _, own in groupby(sorted(loaded, key=_order), key=_region):
            stack = list(own)
            patches = [self.drawings.agreement(votes, self.skills) for votes in stack]
            replaced = [False] * len(stack)
            if self.drawings.options.along_z:
                patches, replaced = self._mended(stack, patches)
            yield from zip(stack, patches, replaced, strict=True)

    def _mended(
        self, stack: Sequence[SliceVotes], patches: Sequence[Patch]
    ) -> tuple[list[Patch], list[bool]]:
        """The patches of a region, those that failed replaced, and which those are."""
        known = {votes.z: patch for votes, patch in zip(stack, patches, strict=True)}
        first, last = min(known), max(known)
        whole = [known.get(z) for z in range(first, last + 1)]
        mended, replaced = mend(whole, nm=self.drawings.nm, shape_yx=stack[0].shape_yx)
        fresh = {first + one.index for one in replaced}
        return [mended[z - first] or known[z] for z in known], [z in fresh for z in known]

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
        if len(votes.votes) >= options.fewest_votes:
            region = Box((0, *votes.origin_yx), (1, *map(add, votes.origin_yx, votes.shape_yx)))
            both = region.clip(Box((0, *core.start[1:]), (1, *core.stop[1:])))
            out["ignore"][z][both.within((0, *core.start[1:])).slices[1:]] = 0

    def _row(self, votes: SliceVotes, patch: Patch, *, replaced: bool) -> dict[str, Any]:
        area = float((patch.values >= INSIDE).sum()) * self.drawings.nm[0] * self.drawings.nm[1]
        seen = SliceQuality.of(votes)
        return asdict(
            replace(seen, agreement=agreed(patch), area_um2=area / 1e6, replaced=replaced)
        )


def _region(votes: SliceVotes) -> tuple[tuple[int, int], tuple[int, int], str]:
    return votes.origin_yx, votes.shape_yx, votes.region


def _order(votes: SliceVotes) -> tuple[Any, ...]:
    return *_region(votes), votes.z


def _meet(votes: SliceVotes, core: Box) -> bool:
    ends = zip(votes.origin_yx, votes.shape_yx, core.start[1:], core.stop[1:], strict=True)
    return all(a < stop and a + n > start for a, n, start, stop in ends)


def _begins_in(origin_yx: tuple[int, int], core: Box) -> bool:
    corner = zip(origin_yx, core.start[1:], core.stop[1:], strict=True)
    return all(a <= max(0, at) < b for at, a, b in corner)


def _paste(plane: npt.NDArray[Any], patch: Patch, origin_yx: tuple[int, int], core: Box) -> None:
    """The patch of a region into a block's plane, as far as they meet."""
    rows, columns = patch.values.shape
    top, left = (o + p for o, p in zip(origin_yx, patch.origin_yx, strict=True))
    box = Box((0, top, left), (1, top + rows, left + columns))
    both = box.clip(Box((0, *core.start[1:]), (1, *core.stop[1:])))
    if both.size:
        inside = both.within((0, top, left)).slices[1:]
        plane[both.within((0, *core.start[1:])).slices[1:]] = patch.values[inside]
