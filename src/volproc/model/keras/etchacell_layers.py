"""Which layer of a Keras file is which convolution of Etch-a-Cell's network.

A file that describes its layers says what each reads. Every channel is followed through the layers
that keep channels apart, so a convolution is known by the set of channels that it sees:

    block       three 1x1 convolutions see its input; one is seen by a 3x3, one by a 5x5, one by
                neither: that is the tower with the pool
    lift        the transposed convolution that sees the output of the block below
    head        the 1x1 that sees all of the finest block

and their order, whatever concatenations it came from, is brought to ours. A file of weights alone
says no such thing. Its kernels have to come in the order in which Keras lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from volproc.errors import ModelError
from volproc.model.etchacell import BATCH_NORM_EPS, SLOPE
from volproc.model.keras.hdf5_layers import Layer

Channel = tuple[str, int]
"""The layer that made it, and its number there."""
LEAKY = "LeakyReLU"
SAME_CHANNELS = (LEAKY, "Activation", "MaxPooling2D", "Dropout", "SpatialDropout2D")
SIGMOID = ("sigmoid", "linear")
ORDERS = ((1, 1, 3, 5, 1), (1, 3, 1, 5, 1))
"""Kernels of a block, as Keras lists the layers of a model, and as they are made one by one."""
PARTS = {
    ORDERS[0]: ("three.0", "five.0", "three.2", "five.2", "pool.2"),
    ORDERS[1]: ("three.0", "three.2", "five.0", "five.2", "pool.2"),
}


@dataclass(frozen=True)
class Place:
    """A layer, and the order of the channels it sees: the n-th of ours is its `order[n]`-th."""

    layer: Layer
    order: tuple[int, ...] | None = None
    """None if it is the same."""


Places = Mapping[str, Place]
"""By the names of our network's modules, such as down.0.three.0."""


def places_of(layers: Sequence[Layer], path: Path) -> Places:
    """The layer of each of our modules; ModelError names the first that does not fit."""
    if any(layer.kind for layer in layers):
        return _Graph(layers, path).places()
    return dict(_by_order(layers, path))


def _by_order(layers: Sequence[Layer], path: Path) -> Iterator[tuple[str, Place]]:
    kernels = [layer for layer in layers if "kernel" in layer.weights]
    norms = [layer for layer in layers if "gamma" in layer.weights]
    levels, odd = divmod(len(kernels) + 5, 11)
    if odd or levels < 1 or len(norms) != 1:
        raise ModelError(
            f"{path} holds {len(kernels)} convolutions and {len(norms)} batch normalisations; "
            "Etch-a-Cell's network of 5 levels has 50 and 1"
        )
    left = iter(kernels)
    yield f"down.{levels - 1}.norm", Place(norms[0])
    for level in range(levels):
        yield from _block(f"down.{level}", [next(left) for _ in range(5)], path)
    for level in reversed(range(levels - 1)):
        yield f"lift.{level}", Place(next(left))
        yield from _block(f"up.{level}", [next(left) for _ in range(5)], path)
    yield "head", Place(next(left))


def _block(name: str, found: Sequence[Layer], path: Path) -> Iterator[tuple[str, Place]]:
    sizes = tuple(layer.weights["kernel"].shape[0] for layer in found)
    if sizes not in PARTS:
        raise ModelError(
            f"{path}: {found[0].name} and the four layers after it have kernels of {sizes} pixels, "
            f"expected {' or '.join(map(str, ORDERS))}: it is another network, or its layers come "
            "in another order; save the whole model (model.save), which says what each reads"
        )
    for part, layer in zip(PARTS[sizes], found, strict=True):
        yield f"{name}.{part}", Place(layer)


class _Graph:
    """Layers, what each reads, and the channels that each sees."""

    def __init__(self, layers: Sequence[Layer], path: Path) -> None:
        self.path = path
        self.layers = {layer.name: layer for layer in layers}
        self.seen: dict[str, tuple[Channel, ...]] = {}
        self.made: dict[str, tuple[Channel, ...]] = {}
        for layer in layers:
            self._follow(layer)

    def places(self) -> Places:
        """The layer of each of our modules."""
        lifts = [one for one in self.layers.values() if one.kind == "Conv2DTranspose"]
        levels, found = len(lifts) + 1, dict[str, Place]()
        inputs = [one for one in self.layers.values() if one.kind == "InputLayer"]
        if len(inputs) != 1:
            raise self._refused(f"it has {len(inputs)} inputs, expected one")
        values, skips = self.made[inputs[0].name], []
        for level in range(levels):
            if level == levels - 1:
                norm = self._only("BatchNormalization", values)
                place = found[f"down.{level}.norm"] = self._place(norm, values)
                values = tuple((norm.name, n) for n in place.order or ())
            values = self._towers(f"down.{level}", values, found)
            skips.append(values)
        for level in reversed(range(levels - 1)):
            lift = self._only("Conv2DTranspose", values)
            self._require(lift, activation=())
            found[f"lift.{level}"] = self._place(lift, values)
            values = self._towers(f"up.{level}", skips[level] + self.made[lift.name], found)
        head = self._only("Conv2D", values)
        self._require(head, activation=SIGMOID)
        found["head"] = self._place(head, values)
        return found

    def _towers(
        self, name: str, values: tuple[Channel, ...], found: dict[str, Place]
    ) -> tuple[Channel, ...]:
        """Add the places of a block's convolutions to `found`; the channels of its output."""
        outputs = {}
        for first in self._that_see(values, "Conv2D"):
            made = self.made[first.name]
            after = self._that_see(made, "Conv2D")
            size = int(after[0].config["kernel_size"][0]) if after else 0
            tower = {0: "pool", 3: "three", 5: "five"}.get(size, f"{size}x{size}")
            if (tower == "pool") != self._reads_pool(first):
                raise self._refused(
                    f"{first.name} is in the tower {tower}; expected a 3x3 pool of step 1 before "
                    "the 1x1 convolution that is a tower by itself, and there alone"
                )
            found[f"{name}.{tower}.{0 if after else 2}"] = self._place(first, values)
            if after:
                found[f"{name}.{tower}.2"] = self._place(after[0], made)
            outputs[tower] = self.made[(after or [first])[0].name]
            for one in (first, *after):
                self._require(one, activation=())
        if sorted(outputs) != ["five", "pool", "three"]:
            towers = ", ".join(sorted(outputs)) or "none"
            raise self._refused(
                f"a block that sees {len(values)} channels has the towers {towers}, expected "
                "1x1 and 3x3, 1x1 and 5x5, pool and 1x1"
            )
        return values + outputs["three"] + outputs["five"] + outputs["pool"]

    def _place(self, layer: Layer, values: tuple[Channel, ...]) -> Place:
        where = {channel: n for n, channel in enumerate(self.seen[layer.name])}
        return Place(layer, tuple(where[channel] for channel in values))

    def _only(self, kind: str, values: tuple[Channel, ...]) -> Layer:
        found = self._that_see(values, kind)
        if len(found) != 1:
            raise self._refused(
                f"{len(found)} layers of kind {kind} see the {len(values)} channels of a block, "
                "expected one"
            )
        return found[0]

    def _that_see(self, values: tuple[Channel, ...], kind: str) -> list[Layer]:
        wanted = frozenset(values)
        return [
            layer
            for name, layer in self.layers.items()
            if layer.kind == kind and frozenset(self.seen[name]) == wanted
        ]

    def _follow(self, layer: Layer) -> None:
        """Note the channels that a layer sees, and those it makes of them."""
        if unknown := [name for name in layer.inputs if name not in self.made]:
            raise self._refused(f"{layer.name} reads {unknown[0]!r}, which comes later or never")
        seen = tuple(channel for name in layer.inputs for channel in self.made[name])
        self.seen[layer.name] = seen
        if layer.kind in SAME_CHANNELS or layer.kind == "Concatenate":
            self._require_usual(layer)
            self.made[layer.name] = seen
            return
        if layer.kind == "InputLayer":
            shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape", [None]))
            number = shape[-1]
        elif layer.kind == "BatchNormalization":
            self._require_usual(layer)
            number = len(seen)
        elif layer.kind in ("Conv2D", "Conv2DTranspose"):
            number = layer.config.get("filters")
        else:
            raise self._refused(f"it has a layer {layer.name} of kind {layer.kind}")
        if not isinstance(number, int):
            raise self._refused(f"{layer.name} has {number} channels, expected a number")
        self.made[layer.name] = tuple((layer.name, n) for n in range(number))

    def _require_usual(self, layer: Layer) -> None:
        """ModelError for another slope or epsilon than ours."""
        config = layer.config
        stated = {
            LEAKY: (config.get("negative_slope", config.get("alpha")), SLOPE),
            "BatchNormalization": (config.get("epsilon"), BATCH_NORM_EPS),
        }.get(layer.kind)
        if stated and abs(float(stated[0] or 0) - stated[1]) > 1e-6:
            raise self._refused(f"{layer.name} has {stated[0]}, expected {stated[1]:g}")

    def _require(self, layer: Layer, *, activation: Sequence[str]) -> None:
        """ModelError unless a convolution has zeros around, and its own kind of activation.

        LeakyReLU (of the layer itself or after it) if `activation` names none.
        """
        config = layer.config
        padding = "same" if max(config["kernel_size"]) > 1 else config["padding"]
        for key, wanted in (("padding", padding), ("data_format", "channels_last")):
            if config.get(key, wanted) != wanted:
                raise self._refused(f"{layer.name} has {key} {config[key]!r}, expected {wanted!r}")
        after = [one.kind for one in self.layers.values() if layer.name in one.inputs]
        own = config.get("activation", "linear")
        own = own.get("class_name", "").lower() if isinstance(own, dict) else str(own)
        leaky = own in ("leaky_relu", "leakyrelu") or (own == "linear" and set(after) == {LEAKY})
        if not (own in activation if activation else leaky):
            wanted = " or ".join(activation) or "LeakyReLU"
            raise self._refused(f"{layer.name} is followed by {own}, expected {wanted}")

    def _reads_pool(self, layer: Layer) -> bool:
        """Whether a 3x3 pool of step 1 comes right before it, activations aside."""
        before = self.layers[layer.inputs[0]]
        while before.kind in SAME_CHANNELS and before.kind != "MaxPooling2D":
            before = self.layers[before.inputs[0]]
        size, step = (before.config.get(key) for key in ("pool_size", "strides"))
        return (size, step) == ([3, 3], [1, 1])

    def _refused(self, why: str) -> ModelError:
        return ModelError(f"{self.path} is not Etch-a-Cell's network: {why}")
