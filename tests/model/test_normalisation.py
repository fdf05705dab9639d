"""Normalisation: constants from a sample, then every voxel on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from volproc.errors import VolumeError
from volproc.model.normalisation import (
    CLIP,
    Normalisation,
    constants_from,
    grey_quantiles,
    matched_constants,
)


def test_constants_are_mean_and_spread() -> None:
    sample = np.random.default_rng(0).normal(100, 10, (20, 30, 30)).astype(np.float32)
    found = constants_from(sample)
    assert found.mean == pytest.approx(100, abs=0.3)
    assert found.std == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(("dtype", "end"), [("uint8", 255), ("uint8", 0), ("uint16", 65535)])
def test_saturated_voxels_have_no_say(dtype: str, end: int) -> None:
    sample = np.random.default_rng(0).integers(100, 150, (10, 20, 20)).astype(dtype)
    before = constants_from(sample)
    sample = np.concatenate([sample, np.full_like(sample, end)])
    assert constants_from(sample) == before


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_constants_are_those_of_numpy(dtype: str) -> None:
    sample = np.random.default_rng(1).integers(20, 200, (5, 30, 30)).astype(dtype)
    found = constants_from(sample)
    assert found.mean == pytest.approx(sample.mean(dtype=float))
    assert found.std == pytest.approx(sample.std(dtype=float))


def test_a_volume_of_saturated_voxels_still_has_constants() -> None:
    assert constants_from(np.zeros((2, 2, 2), np.uint8)) == Normalisation(0.0, 1.0, flat=True)


def test_nan_is_left_out_and_nothing_but_nan_refused() -> None:
    sample = np.array([1.0, 3.0, np.nan, np.inf], np.float32)
    assert constants_from(sample) == Normalisation(2.0, 1.0)
    with pytest.raises(VolumeError, match="without a single finite voxel"):
        constants_from(np.full(3, np.nan, np.float32))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32])
def test_each_voxel_on_its_own(dtype: torch.dtype) -> None:
    values = torch.arange(100).reshape(4, 5, 5).to(dtype)
    before = values.clone()
    whole = Normalisation(50.0, 20.0).apply(values)
    assert torch.equal(values, before)
    assert whole.dtype == torch.float32
    assert torch.equal(whole[2, 3], Normalisation(50.0, 20.0).apply(values[2, 3]))
    torch.testing.assert_close(whole.flatten()[70], torch.tensor(1.0))


def test_values_are_clipped_and_nan_is_the_mean() -> None:
    values = torch.tensor([-1e9, 1e9, float("nan"), float("inf")])
    assert Normalisation(0.0, 1.0).apply(values).tolist() == [-CLIP, CLIP, 0.0, CLIP]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_bytes_are_looked_up_to_the_same_values(order: tuple[int, int, int]) -> None:
    constants = Normalisation(120.3, 31.7)
    voxels = torch.randint(0, 256, (9, 10, 11), dtype=torch.uint8)
    planes = voxels.permute(order)[None, 1:7]
    found = constants.apply(planes)
    assert torch.equal(found, constants.apply(planes.float()))
    assert found.is_contiguous(memory_format=torch.channels_last)


WRONG = {"uint8": (254, 1), "uint16": (60000,), "int16": (-32000, 32000), "float32": (1e6, -1e30)}


@pytest.mark.parametrize("count", [0, 1, 10, 1000])
@pytest.mark.parametrize("dtype", WRONG)
def test_outliers_have_no_say(dtype: str, count: int) -> None:
    """Hot pixels: BodenmillerGroup/ImcPluginsCP#34, camlab-bioml/rakaia#116."""
    rng = np.random.default_rng(0)
    sample = rng.normal(130, 25, (24, 64, 64)).clip(60, 200).astype(dtype)
    before = constants_from(sample)
    assert before.std == pytest.approx(sample.std(dtype=float))
    places = rng.choice(sample.size, count, replace=False)
    sample.reshape(-1)[places] = np.resize(WRONG[dtype], count)
    found = constants_from(sample)
    within = 0.15 if dtype == "uint8" else 0.002  # 254 is no further off than some voxels are
    assert abs(found.mean - before.mean) < within * before.std
    assert abs(found.std / before.std - 1) < within


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2])
def test_few_cells_in_much_resin_are_no_outliers(share: float) -> None:
    """MouseLand/cellpose#1041: nuclei that are less than 1% of an image."""
    sample = np.full(100_000, 180, np.uint8)
    sample[: int(share * sample.size)] = 90
    found = constants_from(sample)
    assert not found.flat
    assert found.std == pytest.approx(sample.std(dtype=float))


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        (np.zeros(9, np.uint8), True),
        (np.full(9, 7, np.uint16), True),
        (np.full(9, -3.5, np.float32), True),
        (np.array([7] * 5000 + [200], np.uint8), True),  # a dead pixel
        (np.array([0] * 50 + [7] * 50, np.uint8), True),  # padding, and one grey value
        (np.array([6, 7], np.uint8), False),
        (np.array([1.0, 1.0 + 1e-6], np.float32), False),
    ],
)
def test_flat_volumes_are_known(values: np.ndarray, flat: bool) -> None:
    """invesalius3#1152, sanderslab/magellanmapper#131: constant images, equal percentiles."""
    assert constants_from(values).flat is flat
    assert constants_from(values).std > 0


def samples(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """A volume, and the same with other contrast: a rising curve of its greys."""
    chance = np.random.default_rng(0)
    dark = chance.random((20, 40, 40)) < 0.3
    greys = np.where(dark, chance.normal(80, 8, dark.shape), chance.normal(150, 15, dark.shape))
    other = 20 + 200 * (greys.clip(0, 255) / 255) ** 4
    return greys.round().astype(dtype), other.round().astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_matched_greys_look_like_those_that_were_learnt(dtype: str) -> None:
    learnt, other = samples(dtype)
    quantiles = grey_quantiles(learnt)
    constants = matched_constants(other, quantiles)
    wanted = constants_from(learnt).apply(torch.from_numpy(learnt))
    found = constants.apply(torch.from_numpy(other))
    unmatched = constants_from(other).apply(torch.from_numpy(other))
    assert (found - wanted).abs().mean() < 0.06
    assert (unmatched - wanted).abs().mean() > 0.15


def test_a_volume_matched_to_itself_stays_as_it_is() -> None:
    learnt, _ = samples("float32")
    constants = matched_constants(learnt, grey_quantiles(learnt))
    plain = constants_from(learnt).apply(torch.from_numpy(learnt))
    torch.testing.assert_close(constants.apply(torch.from_numpy(learnt)), plain, rtol=0, atol=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_the_table_rises_is_clipped_and_the_same_for_any_block(dtype: str) -> None:
    learnt, other = samples(dtype)
    constants = matched_constants(other, grey_quantiles(learnt))
    greys = torch.arange(256).to(getattr(torch, dtype))
    table = constants.apply(greys)
    assert (table.diff() >= 0).all()
    assert table.abs().max() <= CLIP
    assert table.unique().numel() > 100
    planes = torch.from_numpy(other)[None]
    whole = constants.apply(planes)
    assert torch.equal(whole[..., 5:9, 3:17], constants.apply(planes[..., 5:9, 3:17]))
    assert torch.equal(whole.flatten()[:50], constants.apply(planes.flatten()[:50]))


def test_nan_is_the_mean_and_infinities_are_clipped_when_greys_are_matched() -> None:
    learnt, other = samples("float32")
    constants = matched_constants(other, grey_quantiles(learnt))
    found = constants.apply(torch.tensor([float("nan"), float("inf"), -float("inf"), other.mean()]))
    assert found.tolist() == [pytest.approx(float(found[3]), abs=1e-3), CLIP, -CLIP, found[3]]


def test_equal_greys_cannot_be_matched_and_stay_constants() -> None:
    flat = np.full((2, 3, 4), 7, np.uint8)
    assert matched_constants(flat, (-1.0, 0.0, 1.0)) == constants_from(flat)
