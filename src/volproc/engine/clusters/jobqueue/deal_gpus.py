"""A preload of Dask's nannies: the workers of one job are dealt its GPUs, one each."""

from __future__ import annotations

import itertools
import os
from typing import Any

_next = itertools.count()


def dask_setup(nanny: Any) -> None:
    """Give the next GPU of the job to the worker of this nanny."""
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if names:
        nanny.env["CUDA_VISIBLE_DEVICES"] = names[next(_next) % len(names)]
