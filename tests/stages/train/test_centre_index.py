"""The index of centres: of large labels it is counted in their pyramids, which changes little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.stages.train.sources import FILLED, MEMBRANE, NM, SHAPE, grey_and_bodies, made_image

from volproc import __version__
from volproc.errors import ConfigError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, whole_box
from volproc.stages.train import centre_index, pairs
from volproc.stages.train import voxels_per_core as counting
from volproc.stages.train.centre_index import (
    CentreIndex,
    counted_apart,
    index_of,
    require_learnable,
)
from volproc.stages.train.pairs import LabelledImage
from volproc.stages.train.regions import Regions, regions_of
from volproc.stages.train.training_sources import ClassLabels, Source
from volproc.stages.train.voxels_per_core import voxels_per_core
from volproc.volume import metadata
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume


def indexed(regions: Regions) -> CentreIndex:
    return index_of(regions, file="/nowhere/centres.json", key="")


def cut(image: LabelledImage) -> Regions:
    return regions_of([image], (8, 8, 8), cache_bytes=120_000)


def two_levels(path: Any, fine: np.ndarray, coarse: np.ndarray) -> Volume:
    """Labels with a pyramid, which need not be made of the finest level."""
    info = new_volume(
        str(path),
        shape=fine.shape,
        voxel_nm=NM,
        dtype="uint16",
        kind="labels",
        chunks=(8, 8, 8),
        max_levels=2,
    )
    volume = create_volume(info, step="test", digest="test", version=__version__)
    for level, values in enumerate((fine, coarse)):
        volume.write(whole_box(values.shape), values, level=level)
    volume.finish()
    return volume


def test_coarser_voxels_give_about_the_same_shares(
    save_volume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = cut(made_image(save_volume))
    fine = indexed(regions)
    monkeypatch.setattr(centre_index, "MOST_COUNTED", regions.images[0].box.size // 8 + 1)
    assert counted_apart(regions.images) == 2
    coarse = indexed(regions)
    for one, other in zip(fine.edges.T, coarse.edges.T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.5
        assert other.sum() < one.sum()
    assert len(coarse.counted) == len(regions.all) > 50
    assert (coarse.counted > 0).all()
    assert np.array_equal(indexed(regions).edges, coarse.edges)


def test_the_levels_of_labels_are_read(
    save_volume: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "MIN_LEVEL", 16)
    grey, labels = grey_and_bodies()
    image = save_volume("image.zarr", grey, voxel_nm=NM).info
    marks = two_levels(tmp_path / "labels.zarr", labels, labels[::2, ::2, ::2])
    known = ClassLabels(marks.info)
    read = LabelledImage(Source(image, (known, known)), NM, (MEMBRANE, FILLED))
    whole = regions_of([read], (8, 8, 8), cache_bytes=10**9)
    levels = []

    def reading(self: Volume, box: Box, level: int = 0, **how: Any) -> Any:
        if self.info.kind == "labels":
            levels.append(level)
        return original(self, box, level=level, **how)

    original = Volume.read
    monkeypatch.setattr(Volume, "read", reading)
    monkeypatch.setattr(centre_index, "MOST_COUNTED", read.box.size // 8 + 1)
    found = indexed(whole)
    assert {*levels} == {1}
    assert found.inside[0, 1] == np.count_nonzero(labels[::2, ::2, ::2])
    # what the pyramid has lost is found in finer levels
    lost = two_levels(tmp_path / "lost.zarr", labels, 0 * labels[::2, ::2, ::2])
    known = ClassLabels(lost.info)
    read = LabelledImage(Source(image, (known, known)), NM, (MEMBRANE, FILLED))
    found = indexed(regions_of([read], (8, 8, 8), cache_bytes=10**9))
    assert found.inside[0, 1] == np.count_nonzero(labels)


def test_a_class_that_is_nowhere_is_refused_all_the_same(
    save_volume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey, labels = grey_and_bodies()
    image = save_volume("image.zarr", grey, voxel_nm=NM).info
    marks = save_volume("labels.zarr", 0 * labels, voxel_nm=NM, kind="labels").info
    read = LabelledImage(Source(image, (ClassLabels(marks),)), NM, (FILLED,))
    regions = regions_of([read], (8, 8, 8), cache_bytes=10**9)
    monkeypatch.setattr(centre_index, "MOST_COUNTED", 1000)
    with pytest.raises(ConfigError, match=r"no voxel of .*labels\.zarr is nucleus"):
        require_learnable(indexed(regions), regions, ("nucleus",))


def test_of_every_core_a_voxel_is_counted(save_volume: Callable[..., Any]) -> None:
    image = made_image(save_volume)
    for core in ((1, 5, 7), (3, 3, 40)):
        counted = voxels_per_core(image, core, factor=4)[:, 0]
        assert len(counted) == len(Tiling(image.box.shape, core))
        assert (counted > 0).all()


def test_counts_are_those_of_each_core(
    save_volume: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many cores, and planes, are read together."""
    ignored = np.zeros(SHAPE, np.bool_)
    ignored[15:, 10:] = True
    image = made_image(save_volume, ignore=ignored)
    core = (4, 9, 11)
    tables = []
    for side, slab in ((512, 2**23), (20, 2**23), (512, 3 * 45 * 38)):
        monkeypatch.setattr(counting, "SIDE", side)
        monkeypatch.setattr(pairs, "SLAB_VOXELS", slab)
        tables.append(voxels_per_core(image, core))
        assert np.array_equal(tables[-1], tables[0])
    truths = image.truths(image.box)
    kinds = [np.maximum(truths[0].weight, truths[1].weight) > 0, *(one.edges for one in truths)]
    kinds += [(one.target > 0) & (one.weight > 0) for one in truths]
    for block, found in zip(Tiling(image.box.shape, core), tables[0], strict=True):
        assert found.tolist() == [np.count_nonzero(kind[block.core.slices]) for kind in kinds]
