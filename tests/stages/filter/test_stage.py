from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from volproc.engine.run import Runner
from volproc.errors import ConfigError, GridError, OutputError, VolumeError
from volproc.stages.filter.options import FilterOptions
from volproc.stages.filter.stage import plan_filter, run_filter

VOXEL_NM = (50, 20, 20)
STEPS = ("median 60", "destripe 120 length=400", "unsharp 25 amount=0.7")


@pytest.fixture
def image(save_volume, noise):
    return save_volume("image.zarr", noise, voxel_nm=VOXEL_NM, corner_nm=(100, 0, 40))


def filtered(image, runner, name="out", **options):
    folder = Path(image.info.url).parent
    options = FilterOptions(**{"steps": STEPS, **options})
    plan = plan_filter(image.info, str(folder / f"{name}.zarr"), options)
    return run_filter(plan, Runner(runner.engine, folder / f"{name}-ledger"))


def voxels(volume, level=0):
    return volume.read(volume.info.levels[level].box, level)


def test_blocks_never_change_the_result(image, any_runner):
    """Bit by bit, also in blocks that are smaller than the halo."""
    whole = voxels(filtered(image, any_runner))
    for n, block in enumerate([(16, 16, 32), (40, 8, 90)]):
        assert np.array_equal(voxels(filtered(image, any_runner, f"b{n}", block=block)), whole)


def test_a_median_is_that_of_the_whole_array(image, noise, runner):
    found = filtered(image, runner, steps=("median 60",), block=(16, 32, 32))
    assert np.array_equal(voxels(found), ndimage.median_filter(noise, (1, 3, 3), mode="mirror"))


def test_the_grid_the_type_and_the_window_are_the_images(image, runner):
    info = filtered(image, runner).info
    for name in ("shape", "voxel_nm", "dtype", "window", "kind"):
        assert getattr(info, name) == getattr(image.info, name)
    assert info.corner_nm == pytest.approx(image.info.corner_nm)
    assert info.provenance["finished"]


def test_it_has_a_pyramid(save_volume, runner, noise):
    image = save_volume("long.zarr", np.tile(noise[:4], (1, 1, 4)), voxel_nm=VOXEL_NM)
    made = filtered(image, runner, steps=("gaussian 20",))
    assert len(made.info.levels) == 2
    assert voxels(made, 1).std() > 5


@pytest.mark.parametrize("box", ["10:30,20:60,33:90", "16x20x24", "0:1um,0:1um,0:1um"])
def test_a_part_is_the_part_of_the_whole(image, runner, box):
    """What lies around it is looked at, and it lies where it was."""
    whole = filtered(image, runner)
    part = filtered(image, runner, "part", box=box, block=(16, 16, 16))
    start = [
        round((a - b) / nm) for a, b, nm in zip(part.info.corner_nm, whole.info.corner_nm, VOXEL_NM)
    ]
    there = tuple(slice(a, a + n) for a, n in zip(start, part.info.shape))
    assert part.info.shape != whole.info.shape
    assert np.array_equal(voxels(part), voxels(whole)[there])


def test_a_thin_volume_is_mirrored_as_often_as_it_takes(save_volume, noise, runner):
    image = save_volume("thin.zarr", noise[:2], voxel_nm=VOXEL_NM)
    found = filtered(image, runner, steps=("gaussian 150",))
    sigma = [150 / nm for nm in VOXEL_NM]
    wanted = ndimage.gaussian_filter(noise[:2], sigma, mode="mirror", output="float32")
    assert np.array_equal(voxels(found), np.rint(wanted).astype("uint8"))


def test_a_plan_knows_what_it_costs(image):
    plan = plan_filter(image.info, "out.zarr", FilterOptions(steps=STEPS, block=(16, 32, 32)))
    step = plan.steps[0]
    assert step.bytes_written == image.info.box.size
    inside = (b.core.grow(step.task.halo).clip(image.info.box).size for b in step.blocks)
    assert step.bytes_read == sum(inside)
    assert step.peak_bytes > 16 * 32 * 32 * 16
    assert step.notes == (
        "filter: median 60, destripe 120 length=400 axis=y, unsharp 25 amount=0.7",
    )


def test_other_steps_are_another_result(image, runner):
    filtered(image, runner)
    assert voxels(filtered(image, runner)).any()  # the same: taken as it is
    with pytest.raises(OutputError, match=r"made otherwise \(steps: .*give the same options"):
        filtered(image, runner, steps=("median 60",))


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"steps": ()}, ConfigError, r"\[filter\] steps names no operation; such as"),
        ({"steps": ("median 30",)}, ConfigError, r"median 30 changes nothing: .* make it larger"),
        ({"steps": ("gaussian 1",)}, ConfigError, "gaussian 1 changes nothing"),
        ({"steps": ("destripe 30",)}, ConfigError, "width and length need three of them at least"),
        (
            {"steps": ("destripe 100 length=30",)},
            ConfigError,
            "width and length need three of them at least",
        ),
        (
            {"steps": ("median 2001",)},
            ConfigError,
            r"2001 nm is more than .*image.zarr is long, 2000 nm; make it smaller",
        ),
        (
            {"steps": ("destripe 300 length=1mm",)},
            ConfigError,
            "1e[+]06 nm is more than .* is long",
        ),
        ({"box": "0:41,:,:"}, GridError, "along z it names voxels 0:41, and the volume has 40"),
    ],
)
def test_what_does_not_suit_the_image_is_refused(image, options, error, what):
    with pytest.raises(error, match=what):
        plan_filter(image.info, "out.zarr", FilterOptions(**{"steps": STEPS, **options}))


def test_labels_and_channels_are_refused(save_volume, noise):
    labels = save_volume("labels.zarr", noise, kind="labels", voxel_nm=VOXEL_NM)
    with pytest.raises(VolumeError, match="is a label volume; filter needs the image it belongs"):
        plan_filter(labels.info, "out.zarr", FilterOptions(steps=STEPS))


def test_voxels_that_are_no_numbers_are_refused(save_volume, noise, runner):
    values = noise.astype("float32")
    values[3, 4, 5] = np.nan
    image = save_volume("nan.zarr", values, voxel_nm=VOXEL_NM)
    with pytest.raises(Exception, match=r"nan\.zarr, voxels z .* holds NaN or infinite"):
        filtered(image, runner)
