"""The device that a network runs on."""

from __future__ import annotations

import torch

from volproc.config.devices import gpus_elsewhere
from volproc.errors import ModelError


def device_for(requested: str, *, table: str = "predict") -> str:
    """Either "cuda" or "cpu", for `[table] device`; ModelError for a GPU where there is none."""
    elsewhere = gpus_elsewhere()
    there = torch.cuda.is_available() if elsewhere is None else elsewhere
    if requested == "cuda" and not there:
        where = "torch finds no GPU here" if elsewhere is None else "the cluster has no GPUs"
        more = "" if elsewhere is None else ", or add [cluster.gpu]"
        raise ModelError(f'[{table}] device = "cuda", but {where}; take "auto" or "cpu"{more}')
    return ("cuda" if there else "cpu") if requested == "auto" else requested
