"""Models whose planes are far apart: 50 nm from plane to plane, 4.6 nm in the plane, as in serial
sections of a fly's nerve cord."""

import re

import numpy as np
import pytest
import torch
from tests.stages.predict.whole import whole_at_once
from tests.two_classes import CLASSES, save_two_classes

from volproc.errors import ModelError
from volproc.grid.scale import parse_voxel_nm, rescaled_shape
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, save_model
from volproc.stages.model_fit import why_too_coarse
from volproc.volume.file_io import sibling
from volproc.volume.store import open_volume

SECTIONS = (50, 4.6, 4.6)


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """A tiny network at the voxels of serial sections, validated along z alone."""
    torch.manual_seed(2)
    spec = UNetSpec(slices_in=3, slices_out=1, widths=(6, 8), stem=2)
    network = UNet(spec).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 2)
    folder = tmp_path_factory.mktemp("model") / "flat"
    save_model(folder, network, card_for(spec, name="flat", voxel_nm=SECTIONS, axes="z"))
    return str(folder)


def made(volume):
    return volume.read(volume.info.box)


@pytest.mark.parametrize("voxel_nm", [SECTIONS, (45, 4, 4), (50, 9.2, 9.2), (25, 4.6, 4.6)])
def test_axes_are_those_of_the_card_and_no_tile_shows(save_volume, noise, predict, flat, voxel_nm):
    image = save_volume("image.zarr", noise[:9, :50, :45], voxel_nm=voxel_nm)
    plan, found = predict(image, model=flat, tile=None, votes=False, seam_check=4)
    assert plan.options.axes == "z"
    assert found.voxel_nm == pytest.approx(SECTIONS)
    wanted = rescaled_shape(image.shape, source_nm=voxel_nm, target_nm=SECTIONS)
    assert found.shape == wanted
    votes = whole_at_once(image, flat, mirrored=4, axes="z")[0]
    assert np.abs(made(found) - votes).max() < 0.51


@pytest.mark.parametrize("axes", ["zyx", "yx"])
def test_other_axes_are_looked_along_on_the_same_grid_with_a_line(
    save_volume, noise, predict, flat, axes
):
    image = save_volume("image.zarr", noise[:9, :50, :45], voxel_nm=(50, 5, 5))
    how = {"model": flat, "axes": axes, "tile": (4, 12, 20)}
    plan, found = predict(image, axes, image_grid=True, **how)
    others = " and ".join(axis for axis in axes if axis != "z")
    assert any(f"validated along z only, and is used along {others}" in n for n in plan.notes)
    wanted = whole_at_once(image, flat, mirrored=4, axes=axes)
    votes = made(open_volume(plan.votes.url))[::-1]
    assert np.abs(votes - wanted).max() < 0.51
    on_image = open_volume(sibling(plan.output.url, "-native.zarr"))
    assert on_image.shape == image.shape
    assert on_image.voxel_nm == image.voxel_nm
    apart = made(on_image).mean() - made(found).mean()
    assert abs(apart) < 2  # the same probability, interpolated


def test_the_cards_axes_bring_no_line(save_volume, noise, predict, flat, tiny_model):
    image = save_volume("image.zarr", noise[:9, :50, :45], voxel_nm=SECTIONS)
    assert not predict(image, model=flat, plan_only=True, axes="z").notes
    assert not predict(image, model=flat, plan_only=True).notes


def test_the_fusion_is_the_cards_unless_one_is_stated(small, predict, tmp_path):
    folder = save_two_classes(tmp_path / "model", fusion="max", axes="zy")
    plan = predict(small, model=str(folder), plan_only=True)
    assert (plan.options.fusion, plan.options.axes) == ("max", "zy")
    assert plan.votes.channels == tuple(f"{name} {axis}" for name in CLASSES for axis in "yz")
    stated = predict(small, model=str(folder), plan_only=True, fusion="mean", axes="zyx")
    assert (stated.options.fusion, stated.options.axes) == ("mean", "zyx")


@pytest.mark.parametrize(
    ("voxel_nm", "axes", "fitting"),
    [
        ((50, 10, 10), "y and x", "[50.0, 10.0, 10.0]"),
        ((110, 4, 4), "z", "[110.0, 4.6, 4.6]"),
        ((110, 40, 4), "z and y", "[110.0, 40.0, 4.6]"),
    ],
)
def test_an_image_too_coarse_along_an_axis_is_refused(
    save_volume, noise, predict, flat, voxel_nm, axes, fitting
):
    image = save_volume("image.zarr", noise[:9, :50, :45], voxel_nm=voxel_nm)
    said = f"2 times coarser along {axes}: check that voxel size, or take a model of {fitting} nm"
    with pytest.raises(ModelError, match=re.escape(said)):
        predict(image, model=flat, plan_only=True)
    assert why_too_coarse(image.info, parse_voxel_nm(SECTIONS))


def test_twice_as_coarse_is_not_too_coarse(save_volume, noise):
    image = save_volume("image.zarr", noise[:9, :50, :45], voxel_nm=(100, 9.2, 9.2))
    assert why_too_coarse(image.info, parse_voxel_nm(SECTIONS)) == ""
