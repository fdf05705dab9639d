"""What a method of aggregation is."""

from __future__ import annotations

from collections.abc import Callable

from volproc.drawing import Patch, Points, Skills, SliceVotes, Stroke, Vote
from volproc.stages.annotate.options import AnnotateOptions

__all__ = ["Method", "Patch", "Points", "Skills", "SliceVotes", "Stroke", "Vote"]

Method = Callable[[SliceVotes, tuple[float, float], Skills, AnnotateOptions], Patch]
"""From the votes on a slice, the voxel size (y, x) in nm, the skills and the options to the
agreement: float32, 0 to 1, the probability that a voxel lies inside. From 0.5 on it is inside."""
