"""What is written next to the labels: the quality page and its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from volproc.drawing import SliceVotes
from volproc.stages.annotate.export.vote_reader import VoteIndex
from volproc.stages.annotate.geometry.outline import outline
from volproc.stages.annotate.page.level_files import shown_slice
from volproc.stages.annotate.page.quality_page import Quality, VolunteerSkill, quality_page
from volproc.stages.annotate.page.slice_pictures import DrawnSlice, Line
from volproc.stages.annotate.plan import AnnotatePlan
from volproc.stages.annotate.quality.level_sets import Level
from volproc.stages.annotate.quality.skills import Errors
from volproc.stages.annotate.quality.slice_quality import SliceQuality, best_and_worst, spread
from volproc.stages.annotate.quality.slice_scores import (
    MethodDistance,
    MethodScores,
    distances_csv,
    scores_csv,
    scores_json,
)
from volproc.stages.annotate.quality.volunteers_needed import Subsample, volunteers_needed_csv
from volproc.stages.annotate.tasks import Drawings
from volproc.volume.file_io import read_file, sibling, write_file
from volproc.volume.store import Volume

MAX_LEVEL_SETS = 20
"""Slices whose level sets are on the page."""


@dataclass(frozen=True)
class Findings:
    """What the steps of a run found out, slice by slice."""

    gathered: VoteIndex
    slices: Sequence[SliceQuality]
    errors: Sequence[Errors]
    known: dict[str, float]
    subsamples: Sequence[Subsample]
    scored: Sequence[MethodScores] = ()
    apart: Sequence[MethodDistance] = ()


@dataclass(frozen=True)
class ResultFiles:
    """Where page and tables are; "" for those that nothing was known for."""

    page: str
    rejected: str
    more_volunteers: str
    scores: str = ""
    methods: str = ""


def write_results(plan: AnnotatePlan, found: Findings) -> ResultFiles:
    """The page and all tables, written."""
    quality = _quality(plan, found)

    def write(ending: str, content: str | bytes) -> str:
        url = sibling(plan.volumes[0].url, ending)
        write_file(url, content if isinstance(content, bytes) else content.encode())
        return url

    scores = methods = ""
    if plan.truth:
        scores = write("-scores.json", scores_json(found.scored, _about(plan, plan.truth.volume)))
        write("-scores.csv", scores_csv(found.scored))
    elif plan.options.compare:
        methods = write("-methods.csv", distances_csv(found.apart))
    return ResultFiles(
        page=write("-quality.html", quality_page(quality)),
        rejected=write("-rejected.csv", read_file(f"{plan.folder}/rejected.csv")),
        more_volunteers=write("-more-volunteers.csv", volunteers_needed_csv(quality.needed)),
        scores=scores,
        methods=methods,
    )


def _about(plan: AnnotatePlan, truth: Volume) -> dict[str, object]:
    return {
        "labels": plan.volumes[0].url,
        "export": plan.export,
        "truth": truth.info.url,
        "truth_labels": list(plan.options.ground_truth_labels) or "all but 0",
        "voxel_nm": list(plan.image.voxel_nm),
        "method": plan.options.method,
        "along_z": plan.options.along_z,
    }


def _quality(plan: AnnotatePlan, found: Findings) -> Quality:
    voted = Counter(volunteer for one in found.errors for volunteer, _ in one)
    best, worst = best_and_worst(found.slices)
    scene = _Scene(plan, plan.drawings(found.gathered.blocks), found.known)
    by_z = sorted((one for one in found.slices if one.drawn), key=lambda one: (one.z, one.roi))
    quality = Quality(
        title=plan.volumes[0].url.rstrip("/").rpartition("/")[2],
        method=plan.options.method,
        made_by=scene.drawings.method,
        summary=found.gathered.summary,
        slices=found.slices,
        subsamples=found.subsamples,
        skills=[VolunteerSkill(skill, voted[name]) for name, skill in sorted(found.known.items())],
        best=[scene.drawn(one) for one in best],
        worst=[scene.drawn(one) for one in worst],
        levels=[scene.levels(one) for one in spread(by_z, MAX_LEVEL_SETS)],
        min_votes=plan.options.min_votes,
        scored=found.scored,
        apart=found.apart,
    )
    return replace(quality, reference="the ground truth") if plan.truth else quality


@dataclass(frozen=True)
class _Scene:
    """Where a slice to look at comes from."""

    plan: AnnotatePlan
    drawings: Drawings
    known: dict[str, float]

    def drawn(self, one: SliceQuality) -> DrawnSlice:
        """What volunteers drew on a slice, and the outline that came of it."""
        votes = self._votes(one)
        agreement = self.drawings.agreement(votes, self.known)
        return replace(
            self._shown(votes, one),
            lines=tuple(
                Line(stroke.points, self.known.get(vote.volunteer, 1.0))
                for vote in votes.votes
                for stroke in vote.strokes
            ),
            outline=tuple(line.astype(np.float32) for line in outline(agreement, votes.shape_yx)),
        )

    def levels(self, one: SliceQuality) -> tuple[DrawnSlice, Sequence[Level]]:
        """How many volunteers drew around what."""
        votes = self._votes(one)
        return self._shown(votes, one), self.drawings.level_sets(votes)

    def _votes(self, one: SliceQuality) -> SliceVotes:
        on_slice = self.drawings.slices(one.z, one.z + 1)
        return next(votes for votes in on_slice if votes.region == one.roi)

    def _shown(self, votes: SliceVotes, one: SliceQuality) -> DrawnSlice:
        image = Volume(self.plan.image) if self.plan.image.url else None
        return replace(shown_slice(votes, image, self.drawings.nm), quality=one)
