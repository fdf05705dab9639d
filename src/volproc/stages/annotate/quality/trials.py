"""What is tried out on drawings once the labels are made: smaller crowds, and other methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from volproc.drawing import SliceVotes
from volproc.grid.blocks import Block
from volproc.stages.annotate.geometry.outline import INSIDE
from volproc.stages.annotate.quality.ground_truth import GroundTruth, box_of_slice
from volproc.stages.annotate.quality.slice_scores import (
    MethodDistance,
    MethodScores,
    radius_nm,
    score_slice,
)
from volproc.stages.annotate.quality.volunteers_needed import Subsample
from volproc.stages.annotate.tasks import Drawings, RecordTask
from volproc.stages.scores.surface_distances import Mask, compare
from volproc.volume.store import Volume

CROWDS = (3, 5, 7, 11, 15, 21, 31, 45)
"""Numbers of volunteers that are drawn by lot from those of a slice, DRAWS times each."""
DRAWS = 3


@dataclass(frozen=True, kw_only=True)
class CrowdTrials(RecordTask):
    """The drawings, the volunteers' skills, and the ground truth if there is one."""

    drawings: Drawings
    skills: dict[str, float]
    truth: GroundTruth | None = None

    def labels_by(self, votes: SliceVotes, method: str = "") -> Mask:
        """What is inside by a method, by default the one that was chosen; shape (y, x)."""
        patch = self.drawings.agreement(votes, self.skills, method)
        inside: Mask = patch.onto(votes.shape_yx) >= INSIDE
        return inside

    def slices(self, block: Block) -> list[tuple[SliceVotes, Mask | None]]:
        """Votes on a block's slices, of one region or several, and the ground truth there if any.

        Slices that the ground truth does not cover are left out.
        """
        found = self.drawings.on(block)
        if not self.truth:
            return [(votes, None) for votes in found]
        return [(votes, self.truth.on(votes)) for votes in found if self.truth.part(votes).size]

    def covered(self, votes: SliceVotes, region: Mask) -> Mask:
        """The part of a region's mask that the ground truth covers; all of it without one."""
        if not self.truth:
            return region
        part = self.truth.part(votes).within(box_of_slice(votes).start)
        return region[part.slices[1:]]

    def distances(self, here: Mask, there: Mask) -> dict[str, float]:
        """Scores of one against the other, which may be empty; the image's border is no outline."""
        nm = self.drawings.nm
        missing = radius_nm(here if here.any() else there, nm)
        return compare(here, there, nm=nm, missing_nm=missing, at_border=False).scores()


@dataclass(frozen=True, kw_only=True)
class TrySmallerCrowds(CrowdTrials):
    """Task: the error of the outline of some of a slice's volunteers.

    Against the ground truth, or else the outline of all. An empty outline has the radius of a disc
    of the object's area as its error.
    """

    def load(self, block: Block) -> list[tuple[SliceVotes, Mask | None]]:
        """The votes on one slice, of one region or several, and the ground truth there."""
        return self.slices(block)

    def compute(self, block: Block, loaded: list[tuple[SliceVotes, Mask | None]]) -> list[Any]:
        """Records of `Subsample`."""
        return [asdict(one) for votes, truth in loaded for one in self._errors(votes, truth)]

    def _errors(self, votes: SliceVotes, truth: Mask | None) -> Iterator[Subsample]:
        reference = self.labels_by(votes) if truth is None else truth
        if not reference.any():
            return
        for some in self._some(votes):
            labels = self.covered(votes, self.labels_by(some))
            error = self.distances(reference, labels)["masd_nm"]
            yield Subsample(votes.region, votes.z, len(some.votes), error)

    def _some(self, votes: SliceVotes) -> Iterator[SliceVotes]:
        """Smaller crowds, and the whole one where there is a ground truth."""
        rng, most = np.random.default_rng([votes.z, *votes.origin_yx]), len(votes.votes)
        for number in (n for n in CROWDS if n < most):
            for _ in range(DRAWS):
                chosen = np.sort(rng.choice(most, number, replace=False))
                yield replace(votes, votes=tuple(votes.votes[k] for k in chosen))
        if self.truth:
            yield votes


@dataclass(frozen=True, kw_only=True)
class TryMethods(CrowdTrials):
    """Task: scores of the labels and of other methods; without ground truth, their distances."""

    labels: Volume
    methods: tuple[str, ...]

    def load(self, block: Block) -> list[tuple[SliceVotes, Mask, Mask | None]]:
        """The votes on some slices, the labels made of them, and the ground truth."""
        return [
            (votes, self.labels.read(box_of_slice(votes))[0] != 0, truth)
            for votes, truth in self.slices(block)
        ]

    def compute(
        self, block: Block, loaded: list[tuple[SliceVotes, Mask, Mask | None]]
    ) -> list[Any]:
        """Records of `MethodScores`, or of `MethodDistance` where there is no ground truth."""
        found: list[Any] = []
        for votes, made, truth in loaded:
            results = self._results(votes, made)
            if truth is not None:
                found += (asdict(one) for one in self._scored(votes, truth, results))
            else:
                found += (asdict(one) for one in self._apart(votes, results))
        return found

    def _results(self, votes: SliceVotes, made: Mask) -> dict[str, Mask]:
        """The labels as they were written first, under the name of what made them."""
        name = self.drawings.method
        others = (method for method in self.methods if method != name)
        return {name: made} | {method: self.labels_by(votes, method) for method in others}

    def _scored(
        self, votes: SliceVotes, truth: Mask, results: dict[str, Mask]
    ) -> Iterator[MethodScores]:
        nm = self.drawings.nm
        for method, labels in results.items():
            scores = score_slice(truth, self.covered(votes, labels), nm=nm, at_border=False)
            yield MethodScores(votes.region, votes.z, method, scores)

    def _apart(self, votes: SliceVotes, results: dict[str, Mask]) -> Iterator[MethodDistance]:
        for a, b in combinations(results, 2):
            if results[a].any() or results[b].any():
                both = self.distances(results[a], results[b])
                yield MethodDistance(votes.region, votes.z, a, b, both["dice"], both["masd_nm"])
