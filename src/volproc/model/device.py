"""The device that a network runs on."""

from __future__ import annotations

import torch

from volproc.errors import ModelError


def device_for(requested: str, *, table: str = "predict") -> str:
    """Either "cuda" or "cpu", for `[table] device`; ModelError for a GPU where torch finds none."""
    there = torch.cuda.is_available()
    if requested == "cuda" and not there:
        raise ModelError(
            f'[{table}] device = "cuda", but torch finds no GPU here; take "auto" or "cpu"'
        )
    return ("cuda" if there else "cpu") if requested == "auto" else requested
