"""Planes that a network reads, and those of them that it answers."""

from __future__ import annotations

from volproc.errors import ModelError


def require_centred(slices_in: int, slices_out: int) -> None:
    """ModelError unless the planes answered can be the central ones of those read."""
    if slices_out > slices_in or (slices_in - slices_out) % 2:
        raise ModelError(
            f"{slices_out} slices out cannot be the centre of {slices_in} slices in: "
            "take no more out than in, and both even or both odd"
        )
