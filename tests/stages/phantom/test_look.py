"""Looks: HeLa's voxels are those of earlier releases; every option shows; seeds look different."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import numpy as np
import pytest
from scipy import ndimage

from volproc import PhantomOptions
from volproc.errors import ConfigError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.phantom.look import HELA, RANGES, Look, look_of, varied
from volproc.stages.phantom.render import render
from volproc.stages.phantom.scene_layout import make_scene
from volproc.stages.phantom.stage import plan_phantom

OTHER = {
    "nucleus_size": 0.7, "irregularity": 2.0, "folds": 0.0, "fold_width": 2.5, "cytoplasm": 0.5,
    "ragged": 0.5, "villi": 1.0, "lumps": 1.0, "bare_rim_nm": 1500.0, "organelles": 0.2,
    "debris": 6.0, "debris_size": 1.5, "nucleus_grey": 140.0, "cytoplasm_grey": 160.0,
    "resin_grey": 180.0, "mitochondria_grey": 110.0, "envelope_nm": 120.0, "membranes": 0.3,
    "reticulum": 2.0, "lamellae": 1.0, "heterochromatin": 30.0, "chromatin": 3.0, "nucleoli": 40.0,
    "grain": 3.0, "contrast": 0.5, "noise": 3.0, "blur_nm": 80.0, "slice_steps": 0.0,
    "charging": 3.0, "resin_tone": -4.0, "inverted": True,
}  # fmt: skip
"""For each option a value that is not HeLa's."""
OF_THE_TRUTH = {"nucleus_size", "irregularity", "folds", "fold_width"}


@cache
def made(**given):
    """15 x 24 x 24 um, image and truth, with the given parts of the look."""
    scene = make_scene(
        (15, 60, 60), parse_voxel_nm([400, 400, 400]), seed=6, look=HELA._replace(**given)
    )
    return render(scene, whole_box(scene.shape))


@pytest.mark.parametrize(
    ("shape", "voxel_nm", "seed", "digest"),
    [
        ((12, 130, 110), (50, 10, 10), 3, "8a81b8525aec0834"),
        ((40, 90, 100), (50, 50, 50), 3, "c9d02fbdc2787dad"),
        ((60, 120, 240), (100, 100, 100), 4, "a754d1d9e9650302"),
    ],
)
def test_hela_voxels_are_those_of_earlier_releases(shape, voxel_nm, seed, digest):
    image, truth = render(make_scene(shape, parse_voxel_nm(voxel_nm), seed=seed), whole_box(shape))
    assert sha256(image.tobytes() + truth.tobytes()).hexdigest()[:16] == digest


def test_a_hela_phantom_keeps_the_recipe_of_earlier_releases():
    """So an upgrade remakes nothing."""
    recipe = plan_phantom("made.zarr", PhantomOptions(shape=(8, 64, 64))).recipe
    assert set(recipe.options) == {"shape", "voxel_nm", "seed", "cell_density"}
    changed = plan_phantom("made.zarr", PhantomOptions(shape=(8, 64, 64), noise=2)).recipe
    assert changed.digest != recipe.digest
    assert changed.options["noise"] == 2


def test_each_number_of_a_look_is_an_option():
    assert set(Look._fields) | {"shape", "voxel_nm", "seed", "cell_density", "look"} == set(
        PhantomOptions.model_fields
    )
    assert set(RANGES) == set(Look._fields) - {"inverted"}
    assert set(OTHER) == set(Look._fields)
    for end in range(2):
        PhantomOptions(**{name: ends[end] for name, ends in RANGES.items()})


def test_hela_is_within_the_ranges_but_for_what_it_lacks():
    for name, (low, high) in RANGES.items():
        assert low <= getattr(HELA, name) <= high


@pytest.mark.parametrize("name", sorted(OTHER))
def test_every_option_shows(name):
    image, truth = made(**{name: OTHER[name]})
    plain_image, plain_truth = made()
    assert (image != plain_image).mean() > 1e-3
    assert (truth != plain_truth).any() == (name in OF_THE_TRUTH)


def test_varied_looks_differ_from_seed_to_seed_and_stay_within_the_ranges():
    looks = [varied(seed) for seed in range(8)]
    assert looks == [varied(seed) for seed in range(8)]
    for name, (low, high) in RANGES.items():
        drawn = [getattr(look, name) for look in looks]
        assert len(set(drawn)) == len(looks)
        assert low <= min(drawn) < max(drawn) <= high


def test_what_is_given_is_not_drawn():
    look = look_of("varied", seed=1, given={"noise": 0.0, "folds": None})
    assert look == varied(1)._replace(noise=0.0)
    assert look_of("hela", seed=1, given={"folds": None}) == HELA


def test_smaller_nuclei_are_smaller():
    small, plain = made(nucleus_size=0.7)[1], made()[1]
    assert 0.2 < (small > 0).sum() / (plain > 0).sum() < 0.6


def test_grey_levels_are_those_asked_for():
    image, truth = made(nucleus_grey=120.0, noise=0.0, nucleoli=0.0, chromatin=0.0, slice_steps=0.0)
    deep = ndimage.binary_erosion(truth > 0, iterations=3)
    assert image[deep].mean() == pytest.approx(120, abs=3)


def test_inverted_is_the_negative():
    quiet = {"noise": 0.0, "slice_steps": 0.0, "charging": 0.0}
    plain, negative = (made(inverted=i, **quiet)[0].astype(int) for i in (False, True))
    assert np.abs(plain + negative - 255).max() <= 1


def test_contrast_keeps_the_middle():
    quiet = {"noise": 0.0, "slice_steps": 0.0, "charging": 0.0}
    plain, weak = (made(contrast=c, **quiet)[0].astype(float) for c in (1.0, 0.5))
    assert np.abs((weak - 160) - 0.5 * (plain - 160)).max() <= 1


def test_lumps_fill_resin_but_hold_no_nucleus():
    lumpy, plain = made(lumps=1.0), made()
    assert (lumpy[0] < 178).mean() > (plain[0] < 178).mean() + 0.02
    np.testing.assert_array_equal(lumpy[1], plain[1])


def test_a_nucleus_of_a_varied_phantom_is_one_piece():
    for seed in range(3):
        scene = make_scene(
            (100, 130, 130), parse_voxel_nm([100, 100, 100]), seed=seed, look=varied(seed)
        )
        mask = render(scene, Box((0, 0, 0), scene.shape))[1]
        own = ndimage.label(mask == np.bincount(mask[mask > 0]).argmax(), np.ones((3, 3, 3)))[0]
        sizes = np.bincount(own.ravel())[1:]
        assert sizes.max() > 0.99 * sizes.sum()


def test_impossible_looks_are_refused():
    with pytest.raises(ConfigError, match="nucleus_size"):
        PhantomOptions(nucleus_size=3)
    with pytest.raises(ConfigError, match="look"):
        PhantomOptions(look="mouse")
