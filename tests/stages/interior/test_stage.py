import shutil

import numpy as np
import pytest
from scipy import ndimage

from volproc import InteriorOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, VolprocError, VolumeError
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.stage import plan_interior, run_interior
from volproc.stages.label import STAGE as LABEL
from volproc.volume.store import Volume

VOXEL_NM = (50, 40, 40)
SHAPE = (56, 100, 88)
NUCLEI = ((28, 27, 27), (0, 60, 64), (30, 72, 27))
"""The second is cut by the border, the third has a hole in its envelope."""


def radius_nm(centre):
    z, y, x = np.ogrid[tuple(map(slice, SHAPE))]
    parts = ((a - c) * size for a, c, size in zip((z, y, x), centre, VOXEL_NM))
    return np.sqrt(sum(part**2 for part in parts))


@pytest.fixture(scope="module")
def truth():
    """Three balls of 700 nm, numbered by their first voxels."""
    found = np.zeros(SHAPE, np.uint8)
    for number, centre in zip((2, 1, 3), NUCLEI):
        found[radius_nm(centre) <= 700] = number
    return found


@pytest.fixture(scope="module")
def envelope(truth):
    """Their shells; bits of envelope far away; a shell with a quarter missing, as in division."""
    found = np.zeros(SHAPE, np.uint8)
    for centre in NUCLEI:
        distance = radius_nm(centre)
        found[(distance <= 700) & (distance > 600)] = 255
    z, y, x = np.ogrid[tuple(map(slice, SHAPE))]
    hole = (abs(y - 72) < 4) & (abs(z - 30) < 4) & (x > 30)
    found[np.broadcast_to(hole, SHAPE) & (radius_nm(NUCLEI[2]) <= 700)] = 0
    broken = radius_nm((38, 36, 66))
    found[(broken <= 500) & (broken > 400) & (x > 64)] = 255
    return found


def interior(mask, url, folder, *, runner=None, **options):
    plan = plan_interior(
        mask.info,
        str(url),
        InteriorOptions(**{"min_volume_um3": 0.1, **options}),
        labelling=Labelling(LABEL),
    )
    return run_interior(plan, runner or Runner(SerialEngine(), folder, overwrite=True))


def voxels(volume):
    return volume.read(volume.info.box)


def overlap(found, truth, number):
    return ((found == number) & (truth == number)).sum() / (
        (found == number) | (truth == number)
    ).sum()


WAYS = [{}, {"axes": ""}, {"axes": "zyx", "volume": False}]
"""The volume or slices across z; the volume only; two of three axes."""


@pytest.mark.parametrize("options", WAYS)
def test_whole_cut_and_leaking_nuclei_with_their_envelopes_and_nothing_else(
    tmp_path, save_volume, envelope, truth, options
):
    made = interior(
        save_volume("envelope.zarr", envelope), tmp_path / "n.zarr", tmp_path, **options
    )
    found = voxels(made)
    assert made.info.kind == "labels"
    assert found.max() == 3
    for number in (1, 2, 3):
        assert overlap(found, truth, number) > 0.97
    assert (found[(truth > 0) & (envelope > 0)] > 0).all()  # each keeps its envelope


@pytest.mark.dask
def test_workers_write_the_same(tmp_path, save_volume, envelope, dask_runner):
    mask = save_volume("envelope.zarr", envelope)
    here = interior(mask, tmp_path / "here.zarr", tmp_path)
    there = interior(mask, tmp_path / "there.zarr", tmp_path, runner=dask_runner, block=(32,) * 3)
    np.testing.assert_array_equal(voxels(here), voxels(there))


@pytest.mark.parametrize("gap_nm", [0.0, 400.0])
def test_outlines_drawn_slice_by_slice_are_filled_in_slices(tmp_path, save_volume, gap_nm):
    """A leaning stack of rings, open at both ends and between slices."""
    z, y, x = np.ogrid[:20, :60, :90]
    distance = np.sqrt((y - 30) ** 2 + (x - 20 - 2.5 * z) ** 2)
    drawn = (z >= 5) & (z < 15)
    rings = save_volume("rings.zarr", np.uint8(255) * ((distance < 14) & (distance >= 12) & drawn))
    found = voxels(interior(rings, tmp_path / "n.zarr", tmp_path, gap_nm=gap_nm))
    np.testing.assert_array_equal(found, (distance < 14) & drawn)
    whole = voxels(interior(rings, tmp_path / "w.zarr", tmp_path, axes="", gap_nm=gap_nm))
    assert not whole.any()


def test_any_voter_that_is_enough_finds_what_the_others_lose(tmp_path, save_volume, envelope):
    """Votes are ordered: what two of two say, either says; by default one of two is enough."""
    mask = save_volume("envelope.zarr", envelope)
    either, both, by_default = (
        voxels(interior(mask, tmp_path / f"{votes}.zarr", tmp_path / str(votes), votes=votes)) > 0
        for votes in (1, 2, None)
    )
    assert (both <= either).all()
    assert both.sum() < either.sum()
    np.testing.assert_array_equal(either, by_default)


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("block", [(16, 16, 16), (56, 24, 40)])
def test_blocks_never_show(tmp_path, save_volume, options, block):
    noise = np.random.default_rng(5).standard_normal((40, 48, 50))
    field = ndimage.gaussian_filter(noise, 3)
    shells = save_volume("shells.zarr", np.where(abs(field) < 0.006, 255, 0).astype(np.uint8))
    options = {"gap_nm": 200.0, "reach_nm": 400.0, "min_volume_um3": 0.0, **options}
    whole = voxels(interior(shells, tmp_path / "whole.zarr", tmp_path / "1", **options))
    parts = voxels(
        interior(shells, tmp_path / "parts.zarr", tmp_path / "2", block=block, **options)
    )
    assert whole.max() > 2
    np.testing.assert_array_equal(whole, parts)


def test_done_again_nothing_is_read_and_without_its_parts_it_is_made_again(
    tmp_path, save_volume, envelope
):
    mask = save_volume("envelope.zarr", envelope)
    first = voxels(interior(mask, tmp_path / "n.zarr", tmp_path / "ledger"))
    shutil.rmtree(tmp_path / "n.parts")
    interior(mask, tmp_path / "n.zarr", tmp_path / "ledger")
    assert not (tmp_path / "n.parts").exists()
    again = voxels(interior(mask, tmp_path / "n.zarr", tmp_path / "ledger", envelope_nm=251.0))
    np.testing.assert_array_equal(first, again)


def test_the_plan_lists_every_step_before_there_is_a_voxel(save_volume, envelope):
    info = save_volume("envelope.zarr", envelope).info
    plan = plan_interior(info, "n.zarr", InteriorOptions(), labelling=Labelling(LABEL))
    names = [step.name for step in plan.steps]
    own = ("regions", "faces", "regions-z", "faces-z", "inside", "nuclei")
    assert [name for name in names if name in own] == list(own)
    assert names.count("label") == 3
    # of a single group nothing goes on to be united
    assert all((step.peak_bytes > 0) == (step.name != "unite") for step in plan.steps)


STEPS = [  # bytes held per voxel besides the voxel itself, and bytes of what is written
    ("regions", 10, 1),
    ("faces", 16, 0),
    ("inside", 20 + 5, 1),
    ("nuclei", 30, 4),
]


@pytest.mark.parametrize(("name", "held", "written"), STEPS)
def test_what_a_step_reads_holds_and_writes(save_volume, name, held, written):
    """One block of all voxels; what is written is held four times."""
    info = save_volume("envelope.zarr", np.zeros((20, 30, 40), np.uint8)).info
    options = InteriorOptions(axes="")
    plan = plan_interior(info, "n.zarr", options, labelling=Labelling(LABEL))
    (step,) = (step for step in plan.steps if step.name == name)
    assert len(step.blocks) == 1
    assert step.peak_bytes == 24000 * (1 + held + 4 * written)
    assert (step.bytes_read, step.bytes_written) == (24000, 24000 * written)


@pytest.mark.parametrize("value", [0, 255])
def test_no_envelope_and_nothing_but_envelope_give_no_nuclei(tmp_path, save_volume, value):
    mask = save_volume("mask.zarr", np.full((20, 20, 20), value, np.uint8))
    assert not voxels(interior(mask, tmp_path / "n.zarr", tmp_path)).any()


def test_not_a_number_is_refused(tmp_path, save_volume):
    values = np.zeros((20, 20, 20), np.float32)
    values[3, 4, 5] = np.nan
    mask = save_volume("mask.zarr", values)
    with pytest.raises(VolprocError, match="not a number"):
        interior(mask, tmp_path / "n.zarr", tmp_path)


def test_channels_are_refused(save_volume):
    info = save_volume("mask.zarr", np.zeros((8, 8, 8), np.uint8)).info
    from dataclasses import replace

    votes = replace(info, channels=("x", "y"))
    with pytest.raises(VolumeError, match=r"has channels \(x, y\)"):
        plan_interior(votes, "n.zarr", InteriorOptions(), labelling=Labelling(LABEL))


def test_more_votes_than_voters_are_refused():
    with pytest.raises(ConfigError, match="no voxel gets so many"):
        InteriorOptions(axes="z", votes=3)


def test_nothing_to_fill_is_refused():
    with pytest.raises(ConfigError, match="name axes"):
        InteriorOptions(axes="", volume=False)


@pytest.mark.parametrize(("reach_nm", "expected"), [(0, 600), (599, 600), (1000, 1000)])
def test_the_inside_grows_back_over_the_gap_at_least(envelope, save_volume, reach_nm, expected):
    """Cores begin half a gap from the envelope: less would leave a rim that is in no nucleus."""
    mask = save_volume("m.zarr", envelope, voxel_nm=VOXEL_NM).info
    options = InteriorOptions(reach_nm=reach_nm, gap_nm=600, axes="")
    plan = plan_interior(mask, "out.zarr", options, labelling=Labelling(LABEL))
    step = plan.inside_step((), Volume(mask))
    assert step.task.reach_nm == expected


@pytest.mark.parametrize("value", [1, 3])
def test_an_envelope_of_0_and_1_is_told(tmp_path, save_volume, value):
    values = np.zeros((20, 30, 30), np.uint8)
    values[4:16, 5:25, 5:25] = value
    mask = save_volume("mask.zarr", values)
    with pytest.raises(VolumeError, match=rf"value is {value}: .*\[interior\] threshold = 0"):
        interior(mask, tmp_path / "n.zarr", tmp_path)


def test_a_gap_wider_than_the_volume_is_as_wide_as_the_volume(tmp_path, save_volume, envelope):
    found = interior(save_volume("mask.zarr", envelope), tmp_path / "n.zarr", tmp_path, gap_nm=1e12)
    assert not voxels(found).any()


@pytest.mark.parametrize(
    ("value", "why"), [(0, "encloses anything; envelopes with holes need"), (255, "no nuclei: ")]
)
def test_no_nuclei_are_explained(save_volume, tmp_path, value, why):
    envelope = save_volume("e.zarr", np.full((16, 32, 32), value, np.uint8), voxel_nm=VOXEL_NM)
    url = str(tmp_path / "nuclei.zarr")
    plan = plan_interior(envelope.info, url, InteriorOptions(), labelling=Labelling(LABEL))
    made = run_interior(plan, Runner(SerialEngine(), tmp_path / "run"))
    assert why in made.info.provenance["nothing_found"]
    assert made.info.provenance["objects"] == 0
