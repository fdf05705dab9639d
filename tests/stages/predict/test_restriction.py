"""A prediction in a box or a mask is that part of the whole prediction."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.engine.run import Runner
from volproc.errors import ConfigError, GridError, OutputError, VolumeError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.predict import seam_places
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.restriction import model_box
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.volume.metadata import new_volume
from volproc.volume.resampling import resampling_to
from volproc.volume.store import open_volume

BOXES = ["4:15,7:31,10:40", ":,:,20:45", "12", "0:0.5um,300:1300nm,0:1um"]


@pytest.fixture
def image(save_volume, noise):
    """20 x 36 x 45 voxels of 50 x 50 x 40 nm, which do not lie at the origin."""
    return save_volume(
        "image.zarr", noise[:20, :36, :45], voxel_nm=(50, 50, 40), corner_nm=(1000, 0, 500)
    )


def predicted(image, model, runner, name="out", **options):
    """The fused prediction, and the votes along z, y, x, with their plan."""
    folder = Path(image.info.url).parent
    plan = plan_predict(
        image.info,
        str(folder / f"{name}.zarr"),
        PredictOptions(model=str(model), **options),
        votes_url=str(folder / f"{name}-votes.zarr"),
    )
    volume = run_predict(plan, Runner(runner.engine, folder / f"{name}-ledger"))
    votes = open_volume(plan.votes.url)
    channels = votes.read(votes.info.box).reshape(-1, *volume.info.shape)
    return plan, volume.read(volume.info.box), channels[::-1]


def part_of(whole, plan):
    """The voxels of an array on the model's grid that a plan predicts."""
    return whole[(..., *plan.box.slices)]


@pytest.mark.parametrize("block", [None, (8, 12, 16)])
@pytest.mark.parametrize("box", BOXES)
def test_a_box_is_the_part_of_the_whole_prediction(image, tiny_model, runner, box, block):
    """Bit by bit on the CPU: what lies around the box is seen, and constants are the volume's."""
    how = {"tile": (12, 20, 16), "block": block}
    _, fused, votes = predicted(image, tiny_model, runner, **how)
    plan, here, own = predicted(image, tiny_model, runner, "part", box=box, **how)
    assert here.shape != fused.shape
    assert np.array_equal(own, part_of(votes, plan))
    assert np.array_equal(here, part_of(fused, plan))


@pytest.mark.parametrize("box", BOXES)
def test_tiles_that_suit_the_box_round_otherwise_at_most(image, tiny_model, runner, box):
    _, _, votes = predicted(image, tiny_model, runner)
    plan, _, own = predicted(image, tiny_model, runner, "part", box=box)
    assert np.abs(own.astype(int) - part_of(votes, plan)).max() <= 1


@pytest.mark.dask
def test_workers_predict_the_same_part(image, tiny_model, runner, dask_runner):
    how = {"tile": (12, 20, 16), "box": BOXES[0]}
    _, wanted, _ = predicted(image, tiny_model, runner, **how)
    _, found, _ = predicted(image, tiny_model, dask_runner, "d", block=(8, 8, 8), **how)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("box", BOXES)
def test_the_part_lies_where_it_was(image, tiny_model, box):
    """It covers what was named, by less than a voxel of the model too much."""
    plan = plan_predict(image.info, "out.zarr", PredictOptions(model=str(tiny_model), box=box))
    named = {
        BOXES[0]: ((1200, 350, 900), (1750, 1550, 2100)),
        BOXES[1]: ((1000, 0, 1300), (2000, 1800, 2300)),
        BOXES[2]: ((1200, 600, 1140), (1800, 1200, 1620)),
        BOXES[3]: ((1000, 300, 500), (1500, 1300, 1500)),
    }[box]
    info = plan.output
    ends = [c + n * v for c, n, v in zip(info.corner_nm, info.shape, info.voxel_nm)]
    assert all(0 <= a - c < 50 for a, c in zip(named[0], info.corner_nm))
    assert all(0 <= e - b < 50 for b, e in zip(named[1], ends))


@given(
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    voxel_nm=st.tuples(*[st.sampled_from([8, 10, 12.5, 33.3, 50, 70])] * 3),
    data=st.data(),
)
def test_a_box_on_the_models_grid_covers_the_voxels_that_are_named(shape, voxel_nm, data):
    info = new_volume("i.zarr", shape=shape, voxel_nm=parse_voxel_nm(voxel_nm), dtype="uint8")
    way = resampling_to(info, parse_voxel_nm((50, 50, 50)))
    ends = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in shape]
    box = model_box(",".join(f"{a}:{b}" for a, b in ends), info, way)
    assert box.size
    assert whole_box(way.shape_out).contains(box)
    for (a, b), v, first, end, n in zip(ends, voxel_nm, box.start, box.stop, way.shape_out):
        assert first * 50 <= a * v + 1e-3 or first == n - 1
        assert end * 50 >= b * v - 1e-3 or end == n
        assert end - first <= (b - a) * v / 50 + 2


def test_tiles_suit_the_box(save_volume):
    """Tiles of the whole volume would be 5 times as large as the box."""
    image = new_volume(
        "i.zarr", shape=(400, 1600, 1600), voxel_nm=parse_voxel_nm((50, 50, 50)), dtype="uint8"
    )
    whole, part = (
        plan_predict(image, "o.zarr", PredictOptions(box=box)) for box in ("", "96x100x100")
    )
    assert max(part.layout.tile) <= 128
    voxels = part.output.box.size / whole.output.box.size
    assert part.steps[0].flop < 6 * voxels * whole.steps[0].flop
    assert part.steps[0].peak_bytes < whole.steps[0].peak_bytes / 10


def test_what_is_made_of_votes_is_of_the_box(image, tiny_model, runner, tmp_path):
    """Regions are voxels of the whole image."""
    how = {"agreement": True, "regions_um": (0.2, 0.4, 0.4), "tile": (12, 20, 16)}
    predicted(image, tiny_model, runner, box="4:16,8:32,10:40", **how)
    agreement = open_volume(tmp_path / "out-votes-agreement.zarr").info
    assert agreement.shape == (12, 24, 24)
    assert agreement.corner_nm == pytest.approx((1200, 400, 900))
    rows = list(csv.DictReader((tmp_path / "out-votes-regions.csv").read_text().splitlines()))
    assert {int(row["z"]) for row in rows} == {4, 8, 12}
    assert min(int(row["x"]) for row in rows) == 10
    assert max(int(row["x"]) + int(row["width"]) for row in rows) == 40


@pytest.mark.parametrize("votes", [True, False])
def test_a_certificate_looks_inside_the_box_and_the_mask(
    image, tiny_model, runner, tmp_path, monkeypatch, save_volume, votes
):
    monkeypatch.setattr(seam_places, "SIDE", 8)
    inside = np.zeros((20, 36, 45), np.uint8)
    inside[:, 10:20] = 1
    mask = save_volume("m.zarr", inside, voxel_nm=(50, 50, 40), corner_nm=(1000, 0, 500))
    options = PredictOptions(
        model=str(tiny_model),
        box="3:19,5:33,11:44",
        mask=mask.info.url,
        seam_check=8,
        block=(8, 8, 8),
    )
    url = str(tmp_path / "v.zarr") if votes else None
    plan = plan_predict(image.info, str(tmp_path / "o.zarr"), options, votes_url=url)
    run_predict(plan, runner)
    found = json.loads((tmp_path / "o-certificate.json").read_text())
    assert (found["passed"], found["places"], found["borders"]) == (True, 8, 4)
    places = plan.certified()
    assert all(plan.output.box.contains(place.core) and place.core.size for place in places)


def test_another_box_is_another_result(image, tiny_model, runner):
    predicted(image, tiny_model, runner, box=BOXES[0])
    with pytest.raises(OutputError, match=r"made otherwise .*box: "):
        predicted(image, tiny_model, runner, box=BOXES[1])


def test_the_whole_as_a_box_is_the_whole(image, tiny_model):
    plans = (
        plan_predict(image.info, "o.zarr", PredictOptions(model=str(tiny_model), box=box))
        for box in ("", ":,:,:", "0:20,0:36,0:45", "500")
    )
    assert len({plan.digest for plan in plans}) == 1


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ("0:21,:,:", r"along z it names voxels 0:21, and the volume has 20 \(1000 nm\)"),
        ("30:40,:,:", "along z it names voxels 30:40, and the volume has 20"),
    ],
)
def test_a_box_outside_the_image_is_refused(image, tiny_model, box, what):
    with pytest.raises(GridError, match=what):
        plan_predict(image.info, "o.zarr", PredictOptions(model=str(tiny_model), box=box))


def test_native_needs_the_whole(image, tiny_model):
    options = PredictOptions(model=str(tiny_model), box="12", image_grid=True)
    with pytest.raises(ConfigError, match=r"image_grid with box = '12': .* leave one of them out"):
        plan_predict(image.info, "o.zarr", options)


# masks


@pytest.fixture
def blob():
    """A ball on a grid of 90 x 60 x 100 nm that covers a part of the image, and more."""
    z, y, x = np.mgrid[:12, :24, :18]
    return (((z - 4) * 90) ** 2 + ((y - 12) * 60) ** 2 + ((x - 7) * 100) ** 2 < 420**2) * 1


def at_models_voxels(blob, corner):
    """Where the ball is on the model's grid, voxel by voxel."""
    places = [
        [int((c0 + (i + 0.5) * 50 - c) // v) for i in range(n)]
        for c0, c, v, n in zip((1000, 0, 500), corner, (90, 60, 100), (20, 36, 36))
    ]
    found = np.zeros((20, 36, 36), bool)
    for z, y, x in np.ndindex(found.shape):
        at = places[0][z], places[1][y], places[2][x]
        if all(0 <= i < n for i, n in zip(at, blob.shape)):
            found[z, y, x] = blob[at]
    return found


@pytest.mark.parametrize("kind", ["labels", "image"])
@pytest.mark.parametrize("fusion", ["mean", "union"])
def test_inside_a_mask_is_what_is_predicted_without(
    image, tiny_model, any_runner, save_volume, blob, fusion, kind
):
    """Outside is 0, whatever the threshold."""
    corner = (1100, 200, 700)
    mask = save_volume(
        "mask.zarr", (blob * 7).astype("uint8"), voxel_nm=(90, 60, 100), corner_nm=corner, kind=kind
    )
    how = {"tile": (12, 20, 16), "block": (8, 12, 12), "fusion": fusion, "threshold": 0.0}
    _, fused, votes = predicted(image, tiny_model, any_runner, **how)
    plan, found, own = predicted(image, tiny_model, any_runner, "masked", mask=mask.info.url, **how)
    inside = at_models_voxels(blob, corner)
    assert 100 < inside.sum() < inside.size / 4
    assert np.array_equal(own, votes * inside)
    assert np.array_equal(found, fused * inside)
    assert 0 < len(plan.inside) < len(plan.blocks)
    made = open_volume(plan.output.url).info.provenance
    assert made["blocks_outside_mask"] == len(plan.blocks) - len(plan.inside)


def test_a_mask_in_a_box(image, tiny_model, runner, save_volume, blob):
    corner = (1100, 200, 700)
    mask = save_volume(
        "mask.zarr", blob.astype("uint8"), voxel_nm=(90, 60, 100), corner_nm=corner, kind="labels"
    )
    how = {"tile": (12, 20, 16), "block": (8, 8, 8)}
    _, fused, _ = predicted(image, tiny_model, runner, **how)
    plan, found, _ = predicted(
        image, tiny_model, runner, "both", mask=mask.info.url, box=BOXES[0], **how
    )
    assert np.array_equal(found, part_of(fused * at_models_voxels(blob, corner), plan))


def test_a_plan_counts_the_blocks_that_remain(image, tiny_model, save_volume):
    inside = np.zeros((20, 36, 45), np.uint8)
    inside[2, 3, 4] = 1
    mask = save_volume("m.zarr", inside, voxel_nm=(50, 50, 40), corner_nm=(1000, 0, 500))
    how = {"model": str(tiny_model), "block": (8, 12, 12), "tile": (8, 12, 12)}
    whole = plan_predict(image.info, "o.zarr", PredictOptions(**how)).steps[0]
    plan = plan_predict(image.info, "o.zarr", PredictOptions(**how, mask=mask.info.url))
    step = plan.steps[0]
    assert plan.inside == {0}
    assert step.flop < whole.flop / 20
    assert step.bytes_read < whole.bytes_read / 5
    assert step.bytes_written == whole.bytes_written
    assert step.notes[-1].startswith("1 of 27 blocks have voxels inside")


def test_the_mask_is_an_input(image, tiny_model, runner, save_volume, blob):
    mask = save_volume(
        "m.zarr", np.ones((20, 36, 45), "u1"), voxel_nm=(50, 50, 40), corner_nm=(1000, 0, 500)
    )
    plan, _, _ = predicted(image, tiny_model, runner, mask=mask.info.url)
    assert mask.info.url in plan.claim.inputs
    with pytest.raises(OutputError, match=r"made otherwise .*its mask"):
        predicted(image, tiny_model, runner)


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.integers(0, 30)] * 3), st.tuples(*[st.integers(1, 20)] * 3))
def test_a_mask_is_read_alike_in_parts(start, size):
    from volproc.stages.predict.restriction import Mask
    from volproc.volume.sampling import Sampling

    class Held:
        info = new_volume(
            "m.zarr", shape=(40, 40, 40), voxel_nm=parse_voxel_nm((30, 50, 70)), dtype="uint8"
        )
        values = np.random.default_rng(0).integers(0, 2, (40, 40, 40), dtype=np.uint8)

        def read(self, box, level):
            return self.values[box.slices]

    mask = Mask(Held(), 0, Sampling((40, 40, 40), (5 / 3, 1, 5 / 7)), Box((0, 0, 0), (24, 40, 50)))
    whole = mask.read(whole_box((50, 50, 50)))
    part = Box(start, tuple(a + n for a, n in zip(start, size)))
    assert np.array_equal(mask.read(part), whole[part.slices])


@pytest.mark.parametrize(
    ("values", "corner", "what"),
    [
        (np.zeros((9, 9, 9), "u1"), (1000, 0, 500), "has no voxel inside .* nothing would be"),
        (np.ones((9, 9, 9), "u1"), (9e5, 0, 0), "they meet nowhere; correct the translation"),
        (np.full((20, 36, 45), -1, "i2"), (1000, 0, 500), "holds values below 0"),
        (np.full((20, 36, 45), np.nan, "f4"), (1000, 0, 500), "holds NaN or infinite"),
    ],
)
def test_a_mask_that_leaves_nothing_is_refused(
    image, tiny_model, save_volume, values, corner, what
):
    mask = save_volume("m.zarr", values, voxel_nm=(50, 50, 40), corner_nm=corner)
    with pytest.raises(VolumeError, match=what) as refused:
        plan_predict(
            image.info, "o.zarr", PredictOptions(model=str(tiny_model), mask=mask.info.url)
        )
    assert "\n" not in str(refused.value)


def test_a_mask_outside_the_box_is_refused(image, tiny_model, save_volume):
    inside = np.zeros((20, 36, 45), np.uint8)
    inside[:, :, 40:] = 1
    mask = save_volume("m.zarr", inside, voxel_nm=(50, 50, 40), corner_nm=(1000, 0, 500))
    options = PredictOptions(model=str(tiny_model), mask=mask.info.url, box=":,:,0:20")
    with pytest.raises(VolumeError, match="has no voxel inside"):
        plan_predict(image.info, "o.zarr", options)


def test_a_mask_that_is_not_there_is_named(image, tiny_model):
    options = PredictOptions(model=str(tiny_model), mask="nowhere.zarr")
    with pytest.raises(VolumeError, match=r"nowhere\.zarr does not exist"):
        plan_predict(image.info, "o.zarr", options)
