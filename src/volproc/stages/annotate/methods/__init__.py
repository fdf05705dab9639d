"""The methods that make one drawing of many, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from volproc.drawing import Patch, Skills, SliceVotes
from volproc.stages.annotate.methods.cria.cria import cria
from volproc.stages.annotate.methods.cria2021 import cria2021
from volproc.stages.annotate.methods.voxelwise import by_voxel, em, majority, rasa, staple
from volproc.stages.annotate.options import AnnotateOptions

Method = Callable[[SliceVotes, tuple[float, float], Skills, AnnotateOptions], Patch]
"""From the votes on a slice, the voxel size (y, x) in nm, the skills and the options to the
agreement: float32, 0 to 1, the probability that a voxel lies inside. From 0.5 on it is inside."""

METHODS: Mapping[str, Method] = {
    "cria": cria,
    "cria-2021": cria2021,
    "majority": partial(by_voxel, majority),
    "em": partial(by_voxel, em),
    "rasa": partial(by_voxel, rasa),
    "staple": partial(by_voxel, staple),
}
"""What `[annotate] method` chooses from."""
