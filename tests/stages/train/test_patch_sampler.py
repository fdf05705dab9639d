"""Patches: a pure function of seed, step and number, the same whatever is in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.stages.train.sources import SHAPE, made_image

from volproc.grid.box import Box
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.batch import RawPatches
from volproc.stages.train.centre_index import index_of
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.patch_sampler import (
    ANYWHERE,
    Sampler,
    centre_of,
    cumulative,
    slots_of,
    window,
)
from volproc.stages.train.region_cache import HELD
from volproc.stages.train.regions import SLOTS, regions_of

SPEC = UNetSpec(4, 2, (2, 3), classes=2)
LARGEST = (8, 8, 8)
SMALL_CACHE = 250_000


@pytest.fixture
def images(save_volume: Callable[..., Any]) -> list[LabelledImage]:
    ignored = np.zeros(SHAPE, np.bool_)
    ignored[18:] = True
    return [
        made_image(save_volume, name="a", ignore=ignored),
        made_image(save_volume, name="b", seed=1, weight=3.0),
    ]


def sampler(images: list[LabelledImage], *, cache: int = SMALL_CACHE, **changes: Any) -> Sampler:
    regions = regions_of(images, LARGEST, cache_bytes=cache)
    index = index_of(regions, file="/nowhere/centres.json", key="")
    made = Sampler(regions, index, SPEC, patch=8, batch=6, seed=1, axes=(0.5, 0.25, 0.25))
    return replace(made, **changes)


def equal(one: RawPatches, other: RawPatches) -> bool:
    return one.axes == other.axes and all(
        torch.equal(getattr(one, part), getattr(other, part))
        for part in ("planes", "mean", "std", "target", "weight")
    )


def joined(*parts: RawPatches) -> RawPatches:
    fields = ("planes", "mean", "std", "target", "weight")
    tensors = {name: torch.cat([getattr(one, name) for one in parts]) for name in fields}
    return replace(parts[0], **tensors, axes=sum((one.axes for one in parts), ()))


@pytest.mark.parametrize("cache", [SMALL_CACHE, 10**8])
def test_patches_depend_on_seed_step_and_number_only(
    images: list[LabelledImage], cache: int
) -> None:
    first = sampler(images, cache=cache)
    assert first.regions.is_whole == (cache > SMALL_CACHE)
    steps = {step: first.patches(step) for step in (0, 1, 400, 401)}
    fresh = sampler(images, cache=cache)
    for step in (401, 0):  # asked for in another order, by a process that begins there
        assert equal(fresh.patches(step), steps[step])
    for shares in ([range(6)], [range(3), range(3, 6)], [range(i, i + 1) for i in range(6)]):
        parts = [sampler(images, cache=cache) for _ in shares]
        apart = [one.patches(400, share.start, len(share)) for one, share in zip(parts, shares)]
        assert equal(joined(*apart), steps[400])
    assert not equal(steps[0], steps[1])
    assert not equal(steps[0], sampler(images, cache=cache, seed=2).patches(0))


def test_shapes_and_constants(images: list[LabelledImage]) -> None:
    raw = sampler(images).patches(3, first=2, count=3)
    assert raw.planes.shape == (3, 4, 8, 8)
    assert raw.planes.dtype == raw.target.dtype == raw.weight.dtype == torch.uint8
    assert raw.target.shape == raw.weight.shape == (3, 2, 4, 8, 8)
    assert raw.mean.shape == raw.std.shape == (3,)
    assert (raw.step, raw.first) == (3, 2)
    known = {round(image.normalisation.mean, 3) for image in images}
    assert {round(float(mean), 3) for mean in raw.mean} <= known


def test_a_patch_of_a_region_is_cut_from_the_whole_volume(images: list[LabelledImage]) -> None:
    small = sampler(images)
    wholes = [image.read(image.box) for image in images]
    for step in range(0, 900, 90):
        for number in range(6):
            rng = np.random.default_rng([1, step, number])
            planes, target, weight, pair, axis = small._patch(step, number)
            kind, place = small._place(rng, step, number)
            region = small.regions.all[place]
            assert int(rng.choice(3, p=small.axes)) == axis
            centre = centre_of(pair, region.core, rng, kind)
            shape = tuple(4 if a == axis else 8 for a in range(3))
            whole, box = wholes[region.source], images[region.source].box
            index = window(centre, box, box, shape)
            assert np.array_equal(planes, np.moveaxis(whole.image[index], axis, 0))
            for number_of, (one, other) in enumerate(zip(target, weight, strict=True)):
                assert np.array_equal(one, np.moveaxis(whole.targets[number_of][index], axis, 0))
                assert np.array_equal(other, np.moveaxis(whole.weights[number_of][index], axis, 0))


def test_memory_is_bounded_and_what_is_read_is_used_often(images: list[LabelledImage]) -> None:
    small, read = sampler(images), []
    regions = small.regions
    for step in range(60):
        small.patches(step)
        held = [held.result() for held in small._cache._held.values()]
        read.append(sum(pair.nbytes - _lists(pair) for pair in held))
        assert len(held) <= HELD
    assert max(read) <= SMALL_CACHE
    places = {small._place(np.random.default_rng(0), s, n)[1] for s in range(60) for n in range(6)}
    assert len(places) < SLOTS * 2 < len(regions.all)


def _lists(pair: Any) -> int:
    return sum(one.nbytes for one in (*pair.edges, pair.counted) if one is not None)


def test_half_of_the_patches_lie_on_surfaces_and_weights_count(
    images: list[LabelledImage],
) -> None:
    everything = sampler(images, cache=10**8)
    drawn = [everything._drawn(np.random.default_rng([5, n])) for n in range(2000)]
    kinds = [kind for kind, _ in drawn]
    assert 900 < kinds.count(ANYWHERE) < 1100
    assert abs(kinds.count(0) - kinds.count(1)) < 150
    assert 1400 < sum(place for _, place in drawn) < 1600  # the second image weighs 3 times as much


def test_regions_are_drawn_as_numpy_draws_them() -> None:
    """Trainings go on with the same patches, whatever the number of regions costs."""
    shares = np.random.default_rng(7).random(1000) ** 8
    shares /= shares.sum()
    sums = cumulative(shares)
    for seed in range(300):
        drawn = sums.searchsorted(np.random.default_rng(seed).random(), side="right")
        assert drawn == np.random.default_rng(seed).choice(1000, p=shares)


@pytest.mark.parametrize("cache", [SMALL_CACHE, 10**8])
def test_centres_are_voxels_that_count(images: list[LabelledImage], cache: int) -> None:
    some = sampler(images, cache=cache)
    for step in range(0, 600, 20):
        rng = np.random.default_rng([1, step, 0])
        kind, place = some._place(rng, step, 0)
        region, pair = some.regions.all[place], some._cache.get(place)
        centre = centre_of(pair, region.core, rng, kind)
        inside = Box(centre, tuple(c + 1 for c in centre)).within(pair.box.start).slices
        assert max(weight[inside].item() for weight in pair.weights) > 0


def test_axes_are_as_often_as_they_are_asked_for(images: list[LabelledImage]) -> None:
    some = sampler(images, cache=10**8)
    axes = [axis for step in range(60) for axis in some.patches(step).axes]
    assert 140 < axes.count(0) < 220
    assert 60 < axes.count(1) < 120
    alone = sampler(images, cache=10**8, axes=(0.0, 1.0, 0.0))
    assert set(alone.patches(0).axes) == {1}


def test_processes_that_share_a_step_share_the_regions(images: list[LabelledImage]) -> None:
    for batch in (1, 6, 8, 16, 64):
        slots = [slots_of(number, batch) for number in range(batch)]
        assert {slot for one in slots for slot in one} == set(range(SLOTS))
        if batch <= SLOTS:
            assert sum(map(len, slots)) == SLOTS


def test_an_error_while_reading_comes_to_whoever_waits(
    images: list[LabelledImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = sampler(images)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(LabelledImage, "read", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        small.patches(0)
    monkeypatch.undo()
    assert equal(small.patches(0), sampler(images).patches(0))
