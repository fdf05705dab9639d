"""The device that a network runs on: planned once, and obeyed by whoever computes a block."""

from __future__ import annotations

from socket import gethostname

from volproc.config.devices import NO_DRIVER, gpus_elsewhere, why_no_gpu, why_unusable
from volproc.errors import ConfigError, ModelError


def device_for(requested: str, *, table: str = "predict") -> str:
    """Either "cuda" or "cpu" for `[table] device`, where the workers that are planned for have it.

    ConfigError for a GPU where there is none.
    """
    if requested == "cpu":
        return "cpu"
    elsewhere = gpus_elsewhere()
    why = why_no_gpu() if elsewhere is None else ""
    if not why and elsewhere is not False:
        return "cuda"
    if requested != "cuda":
        return "cpu"
    asked = f'[{table}] device = "cuda"'
    if elsewhere is None:
        raise ConfigError(f'{asked}, but torch finds no GPU here: {why}; take device = "cpu"')
    raise ConfigError(
        f'{asked}, but the cluster has no GPUs; add [cluster.gpu], or take device = "cpu"'
    )


def require_planned(device: str, *, table: str = "predict") -> None:
    """ModelError in a process that is to compute on a GPU, as planned, and has none."""
    if device == "cuda" and (why := why_unusable()):
        raise ModelError(
            f"the network was planned to run on a GPU, but torch can use none on {gethostname()}: "
            f'{why}; or take [{table}] device = "cpu"'
        )


def unused_gpu_note(requested: str) -> tuple[str, ...]:
    """What users should know where "auto" takes CPUs though this machine seems to have a GPU."""
    if requested != "auto" or gpus_elsewhere() is not None:
        return ()
    why = why_no_gpu()
    if why in ("", NO_DRIVER):
        return ()
    return (f"the network runs on CPUs, though there is a driver of a GPU: {why}",)
