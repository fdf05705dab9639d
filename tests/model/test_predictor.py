"""What is folded away before predicting changes no answer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.normalisation import Normalisation
from volproc.model.predictor import Predictor, without_batch_norm, without_stem
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec


def trained(stem: int, **more: Any) -> UNet:
    """As if trained: no running mean of 0 and spread of 1."""
    torch.manual_seed(stem)
    network = UNet(UNetSpec(slices_in=4, slices_out=2, widths=(6, 8), stem=stem, **more)).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            part.running_mean = torch.empty_like(part.weight.data).uniform_(-0.5, 0.5)
            part.running_var = torch.empty_like(part.weight.data).uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("skips", ["concat", "add"])
@pytest.mark.parametrize("block", ["plain", "residual", "separable"])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_the_stem_and_batch_norm_fold_into_the_convolutions(
    stem: int, block: str, skips: str
) -> None:
    network = trained(stem, block=block, skips=skips)
    planes = torch.randn(2, 4, 24, 32)
    folded = without_stem(without_batch_norm(copy.deepcopy(network)))
    with torch.inference_mode():
        torch.testing.assert_close(folded(planes), network(planes), rtol=1e-4, atol=1e-4)
    kinds = {type(part) for part in folded.modules()}
    assert not kinds & {torch.nn.BatchNorm2d, torch.nn.PixelUnshuffle}


def test_an_answer_is_the_networks_probability_of_the_normalised_planes() -> None:
    network, constants = trained(2), Normalisation(100.0, 40.0)
    planes = torch.randint(0, 256, (1, 4, 24, 32), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = torch.sigmoid(network(constants.apply(planes)))
        found = Predictor(copy.deepcopy(network), "cpu")(planes, constants)
    torch.testing.assert_close(found, wanted[:, None], rtol=1e-4, atol=1e-4)


def etchacell() -> EtchACell:
    """Small, as if trained; its BatchNorm has no convolution before it to fold into."""
    torch.manual_seed(2)
    network = EtchACell(EtchACellSpec(start=4, levels=3)).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean = torch.empty_like(part.bias.data).uniform_(-0.5, 0.5)
            part.running_var = torch.empty_like(part.weight.data).uniform_(0.5, 2)
    return network


SIXTEEN_BITS = [
    lambda: trained(2, block="plain", skips="concat"),
    lambda: trained(1, block="residual", skips="add"),
    lambda: trained(2, block="separable", skips="concat"),
    etchacell,
]


@pytest.mark.parametrize("make", SIXTEEN_BITS)
@pytest.mark.parametrize("bits", [torch.bfloat16, torch.float16])
def test_weights_in_16_bits_answer_as_autocast_did(make, bits: torch.dtype) -> None:
    """Within 2^-8, a step of 255: autocast rounds the same weights anew at every call."""
    network, constants = make(), Normalisation(100.0, 40.0)
    planes = torch.randint(0, 256, (2, network.spec.slices_in, 32, 48), dtype=torch.uint8)
    whole = without_batch_norm(copy.deepcopy(network))
    with torch.inference_mode():
        with torch.autocast("cpu", dtype=bits):
            logits = whole(constants.apply(planes))
        wanted = torch.sigmoid(torch.unflatten(logits.float(), 1, (network.spec.classes, -1)))
        predict = Predictor(copy.deepcopy(network), "cpu", dtype=bits)
        found = predict(planes, constants)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=2**-8)
    assert wanted.std() > 0.01
    kinds = {type(p): p.weight.dtype for p in predict.module.modules() if hasattr(p, "weight")}
    assert kinds.pop(torch.nn.BatchNorm2d, torch.float32) == torch.float32
    assert set(kinds.values()) == {bits}


def test_weights_too_large_for_their_sums_are_no_answer() -> None:
    """Finite each, infinite together, and what is left of that is NaN."""
    network = trained(1)
    for value in network.parameters():
        value.data *= 1e30
    planes = torch.randint(0, 256, (1, 4, 24, 32), dtype=torch.uint8)
    said = "model large predicts NaN: .* float32 cannot hold .* take another model"
    with torch.inference_mode(), pytest.raises(ModelError, match=said):
        Predictor(network, "cpu", name="large")(planes, Normalisation(100.0, 40.0))
