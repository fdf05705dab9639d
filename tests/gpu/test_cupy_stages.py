"""filter, interior and evaluate with device = "cuda": on a real GPU, or a simulated one."""

import numpy as np
import pytest
from scipy import ndimage

import volproc
from volproc import (
    ClusterOptions,
    EvaluateOptions,
    FilterOptions,
    InteriorOptions,
)
from volproc.errors import OutputError
from volproc.stages import array_namespace
from volproc.stages.filter.stage import plan_filter
from volproc.volume.metadata_reader import read_info

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cupy")]

HERE = ClusterOptions(kind="serial")
DEVICES = ("cpu", "cuda")


@pytest.fixture
def on_gpu(monkeypatch):
    """Where each kernel ran, and its name."""
    seen = []

    def run(device, kernel, *values, **options):
        seen.append((device, kernel.__name__))
        return array_namespace.run_on(device, kernel, *values, **options)

    for module in ("filter.stage", "interior.tasks", "scores.nearest"):
        monkeypatch.setattr(f"volproc.stages.{module}.run_on", run)
    return seen


def voxels(volume):
    return volume.read(volume.info.box)


@pytest.mark.parametrize("steps", [("median 150",), ("gaussian 60", "unsharp 50")])
def test_filter(save_volume, noise, tmp_path, on_gpu, steps):
    image = save_volume("image.zarr", noise)
    found = [
        voxels(
            volproc.filter(
                image.info.url,
                str(tmp_path / f"{device}.zarr"),
                FilterOptions(steps=steps, block=(16, 32, 48), device=device),
                cluster=HERE,
            )
        )
        for device in DEVICES
    ]
    assert np.abs(found[0].astype(int) - found[1]).max() <= ("median" not in steps[0])
    assert (found[0] != found[1]).mean() < 1e-4
    assert ("cuda", "filtered") in on_gpu


@pytest.mark.parametrize(("steps", "same"), [(("median 150",), True), (("gaussian 60",), False)])
def test_only_a_filter_with_other_last_bits_has_another_recipe(
    save_volume, noise, tmp_path, steps, same
):
    image, out = save_volume("image.zarr", noise), str(tmp_path / "out.zarr")
    volproc.filter(image.info.url, out, FilterOptions(steps=steps), cluster=HERE)
    again = FilterOptions(steps=steps, device="cuda")
    if same:
        volproc.filter(image.info.url, out, again, cluster=HERE)
    else:
        with pytest.raises(OutputError, match="device: None -> 'cuda'"):
            volproc.filter(image.info.url, out, again, cluster=HERE)


def envelopes():
    """Two shells, one with a hole."""
    z, y, x = np.ogrid[:40, :48, :60]
    balls = [((z - 20) ** 2 + (y - 24) ** 2 + (x - at) ** 2) ** 0.5 for at in (16, 44)]
    shell = sum((r > 9) & (r < 12) for r in balls) > 0
    shell[20, 24, 25:29] = False
    return shell.astype(np.uint8) * 255


def test_interior(save_volume, tmp_path, on_gpu):
    envelope = save_volume("envelope.zarr", envelopes())
    options = {"axes": "zx", "min_volume_um3": 0.001, "gap_nm": 300, "block": (48, 48, 32)}
    found = [
        voxels(
            volproc.interior(
                envelope.info.url,
                str(tmp_path / f"{device}.zarr"),
                InteriorOptions(device=device, **options),
                cluster=HERE,
            )
        )
        for device in DEVICES
    ]
    np.testing.assert_array_equal(*found)
    assert set(np.unique(found[1])) == {0, 1, 2}
    assert {("cuda", name) for name in ("cores", "grown", "with_envelope")} <= {*on_gpu}


def test_evaluate(save_volume, tmp_path, on_gpu):
    truth = envelopes() > 0
    result = ndimage.shift(truth.astype(np.uint8), (1, 2, -1), order=0) > 0
    result[:, :4, :4] = True
    volumes = {
        name: save_volume(f"{name}.zarr", values.astype(np.uint8), kind="labels").info.url
        for name, values in (("truth", truth), ("result", result))
    }
    scores = [
        volproc.evaluate(
            volumes["result"],
            volumes["truth"],
            EvaluateOptions(device=device, most_distance_nm=400, surfaces="both"),
            cluster=HERE,
        )
        for device in DEVICES
    ]
    assert scores[0] == scores[1]
    assert ("cuda", "squares_at") in on_gpu


def test_a_plan_shows_the_steps_on_the_gpu(save_volume, noise, tmp_path):
    url = save_volume("image.zarr", noise).info.url
    for device in DEVICES:
        options = FilterOptions(steps=("median 150",), device=device)
        plan = plan_filter(read_info(url), str(tmp_path / "out.zarr"), options)
        assert plan.step.on_gpu == (device == "cuda")
