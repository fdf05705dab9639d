"""Patches: a pure function of seed and step, image and truth cut alike, within the volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from volproc.grid.scale import parse_voxel_nm
from volproc.model.normalisation import Normalisation
from volproc.model.unet import UNetSpec
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.losses import bce_dice, dice_counts
from volproc.stages.train.pairs import Pair, pair_of
from volproc.stages.train.patch_sampler import Sampler, centre_of, cut

SPEC = UNetSpec(4, 2, (2, 3))
CUBES = parse_voxel_nm((50, 50, 50))


@pytest.fixture
def ball() -> Pair:
    """A bright ball in 20 x 40 x 50 voxels."""
    z, y, x = np.ogrid[:20, :40, :50]
    truth = ((z - 10) ** 2 + (y - 20) ** 2 + (x - 25) ** 2) < 64
    image = (100 + 50 * truth + (z + y + x) % 7).astype(np.uint8)
    return pair_of(image, truth.astype(np.uint32) * 9, normalisation=Normalisation(110, 20))


def sampler(pair: Pair, *, seed: int = 1) -> Sampler:
    changes = AugmentationOptions(curves=0.35)
    return Sampler([pair, pair], (1.0, 3.0), SPEC, 16, 3, seed, CUBES, changes)


def test_a_batch_depends_on_seed_and_step_only(ball: Pair) -> None:
    first = sampler(ball)
    batches = [first(step) for step in (0, 1, 2)]
    for step in (2, 0):  # asked for in another order, by another sampler
        again = sampler(ball)(step)
        assert all(torch.equal(a, b) for a, b in zip(again, batches[step], strict=True))
    assert not torch.equal(batches[0][0], batches[1][0])
    assert not torch.equal(batches[0][0], sampler(ball, seed=2)(0)[0])


def test_shapes_and_ranges(ball: Pair) -> None:
    for step in range(5):
        planes, truth, weight = sampler(ball)(step)
        assert planes.shape == (3, 4, 16, 16)
        assert truth.shape == weight.shape == (3, 1, 2, 16, 16)
        assert set(truth.unique().tolist()) <= {0.0, 1.0}
        assert weight.unique().tolist() == [1.0]


def test_half_of_the_patches_lie_on_a_surface(ball: Pair) -> None:
    rng = np.random.default_rng(0)
    surface = {tuple(voxel) for voxel in ball.borders.tolist()}
    on = sum(centre_of(ball, rng) in surface for _ in range(400))
    assert 160 < on < 260


def test_borders_are_where_truth_changes(ball: Pair) -> None:
    distance = np.linalg.norm(ball.borders - np.array([10, 20, 25]), axis=1)
    assert len(ball.borders)
    assert ((distance > 6) & (distance < 10)).all()


def test_without_objects_patches_come_from_anywhere(ball: Pair) -> None:
    empty = pair_of(ball.image, np.zeros_like(ball.ground_truth), normalisation=ball.normalisation)
    assert not len(empty.borders)
    assert sampler(empty)(0)[1].sum() == 0


def test_image_and_truth_are_cut_alike(ball: Pair) -> None:
    for centre in [(10, 20, 25), (0, 0, 0), (19, 39, 49), (10, 0, 49)]:
        image, truth, weight = cut(ball, centre=centre, shape=(4, 16, 16))
        assert image.shape == truth.shape == (4, 16, 16)
        assert (weight == 255).all()
        assert np.array_equal(image >= 150, truth == 255)


def test_a_patch_larger_than_the_volume_is_mirrored(ball: Pair) -> None:
    image, _, _ = cut(ball, centre=(3, 20, 25), shape=(30, 40, 50))
    assert np.array_equal(image[5:25], ball.image)
    assert np.array_equal(image[4], ball.image[1])


def test_what_is_ignored_changes_no_batch(ball: Pair) -> None:
    """Labels and agreement there may be anything: planes, truth and weight stay as they are."""
    random = np.random.default_rng(5)
    ignored = np.zeros(ball.ground_truth.shape, dtype=np.bool_)
    ignored[:, :, 28:] = True
    ignored[12:] = True
    agreement = random.integers(0, 256, ball.ground_truth.shape, dtype=np.uint8)
    for used in ("labels", "weights", "nothing"):
        batches = []
        for junk in (0, 7):
            labels = np.where(
                ignored, random.integers(0, 1 + junk, ignored.shape), ball.ground_truth
            )
            people = np.where(ignored, 30 * junk, agreement).astype(np.uint8)
            pair = pair_of(
                ball.image,
                labels,
                normalisation=ball.normalisation,
                ignored=ignored,
                agreement=people,
                agreement_as=used,
            )
            batches.append([sampler(pair)(step) for step in range(6)])
        weights = torch.cat([weight for _, _, weight in batches[0]])
        assert 0.1 < (weights == 0).float().mean() < 0.9
        for one, other in zip(*batches, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_no_voxel_counts_into_which_an_ignored_one_was_blended(ball: Pair) -> None:
    ignored = np.zeros(ball.ground_truth.shape, dtype=np.bool_)
    ignored[:, :, 25:] = True
    pair = pair_of(
        ball.image,
        ball.ground_truth,
        normalisation=ball.normalisation,
        ignored=ignored,
        agreement=np.where(ignored, 0, 255).astype(np.uint8),
        agreement_as="labels",
    )
    for step in range(12):
        _, truth, weight = sampler(pair)(step)
        assert bool((truth[weight > 0] > 0.999).all())  # no trace of the 0 beside it


def test_patches_are_centred_on_what_counts(ball: Pair) -> None:
    ignored = np.ones(ball.ground_truth.shape, dtype=np.bool_)
    ignored[3] = False
    pair = pair_of(ball.image, ball.ground_truth, normalisation=ball.normalisation, ignored=ignored)
    rng = np.random.default_rng(0)
    assert {centre_of(pair, rng)[0] for _ in range(50)} == {3}


def test_the_loss_is_small_for_the_truth_only() -> None:
    truth = (torch.arange(64).reshape(1, 1, 8, 8) % 5 == 0).float()
    good, bad = 20 * (truth - 0.5), -20 * (truth - 0.5)
    assert bce_dice(good, truth) < 0.01
    assert bce_dice(bad, truth) > 5
    assert dice_counts(good, truth) == (26, 26)
    assert dice_counts(bad, truth) == (0, 64)
