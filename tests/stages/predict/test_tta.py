import numpy as np
import pytest
from tests.stages.predict.whole import whole_at_once

from volproc.errors import ConfigError
from volproc.volume.store import open_volume


def test_flips_are_the_mean_over_the_whole_volumes_mirror_images(small, predict, tiny_model):
    plan, _ = predict(small, flips=True)
    votes = open_volume(plan.votes.url).read(plan.votes.box)[::-1]
    wanted = whole_at_once(small, tiny_model, mirrored=4, flips=True)
    assert np.abs(votes - wanted).max() < 0.5 + 1e-2
    assert np.abs(wanted - whole_at_once(small, tiny_model, mirrored=4)).max() > 5
    once = predict(small, "once", plan_only=True)
    assert plan.steps[0].flop == 4 * once.steps[0].flop
    assert plan.digest != once.digest


def test_with_flips_too_blocks_never_change_a_vote(small, predict):
    found = []
    for n, block in enumerate([None, (11, 36, 20)]):
        plan, _ = predict(small, f"b{n}", flips=True, block=block)
        found.append(open_volume(plan.votes.url).read(plan.votes.box))
    assert np.array_equal(*found)


@pytest.mark.parametrize("keep", [2, 4])
def test_only_the_central_planes_count(small, predict, tiny_model, keep):
    plan, _ = predict(small, center_planes=keep)
    votes = open_volume(plan.votes.url).read(plan.votes.box)[::-1]
    wanted = whole_at_once(small, tiny_model, mirrored=4, keep=keep)
    assert np.abs(votes - wanted).max() < 0.5 + 1e-2


@pytest.mark.parametrize("keep", [3, 6])
def test_planes_that_cannot_be_the_centre_are_refused(small, predict, keep):
    with pytest.raises(
        ConfigError, match=rf"center_planes = {keep}: tiny predicts 4 planes; keep an "
    ):
        predict(small, center_planes=keep, plan_only=True)
