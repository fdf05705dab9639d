"""The device that a network runs on."""

from __future__ import annotations

from ctypes import CDLL
from pathlib import Path
from typing import TYPE_CHECKING

from volproc.config.devices import gpus_elsewhere
from volproc.errors import ModelError
from volproc.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def device_for(requested: str, *, table: str = "predict") -> str:
    """Either "cuda" or "cpu", for `[table] device`; ModelError for a GPU where there is none."""
    elsewhere = gpus_elsewhere()
    there = _has_gpu() if elsewhere is None else elsewhere
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


def _has_gpu() -> bool:
    """Whether torch finds a GPU; it takes a second, so it is asked only where there is a driver."""
    return _has_driver() and torch.cuda.is_available()


def _has_driver() -> bool:
    """Whether there is NVIDIA's library, or AMD's device: torch sees no GPU without either."""
    try:
        CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True
