"""Regions: a patch around any voxel of a core lies in what was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.train.sources import made_image

from volproc.errors import ConfigError
from volproc.grid.blocks import Tiling, reflected
from volproc.grid.box import Box, whole_box
from volproc.stages.train.region_cache import HELD
from volproc.stages.train.regions import first_voxel, read_box, regions_of

PATCH = (8, 16, 16)


@given(size=st.integers(4, 60), length=st.integers(1, 40), core=st.integers(1, 20), data=st.data())
def test_a_patch_around_a_core_lies_in_what_is_read(
    size: int, length: int, core: int, data: st.DataObject
) -> None:
    block = data.draw(st.sampled_from([*Tiling((size, 1, 1), (core, 1, 1))])).core
    read = read_box(whole_box((size, 1, 1)), block, (length, 1, 1))
    for centre in range(block.start[0], block.stop[0]):
        start = first_voxel(centre, length, size)
        seen = reflected(start, start + length, size)
        assert read.start[0] <= seen.min()
        assert seen.max() < read.stop[0]


def test_what_fits_is_one_region_per_source(save_volume: Callable[..., Any]) -> None:
    images = [made_image(save_volume, name=name) for name in "ab"]
    regions = regions_of(images, PATCH, cache_bytes=10**7)
    assert regions.is_whole
    assert [region.read for region in regions.all] == [image.box for image in images]
    assert regions.most_bytes == sum(5 * image.box.size for image in images)


def test_what_does_not_is_cut_so_that_enough_regions_fit(save_volume: Callable[..., Any]) -> None:
    image = made_image(save_volume)
    patch, cache = (2, 8, 8), 100_000
    regions = regions_of([image], patch, cache_bytes=cache)
    assert not regions.is_whole
    assert len(regions.all) > HELD
    assert regions.most_bytes <= cache
    assert sum(region.core.size for region in regions.all) == image.box.size
    assert all(image.box.contains(region.read) for region in regions.all)


def test_a_source_in_a_box_stays_in_it(save_volume: Callable[..., Any]) -> None:
    image = made_image(save_volume, box=Box((3, 20, 20), (20, 60, 72)))
    regions = regions_of([image], (2, 4, 4), cache_bytes=20_000)
    assert not regions.is_whole
    assert all(image.box.contains(region.read) for region in regions.all)


def test_too_little_memory_is_refused(save_volume: Callable[..., Any]) -> None:
    image = made_image(save_volume)
    with pytest.raises(ConfigError, match=r"cache_gb = .* too little .* give at least 0\.00026"):
        regions_of([image], PATCH, cache_bytes=50_000)
