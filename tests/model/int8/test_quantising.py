"""Quantised weights: within the bounds that make them exact, near the float32 ones."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.int8.exact import (
    CONSTANTS,
    exact_head,
    network,
    noise,
    quantised_network,
    written,
)
from torch.nn import functional

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.int8.layers import layer_sizes, load_layers
from volproc.model.int8.predictor import quantised
from volproc.model.int8.quantising import quantise


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e5])
def test_no_sum_is_beyond_what_float32_holds_exactly(factor):
    """And no two products overflow 16 bits, whatever the size of the weights."""
    found = network(widths=(6, 200))
    found.down[1][0].weight.data *= factor  # its BatchNorm does not know
    layers = quantise(found, [(noise(1, 4, 32, 32), CONSTANTS)], name="tiny")
    for name, layer in layers.items():
        weight = np.moveaxis(layer.weight.astype(int), 1 if name.startswith("lift") else 0, 0)
        sums = 255 * np.abs(weight).sum(axis=(1, 2, 3)) + np.abs(layer.bias.astype(int))
        assert np.abs(weight).max() <= 63
        assert sums.max() < 2**24


@pytest.mark.parametrize("more", [{}, {"stem": 1}, {"convs_up": 2}, {"skips": "add"}])
def test_logits_are_near_those_of_float32(more):
    """On noise that the steps do not come from."""
    found, layers = quantised_network(**more)
    planes = noise(1, 4, 64, 64)
    with torch.inference_mode():
        wanted = found(CONSTANTS.apply(planes))
    head = exact_head(layers, found.spec, quantised(planes, CONSTANTS))
    apart = functional.pixel_shuffle(head, found.spec.stem).float() - wanted
    assert apart.abs().mean() < 0.05 * wanted.std()


def test_quantising_changes_nothing_of_the_network():
    found = network()
    before = copy.deepcopy(found.state_dict())
    quantise(found, [(noise(1, 4, 32, 32), CONSTANTS)], name="tiny")
    assert all(torch.equal(value, before[name]) for name, value in found.state_dict().items())


def test_layers_are_read_as_they_werewritten(tmp_path):
    found, layers = quantised_network()
    assert {name: layer.weight.shape for name, layer in layers.items()} == layer_sizes(found.spec)
    sha256 = written(tmp_path, layers)
    read = load_layers(tmp_path, found.spec, sha256)
    assert list(read) == list(layers)
    for name, layer in read.items():
        for part in ("weight", "exponent", "bias"):
            assert np.array_equal(getattr(layer, part), getattr(layers[name], part))
    with pytest.raises(ModelError, match=r"SHA-256 differs.* quantise"):
        load_layers(tmp_path, found.spec, "0" * 64)
    other = replace(found.spec, widths=(6, 9, 12))
    with pytest.raises(ModelError, match="does not belong to the network of its card"):
        load_layers(tmp_path, other, sha256)


@pytest.mark.parametrize(
    "refused",
    [
        network(block="separable"),
        network(block="residual"),
        EtchACell(EtchACellSpec(start=2, levels=3)),
    ],
)
def test_other_networks_are_refused(refused):
    with pytest.raises(ModelError, match=r"net cannot be quantised: .*float32"):
        quantise(refused, [], name="net")
