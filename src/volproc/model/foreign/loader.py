"""From a path to a network: described, loaded once, measured, checked by its own test tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path

from volproc.errors import ModelError
from volproc.model.foreign.foreign_network import (
    ForeignNetwork,
    ForeignPredictor,
    difference_from_test,
    require_probability,
)
from volproc.model.foreign.forward import Forward
from volproc.model.foreign.measurement import Measured, measure
from volproc.model.foreign.model_card import Description, Extent
from volproc.model.foreign.package import Package, require_memory
from volproc.model.foreign.runnable import Runnable
from volproc.model.foreign.weights_file import Found, find, load_runnable

MIN_SIDE = 16
"""Pixels below which a plane shows nothing."""
Sizes = tuple[int | None, ...]
MAX_BYTES = 2**31
"""Of activations in one run: bounds the tile where the network does not."""

_opened: dict[tuple[str, str], ForeignNetwork] = {}


def open_foreign(path: Path, *, card: str, trust: bool) -> ForeignNetwork:
    """The network at `path`: a package, or a file of weights.

    `card` is a TOML file; without one, that of the same name beside the model counts, if it is
    there. Measured and checked once per process. ModelError names what is wrong.
    """
    found = find(path, card)
    data, where = found.file.read(), found.file.where
    weights = hashlib.sha256(data).hexdigest()
    stated = found.description.model_dump_json(exclude={"name", "tolerance"})
    digest = hashlib.sha256(f"{weights} {stated}".encode()).hexdigest()
    require_memory(2 * len(data), where)  # the file, and the network made of it
    key = (str(path), digest)
    if key not in _opened:
        kind = found.description.weights or "onnx"
        run = load_runnable(kind, data, where=where, device="cpu", trust=trust)
        network = _network(found, run, digest=digest, trust=trust)
        _opened[key] = replace(network, weights_sha256=weights)
    return replace(_opened[key], trust=trust)


def _network(found: Found, run: Runnable, *, digest: str, trust: bool) -> ForeignNetwork:
    description = _completed(found, run)
    measured = measure(run, description)
    predictor = ForeignPredictor(
        Forward(run, description, measured.crop), measured.depth.slices_out
    )
    for to, outputs in measured.outputs.items():
        require_probability(predictor.probability(outputs), description.name, to=to)
    channels = measured.outputs["noise"].shape[1]
    channel = description.channel_of(channels)
    network = ForeignNetwork(
        name=description.name,
        source=str(found.file.path),
        voxel_nm=description.voxel_nm or (1, 1, 1),
        slices_in=measured.depth.slices_in,
        slices_out=measured.depth.slices_out,
        halo=measured.halo,
        stride=measured.stride,
        digest=digest,
        classes=description.channels[channel:][:1],
        notes=(
            *_taken(description, channel, channels),
            *_seams(description, measured, run),
            *_checked(found, predictor),
        ),
        weight_bytes=run.weight_bytes,
        description=description,
        file=found.file,
        weights_sha256="",
        trust=trust,
        crop=measured.crop,
        flop_per_pixel=measured.cost.flop / measured.pixels,
        bytes_per_pixel=measured.cost.bytes / measured.pixels,
    )
    return replace(network, most_pixels=_most_pixels(network))


def _completed(found: Found, run: Runnable) -> Description:
    """The description with sizes that only the file of weights states."""
    description, axes = found.description, found.description.axes
    fixed = dict(zip(axes, run.shape or (), strict=False))
    if run.shape and len(run.shape) != len(axes):
        raise ModelError(
            f"{description.name} takes an input of {len(run.shape)} axes, {axes!r} is stated; "
            "state axes in a card"
        )
    _refuse_odd_sides(description, fixed, run.shape)
    channels = fixed.get("c") or found.channels
    if "c" in axes and channels not in (None, 1):
        raise ModelError(
            f"{description.name} wants {channels} channels, an image here has one; if they are "
            'neighbouring planes say so in a card: axes = "bzyx"'
        )
    depth = fixed.get("z") or (found.channels if "c" not in axes else None)
    side = fixed.get("y") or fixed.get("x")
    update = {
        "size": description.size or (Extent(least=side) if side else None),
        "depth": description.depth or (Extent(least=depth) if depth and "z" in axes else None),
    }
    return description.model_copy(update=update)


def _refuse_odd_sides(
    description: Description, fixed: Mapping[str, int | None], shape: Sizes | None
) -> None:
    """ModelError for planes that are no image: too small, or another axis in their place."""
    stated = description.size.most if description.size else None
    y, x = (fixed.get(axis) or stated for axis in "yx")
    if y and x and y != x and min(y, x) >= MIN_SIDE:
        raise ModelError(
            f"{description.name} takes planes of {y} x {x} pixels: they must be as high as wide, "
            "since it looks along three axes"
        )
    least = min(side for side in (y, x, MIN_SIDE) if side)
    if least < MIN_SIDE:
        last = description.axes.replace("c", "") + "c"
        hint = f'if its channels come last, state axes = "{last}" in a card'
        raise ModelError(
            f"{description.name} takes an input of {_sizes(shape) or least}, as "
            f"{description.axes!r} planes of {least} pixels, fewer than the {MIN_SIDE} that show "
            f"anything; {hint if last != description.axes else 'take another model'}"
        )


def _sizes(shape: Sizes | None) -> str:
    return " x ".join("any" if n is None else str(n) for n in shape or ())


def _taken(description: Description, channel: int, channels: int) -> list[str]:
    """A note on the channel, where only its name or those of the others tell which it is."""
    if channels == 1 or description.channel is not None:
        return []
    return [f"channel {channel} ({description.channels[channel]}) of {channels} is its output"]


def _most_pixels(network: ForeignNetwork) -> int:
    """The longest side of a tile with its halo, in pixels."""
    size, stride = network.description.size, network.stride
    if size and size.most:
        return (size.most - 2 * network.crop) // stride * stride
    affordable = isqrt(int(MAX_BYTES / network.bytes_per_pixel)) // stride * stride
    return max(affordable, 2 * network.halo + 4 * stride)


def _seams(description: Description, measured: Measured, run: Runnable) -> list[str]:
    """Notes on what tiles may show."""
    notes = []
    # a graph may name layers that a branch never taken has: what is measured decides
    if measured.reach is None:
        layers = ", ".join(run.whole_tile) or "measured"
        notes.append(
            f"looks at a whole tile at once ({layers}): tiles see different statistics, so seams "
            "may show at their borders whatever the halo; larger tiles make them fewer, "
            "--seam-check measures them"
        )
    depth = (measured.depth.slices_in - measured.depth.slices_out) // 2
    for stated, reach, taken, what in (
        (description.halo, measured.reach, measured.halo, "pixels in plane"),
        (description.depth_halo, measured.depth.halo, depth, "planes in depth"),
    ):
        if reach is not None and taken < reach:
            notes.append(
                f"its output depends on {reach} {what} around a tile, it is too small for more "
                f"than {taken}: tiles may differ at their borders"
            )
        elif reach is not None and stated is not None and stated < reach:
            notes.append(
                f"its halo is stated as {stated} {what}, but its output depends on {reach} "
                f"(measured): {taken} are taken"
            )
    return notes


def _checked(found: Found, predictor: ForeignPredictor) -> list[str]:
    """Run the test tensors; a note where there are none. ModelError if their output differs."""
    given, requested = found.test_input, found.test_output
    if given is None or requested is None:
        return [] if not found.file.inside else ["its package has no test tensors to check it by"]
    if "://" in given.source + requested.source:
        return ["its test tensors are not in the package: not checked"]
    package = Package(found.file.path)
    tensors = [package.read(named.source, sha256=named.sha256) for named in (given, requested)]
    worst, allowed = difference_from_test(predictor, *tensors), found.description.tolerance
    if worst > allowed:
        raise ModelError(
            f"{found.file.where} does not reproduce its own test output: they differ by "
            f"{worst:.3g}, allowed are {allowed:g}; it may be damaged, or need steps that its "
            "description lacks (tolerance in a card allows more)"
        )
    return []
