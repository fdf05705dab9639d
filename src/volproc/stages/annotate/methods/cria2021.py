"""CRIA as it was published: greedy joining, straight chords, even-odd fill, interior averages.

Contour regression by interior averages is described in Spiers et al., "Deep learning for automatic
segmentation of the nuclear envelope in electron microscopy data, trained with volunteer
segmentations", Traffic 22:240 (2021). Written from that description.
"""

from __future__ import annotations

import numpy as np

from volproc.drawing import Patch, Skills, SliceVotes
from volproc.stages.annotate.geometry.rasterisation import bounds, fill, weighted_sum
from volproc.stages.annotate.methods.cria.stroke_joining import join_greedy
from volproc.stages.annotate.options import AnnotateOptions


def cria2021(
    votes: SliceVotes, nm: tuple[float, float], skills: Skills, options: AnnotateOptions
) -> Patch:
    """The share of those who drew on the slice whose interior holds a voxel.

    Volunteers who drew nothing do not count, and neither voxel size nor skills matter.
    """
    drawn = [vote for vote in votes.votes if any(len(stroke.points) for stroke in vote.strokes)]
    interiors = [
        fill(join_greedy(vote.strokes), shape_yx=votes.shape_yx, rule="even-odd") for vote in drawn
    ]
    window = bounds(interiors)
    total = weighted_sum(interiors, [1.0] * len(drawn), window)
    return Patch(window.start, (total / max(len(drawn), 1)).astype(np.float32))
