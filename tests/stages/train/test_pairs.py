"""Pairs: any box of a source, as it is in the whole; what agreement and absence make of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.stages.train.sources import FILLED, MEMBRANE, NM, SHAPE, made_image

from volproc.errors import VolumeError
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.train import bounded_reads, pairs
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.pairs import LabelledImage, Truth, truth_of
from volproc.stages.train.training_sources import ClassLabels, Source
from volproc.stages.train.voxels_per_core import voxels_per_core
from volproc.volume.resampling import read_resampled, resampling_to
from volproc.volume.store import Volume

LABELS = np.zeros((4, 6, 8), np.uint16)
LABELS[:, :, :4] = 3
SEEN = np.ones((4, 6, 8), dtype=np.bool_)
SEEN[:, :3, :] = False
AGREEMENT = np.broadcast_to(np.array([255, 230, 153, 128, 127, 102, 25, 0], np.uint8), SEEN.shape)


def truth(**more: Any) -> Truth:
    return truth_of(LABELS, FILLED, VoxelNm((50.0, 50.0, 50.0)), **more)


def test_labels_alone_all_count() -> None:
    plain = truth()
    assert (plain.weight == 255).all()
    assert (plain.target == 255 * (LABELS > 0)).all()


def test_where_people_tie_agreement_weighs_nothing() -> None:
    weight = truth(agreement=AGREEMENT, agreement_as="weights").weight
    assert weight[0, 0].tolist() == [255, 205, 51, 1, 1, 51, 205, 255]


def test_agreement_as_labels_is_kept_as_it_is() -> None:
    soft = truth(agreement=AGREEMENT, agreement_as="labels")
    assert (soft.target == AGREEMENT).all()
    assert (soft.weight == 255).all()


def test_no_surface_is_seen_where_nobody_looked() -> None:
    found = truth(seen=SEEN)
    assert {tuple(voxel) for voxel in np.argwhere(found.edges).tolist()} == {
        (z, y, 3) for z in range(4) for y in range(3, 6)
    }
    assert ((found.weight > 0) == SEEN).all()
    assert not found.target[~SEEN].any()


@pytest.mark.parametrize("made", [FILLED, MEMBRANE])
def test_what_is_ignored_has_no_effect(made: Any) -> None:
    """Labels and agreement there may be anything."""
    rng = np.random.default_rng(1)
    for used in ("labels", "weights", "nothing"):
        junk = np.where(SEEN, LABELS, rng.integers(0, 9, LABELS.shape))
        people = np.where(SEEN, AGREEMENT, rng.integers(0, 255, LABELS.shape)).astype(np.uint8)
        plain, changed = (
            truth_of(ids, made, NM, SEEN, said, used)
            for ids, said in ((LABELS, AGREEMENT), (junk, people))
        )
        for one, other in zip(vars(plain).values(), vars(changed).values(), strict=True):
            assert np.array_equal(one, other)


def test_any_box_is_that_of_the_whole_resampled_volume(
    save_volume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    image = made_image(save_volume, ignore=rng.random(SHAPE) < 0.01)
    resampler = resampling_to(image.source.image, NM)
    whole = image.read(image.box)
    grey = read_resampled(Volume(image.source.image), resampler, image.box).round().byte().numpy()
    assert np.array_equal(whole.image, grey)
    monkeypatch.setattr(pairs, "SLAB_VOXELS", 2000)
    for _ in range(12):
        start = tuple(int(rng.integers(0, n - 3)) for n in image.box.shape)
        stop = tuple(int(rng.integers(a + 1, n + 1)) for a, n in zip(start, image.box.shape))
        part = image.read(Box(start, stop))
        index = Box(start, stop).slices
        assert np.array_equal(part.image, whole.image[index])
        for name in ("targets", "weights"):
            for one, other in zip(getattr(part, name), getattr(whole, name), strict=True):
                assert np.array_equal(one, other[index])


def test_of_volumes_without_a_pyramid_parts_are_in_memory(
    save_volume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However coarse the grid, what is read together is bounded, and the result is the same."""
    rng = np.random.default_rng(3)
    image = made_image(save_volume, ignore=rng.random(SHAPE) < 0.01).coarser(4)
    whole, counted = image.read(image.box), voxels_per_core(image, (2, 3, 4))
    read: list[int] = []

    def counting(self: Volume, box: Box, level: int = 0, **how: Any) -> Any:
        values = original(self, box, level=level, **how)
        read.append(values.nbytes)
        return values

    original = Volume.read
    monkeypatch.setattr(Volume, "read", counting)
    image.read(image.box)
    assert max(read) > 100_000
    read.clear()
    monkeypatch.setattr(bounded_reads, "READ_BYTES", 4000)
    part = image.read(image.box)
    assert np.array_equal(voxels_per_core(image, (2, 3, 4)), counted)
    assert 1000 < max(read) <= 4000
    assert np.array_equal(part.image, whole.image)
    for name in ("targets", "weights", "edges"):
        for one, other in zip(getattr(part, name), getattr(whole, name), strict=True):
            assert np.array_equal(one, other)


def test_a_class_counts_where_it_is_labelled_only(save_volume: Callable[..., Any]) -> None:
    """The second class is labelled in a part, the third nowhere in this image."""
    image = made_image(save_volume)
    part = save_volume(
        "part.zarr",
        np.ones((8, 16, 16), np.uint8),
        kind="labels",
        voxel_nm=(16, 16, 16),
        corner_nm=(26, 75, 75),
    ).info
    first = image.source.classes[0]
    classes = (first, ClassLabels(part), None)
    source = Source(image.source.image, classes)
    pair = LabelledImage(source, NM, (FILLED, FILLED, FILLED)).read(image.box)
    bodies, marked, nothing = pair.weights
    assert (bodies == 255).all()
    assert marked.sum() == 255 * 8 * 16 * 16
    assert (pair.targets[1] == marked).all()
    assert not nothing.any()
    assert not pair.targets[2].any()
    assert not len(pair.edges[2])
    lists = sum(voxels.nbytes for voxels in pair.edges)
    # grey values, and of three classes two targets and one weight: what is one value takes no room
    assert 0 <= pair.nbytes - lists - 4 * image.box.size < 20


def test_centres_lie_in_the_core(save_volume: Callable[..., Any]) -> None:
    ignored = np.zeros(SHAPE, np.bool_)
    ignored[:, :30] = True
    image = made_image(save_volume, ignore=ignored)
    read, core = Box((2, 4, 6), (16, 34, 40)), Box((5, 10, 12), (9, 30, 31))
    pair = image.read(read, centres=core, most=100)
    assert pair.counted is not None
    for voxels in (*pair.edges, pair.counted):
        assert 50 < len(voxels) < 300
        places = voxels + np.asarray(read.start)
        assert (places >= core.start).all()
        assert (places < core.stop).all()
    assert all(pair.weights[0][tuple(voxel)] for voxel in pair.counted)


def test_a_box_of_the_image_is_on_the_models_grid(save_volume: Callable[..., Any]) -> None:
    whole = made_image(save_volume)
    ends = [Box((0, 0, 0), (10, 60, 72)), Box((10, 0, 0), (24, 60, 72))]
    boxes = [replace(whole, source=replace(whole.source, box=end)).box for end in ends]
    assert boxes[0].stop[0] == boxes[1].start[0]  # none twice, none left out
    assert boxes[1].stop == whole.box.stop


def test_grey_values_that_are_no_number_are_refused(save_volume: Callable[..., Any]) -> None:
    image = made_image(save_volume)
    grey = np.full(SHAPE, np.nan, np.float32)
    nan = save_volume("nan.zarr", grey, voxel_nm=(12, 10, 10)).info
    bad = replace(image, source=replace(image.source, image=nan))
    with pytest.raises(VolumeError, match=r"nan\.zarr, near voxels .* holds NaN"):
        bad.image(Box((0, 0, 0), (2, 2, 2)))


@pytest.mark.parametrize("how", ["labels", "values", "ignored", "shares"])
@pytest.mark.parametrize("nm", [(100, 100, 100), (100, 50, 50), (50, 100, 150), (75, 200, 300)])
def test_labels_are_in_phase_with_the_image(
    save_volume: Callable[..., Any], how: str, nm: tuple[float, float, float]
) -> None:
    """A body that is symmetrical in a volume of 50 nm is so at any voxel size, where the image is.

    Of two classes, what is ignored and what people say as well.
    """
    size = 36
    z, y, x = np.indices((size,) * 3) - (size - 1) / 2
    ball = (z / 9) ** 2 + (y / 11) ** 2 + (x / 13) ** 2 < 1
    image = save_volume("image.zarr", 200 * ball.astype(np.uint8)).info
    inner = (z**2 + y**2 + x**2 < 25).astype(np.uint16)
    labels = save_volume("labels.zarr", 2 * ball.astype(np.uint16) + inner, kind="labels").info
    mask = ball.astype(np.uint8)
    marks, people = (
        save_volume(f"{name}.zarr", values, kind=kind).info
        for name, values, kind in (("ignore", mask, "labels"), ("people", 255 * mask, "image"))
    )
    known = {
        "ignored": ClassLabels(labels, ignore=marks),
        "shares": ClassLabels(labels, agreement=people),
    }.get(how, ClassLabels(labels))
    core = TargetOptions(made_from="values", values=(3,))
    targets = (FILLED, core) if how == "values" else (FILLED,)
    source = Source(image, (known,) * len(targets))
    labelled = LabelledImage(
        source, VoxelNm(nm), targets, "labels" if how == "shares" else "nothing"
    )
    pair = labelled.read(labelled.box)
    grey = pair.image.astype(float)
    for target, weight in zip(pair.targets, pair.weights, strict=True):
        seen = 255 - weight if how == "ignored" else target
        assert seen.any()
        for axis in range(3):
            assert np.array_equal(grey, np.flip(grey, axis))
            assert np.array_equal(seen, np.flip(seen, axis)), axis
    if how == "shares":
        assert np.unique(pair.targets[0]).size > 2
