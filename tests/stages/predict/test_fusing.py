"""Every way to fuse, against numpy on the whole volume: what is written, whatever the blocks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.predict.whole import whole_at_once

from volproc import PredictOptions
from volproc.model.normalisation import Normalisation
from volproc.volume.file_io import sibling
from volproc.volume.store import open_volume

MODES = ("union", "majority", "mean", "max", "weighted")
AXES = ("z", "y", "x", "zy", "zx", "yx", "zyx")


def oracle(votes, mode, *, threshold, weights):
    """The words of docs/predict.md in numpy, for votes (axes, z, y, x) and a weight for each."""
    votes = votes.astype(float)
    yes = (votes >= max(1, np.floor(255 * threshold + 0.5))).sum(0)
    return {
        "union": 255 * (yes > 0),
        "majority": 255 * (yes > len(votes) / 2),
        "mean": np.floor(votes.mean(0) + 0.5),
        "max": votes.max(0),
        "weighted": np.floor(np.average(votes, axis=0, weights=weights) + 0.5),
    }[mode]


def weights_of(axes, weights):
    return [weights["zyx".index(axis)] for axis in axes]


@given(data=st.data(), axes=st.sampled_from(AXES), threshold=st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_blocks_fusion_is_numpys(small, predict, data, axes, threshold):
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    votes = data.draw(arrays(np.uint8, (len(axes), *shape)))
    weights = data.draw(
        st.tuples(*[st.sampled_from([0, 0.25, 1, 3])] * 3).filter(
            lambda w: sum(weights_of(axes, w)) > 0
        )
    )
    task = predict(small, plan_only=True).task(Normalisation(0.0, 1.0))
    for mode in MODES:
        options = PredictOptions(axes=axes, fusion=mode, threshold=threshold, weights=weights)
        found = replace(task, options=options).fused(torch.from_numpy(votes)).numpy()
        wanted = oracle(votes, mode, threshold=threshold, weights=weights_of(axes, weights))
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("mode", "axes", "flips"),
    [("weighted", "zyx", True), ("weighted", "yx", False), ("max", "zx", True)],
)
def test_what_is_written_is_numpys_fusion_of_the_whole_volumes_answers(
    small, predict, tiny_model, mode, axes, flips
):
    """From the network on whole planes to each volume on disk; blocks cut the tiles."""
    weights, threshold = (0.5, 2, 1), 0.45
    plan, made = predict(
        small,
        axes=axes,
        fusion=mode,
        weights=weights,
        threshold=threshold,
        flips=flips,
        block=(11, 36, 20),
        agreement=True,
        disagreement=True,
    )

    def whole(url):
        volume = open_volume(url)
        return volume.read(volume.info.box)

    votes = whole(plan.votes.url)[::-1]
    mirrored = plan.layout.border
    wanted = whole_at_once(small, tiny_model, mirrored=mirrored, flips=flips, axes=axes)
    assert np.abs(votes - wanted).max() < 0.5 + 1e-2
    how = {"threshold": threshold, "weights": weights_of(axes, weights)}
    assert np.array_equal(made.read(made.info.box), oracle(votes, mode, **how))
    yes = votes >= np.floor(255 * threshold + 0.5)
    assert np.array_equal(whole(sibling(plan.votes.url, "-agreement.zarr")), yes.sum(0))
    apart = np.ptp(votes.astype(int), axis=0)
    assert np.array_equal(whole(sibling(plan.votes.url, "-disagreement.zarr")), apart)
