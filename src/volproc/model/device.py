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
        if elsewhere is None:
            raise ModelError(
                f'[{table}] device = "cuda", but torch finds no GPU here; take "auto" or "cpu"'
            )
        raise ModelError(
            f'[{table}] device = "cuda", but the cluster has no GPUs; add [cluster.gpu], or take '
            '"auto" or "cpu"'
        )
    return ("cuda" if there else "cpu") if requested == "auto" else requested
