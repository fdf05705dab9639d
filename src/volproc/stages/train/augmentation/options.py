"""[train.augmentation]: how patches are changed before the network learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from volproc.config.options import Fraction, Options

LARGEST_LOG = 2.0
"""Of a factor: more than 7 times as much is no image of the same thing."""

Log = Annotated[float, Field(ge=0, le=LARGEST_LOG)]
Grey = Annotated[float, Field(ge=0, le=5)]
"""Grey values that are 1 standard deviation of the volume."""

OFF: Mapping[str, float] = {
    **{"brightness": 0, "contrast": 0, "gamma": 0},
    **{"section_brightness": 0, "section_contrast": 0},
    **{"missing": 0, "repeated": 0, "shifted": 0, "charging": 0},
    **{"warp": 0, "blur": 0, "noise": 0, "curves": 0},
}
"""Every kind of change switched off, mirroring aside."""
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "none": {**OFF, "flips": False},
    "light": {**OFF, "brightness": 0.1, "contrast": 0.1, "gamma": 0.1},
    "em": {},
    "cross-microscope": {
        **{"brightness": 0.4, "contrast": 0.35, "gamma": 0.4},
        **{"scale": 0.25, "blur": 0.6, "blur_voxels": 1.2},
        **{"noise": 0.7, "gauss": 0.35, "shot": 0.25},
    },
}
"""Of each profile what differs from `em`, whose values are the defaults below."""


class AugmentationOptions(Options):
    """How patches are changed: a profile, and what is to differ from it."""

    profile: Literal["none", "light", "em", "cross-microscope"] = "em"
    """What every option below starts from. em: the defaults shown here. light: mirroring, a little
    brightness, contrast and gamma. cross-microscope: em with grey values, scale, blur and noise
    that differ more. none: patches are normalised, nothing else."""
    flips: bool = True
    """Mirror patches along every axis, and turn them by quarters where their pixels are square."""
    brightness: Grey = 0.25
    """Spread of what is added to a patch, in standard deviations of the volume's grey values."""
    contrast: Log = 0.2
    """Spread of the logarithm of the factor that a patch is multiplied by."""
    gamma: Log = 0.25
    """Spread of the logarithm of the exponent of a patch."""
    section_brightness: Grey = 0.12
    """The same as brightness for each section on its own (a section is a cut along z)."""
    section_contrast: Log = 0.08
    """The same as contrast for each section on its own."""
    missing: Fraction = 0.06
    """Probability that a section of a patch is blank: black, white or grey."""
    repeated: Fraction = 0.03
    """Probability that a section shows the one before it once more; its labels stay."""
    shifted: Fraction = 0.05
    """Probability that a section, or all from one on, lies shifted, together with its labels."""
    shift_voxels: Annotated[float, Field(ge=0, le=64)] = 3.0
    """Spread of that shift, in voxels of the plane that is seen."""
    charging: Fraction = 0.05
    """Probability that sections have bright stripes along x, with a dark edge."""
    charging_brightness: Grey = 1.0
    """Spread of their brightness, in standard deviations of the volume's grey values."""
    warp: Fraction = 0.4
    """Probability that a patch is scaled, rotated and bent."""
    scale: Log = 0.15
    """Largest logarithm of the factor by which a warped patch is scaled, each way on its own."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest angle by which a warped patch is rotated: in planes along z, of square pixels."""
    bend_voxels: Annotated[float, Field(ge=0, le=64)] = 4.0
    """Spread of the displacements by which a warped patch is bent, in voxels of the columns."""
    blur: Fraction = 0.4
    """Probability that a patch is blurred, or sharpened half as much."""
    blur_voxels: Annotated[float, Field(ge=0, le=4)] = 0.7
    """Largest standard deviation of that blur, in voxels of the columns."""
    noise: Fraction = 0.5
    """Probability that a patch gets noise."""
    gauss: Grey = 0.25
    """Largest standard deviation of noise that is the same everywhere, in standard deviations."""
    shot: Grey = 0.1
    """The same of noise whose variance grows with the grey value, at the volume's mean."""
    curves: Fraction = 0.0
    """Probability that saturated or smeared curves are drawn over a patch, as on some recovered
    images."""

    @model_validator(mode="before")
    @classmethod
    def _of_profile(cls, values: Any) -> Any:
        """What is not given is the profile's."""
        if not isinstance(values, dict):
            return values
        return {**PROFILES.get(str(values.get("profile", "em")), {}), **values}
