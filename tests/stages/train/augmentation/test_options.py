"""Profiles: what is not given is the profile's."""

from __future__ import annotations

import pytest

from volproc.errors import ConfigError
from volproc.stages.train.augmentation.options import OFF, PROFILES, AugmentationOptions
from volproc.stages.train.options import TrainOptions


def test_em_is_the_default():
    assert AugmentationOptions() == AugmentationOptions(profile="em")
    assert TrainOptions().augmentation == AugmentationOptions()


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_given_counts_the_rest_is_the_profiles(profile):
    options = AugmentationOptions(profile=profile, noise=0.875)
    assert options.noise == 0.875
    kept = PROFILES[profile].items() - {"noise": PROFILES[profile].get("noise")}.items()
    assert kept <= options.model_dump().items()


def test_none_has_every_kind_off():
    options = AugmentationOptions(profile="none")
    assert not options.flips
    assert not any(getattr(options, kind) for kind in OFF)


def test_what_a_recipe_keeps_makes_the_same_options():
    options = AugmentationOptions(profile="cross-microscope", shot=0.5)
    assert AugmentationOptions(**options.model_dump()) == options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profile": "tem"}, "profile = \"tem\": input should be 'none', 'light', 'em'"),
        ({"missing": 1.5}, "missing = 1.5: input should be less than or equal to 1"),
        ({"gama": 1}, "unknown key gama; did you mean 'gamma'"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(ConfigError, match=message):
        AugmentationOptions(**given)
