"""What a training begins with: heads kept by name, and parts that stay as they are."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from volproc.model.etchacell import DROPOUT, EtchACell, PlaneDropout
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.predictor import without_batch_norm
from volproc.model.transfer import copy_weights, freeze
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import network_of
from volproc.stages.train.processes import Processes, share_batches

SPECS = [
    UNetSpec(3, 1, (2, 3), stem=2, classes=2),
    UNetSpec(2, 2, (2, 3), stem=1, block="residual", classes=2),
    EtchACellSpec(4, 2, 2, levels=2, classes=2),
]


def network(spec: Any, seed: int) -> Any:
    torch.manual_seed(seed)
    return network_of(spec)


def planes(spec: Any, *, seed: int = 0) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(2, spec.slices_in, 2 * spec.stride, 2 * spec.stride, generator=chance)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_outputs_of_classes_of_the_same_name_are_kept_wherever_they_stand(spec: Any) -> None:
    old, fresh = network(spec, 1).eval(), network(replace(spec, classes=3), 2).eval()
    head = copy.deepcopy(fresh.head.state_dict())
    new = copy_weights(old, fresh, classes=(("nucleus", "er"), ("er", "golgi", "nucleus")))
    before = old(planes(spec)).unflatten(1, (2, -1))
    after = new(planes(spec)).unflatten(1, (3, -1))
    torch.testing.assert_close(after[:, 0], before[:, 1])
    torch.testing.assert_close(after[:, 2], before[:, 0])
    per = len(head["bias"]) // 3
    assert torch.equal(new.head.bias[per : 2 * per], head["bias"][per : 2 * per])


def learn(chosen: Any, *, steps: int = 3) -> dict[str, torch.Tensor]:
    """The state after a few steps of an optimiser that decays weights, as a training's does."""
    optimiser = torch.optim.AdamW(chosen.parameters(), lr=0.1, weight_decay=0.1)
    for step in range(steps):
        chosen.train()
        optimiser.zero_grad()
        chosen(planes(chosen.spec, seed=step)).square().mean().backward()
        optimiser.step()
    return {name: value.clone() for name, value in chosen.state_dict().items()}


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(
    ("what", "kept"), [("nothing", ()), ("encoder", ("down",)), ("body", ("down", "lift", "up"))]
)
def test_what_is_frozen_stays_and_all_else_learns(
    spec: Any, what: Any, kept: tuple[str, ...]
) -> None:
    chosen = network(spec, 1)
    before = copy.deepcopy(chosen.state_dict())
    after = learn(freeze(chosen, what))
    changed = {name.split(".")[0] for name, value in after.items() if (value != before[name]).any()}
    assert changed == {"down", "lift", "up", "head"} - {*kept}


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_frozen_part_sees_what_it_sees_when_it_predicts(spec: Any) -> None:
    chosen = network(spec, 1)
    learn(chosen)  # statistics that are not those of a batch
    freeze(chosen, "body")
    seen = chosen.train()(planes(spec))
    torch.testing.assert_close(seen, chosen.eval()(planes(spec)))


def test_a_copy_of_a_frozen_network_is_frozen_and_folds() -> None:
    chosen = freeze(network(SPECS[0], 1), "encoder")
    again = copy.deepcopy(chosen)
    assert not any(p.requires_grad for p in again.down.parameters())
    whole = again.eval()(planes(SPECS[0]))
    folded = without_batch_norm(again)
    torch.testing.assert_close(folded(planes(SPECS[0])), whole, rtol=1e-4, atol=1e-5)


def test_dropout_follows_from_the_step_alone() -> None:
    spec = EtchACellSpec(4, 2, 8, levels=2)
    first, second = (EtchACell(spec) for _ in range(2))
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    one = [first.train()(planes(spec)) for _ in range(2)]
    torch.manual_seed(2)
    two = [second.train()(planes(spec)) for _ in range(2)]
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], one[1])


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    layer, ones = PlaneDropout().train(), torch.ones(100, 100, 2, 2)
    found = layer(ones, torch.tensor(3))
    assert float((found == 0).float().mean()) == pytest.approx(DROPOUT, abs=0.02)
    assert float(found.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(ones, torch.tensor(3)), ones)


def test_processes_drop_what_one_alone_would() -> None:
    """Of 7 samples the first process has 3."""
    ones, step = torch.ones(7, 40, 2, 2), torch.tensor(7)
    alone, parts = PlaneDropout().train()(ones, step), []
    for rank in range(2):
        network, processes = nn.Sequential(PlaneDropout()), Processes(rank, 2)
        share_batches(network, processes, 7)
        share = processes.share(7)
        parts.append(network[0].train()(ones[share.start : share.stop], step))
    assert torch.equal(torch.cat(parts), alone)
    assert not torch.equal(parts[0], parts[1][:3])


def test_a_network_that_is_not_frozen_is_the_same() -> None:
    chosen = UNet(SPECS[0])
    kinds = [type(layer) for layer in chosen.modules()]
    assert [type(layer) for layer in freeze(chosen, "nothing").modules()] == kinds
