import json

import numpy as np
import pytest
from scipy import ndimage

from volproc import EvaluateOptions
from volproc.engine.events import Note
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, VolprocError, VolumeError
from volproc.fusion import FUSIONS, fuse
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.description import Request
from volproc.stages.evaluate import score_blocks
from volproc.stages.evaluate.score_blocks import block_of
from volproc.stages.evaluate.stage import plan_evaluate, plan_from, run_evaluate
from volproc.volume.metadata import new_volume
from volproc.volume.sampling import Sampling
from volproc.volume.store import create_volume

SHAPE = (36, 40, 44)


def write_volume(url, values, *, voxel_nm=(50, 50, 50), kind="image", channels=(), corner_nm=None):
    info = new_volume(
        str(url),
        corner_nm=corner_nm,
        shape=values.shape[-3:],
        voxel_nm=parse_voxel_nm(voxel_nm),
        dtype=str(values.dtype),
        kind=kind,
        channels=channels,
        chunks=(16, 16, 16),
        shards=(32, 32, 32),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="made", version="0")
    volume.write(info.box, values)
    return volume.finish().info


def smooth(seed, *shape):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2)
    return np.clip(128 + 500 * noise, 0, 255).astype(np.uint8)


@pytest.fixture
def votes():
    common = smooth(0, *SHAPE).astype(int)
    single = [common + smooth(seed, *SHAPE) - 128 for seed in (1, 2, 3)]
    return np.clip(single, 0, 255).astype(np.uint8)


@pytest.fixture
def truth():
    return (smooth(0, *SHAPE) > 128).astype(np.uint8) * 2


def evaluate(folder, results, truth, *, url="", **options):
    plan = plan_evaluate(results, truth, EvaluateOptions(**options), url=url)
    return run_evaluate(plan, Runner(SerialEngine(), folder))


def dice(result, truth):
    return 2 * (result & truth).sum() / (result.sum() + truth.sum())


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(score_blocks, "BLOCK_VOXELS", 5000)
    monkeypatch.setattr(score_blocks, "THICKNESS", 16)


def test_votes_are_scored_per_axis_and_per_mode(tmp_path, votes, truth, small_blocks):
    result = write_volume(tmp_path / "votes.zarr", votes, channels=("x", "y", "z"))
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    scores = evaluate(tmp_path, {"votes": result}, expert)
    assert [score.name for score in scores.scores] == [
        "votes x", "votes y", "votes z", *(f"votes {mode}" for mode in FUSIONS),
    ]  # fmt: skip
    assert scores["votes y"].whole.dice == pytest.approx(dice(votes[1] >= 128, truth > 0))
    for mode in FUSIONS:
        fused = fuse(votes, mode=mode, threshold=0.5) >= 128
        assert scores[f"votes {mode}"].whole.dice == pytest.approx(dice(fused, truth > 0))


def test_votes_beside_the_result_are_scored_by_their_overlap_unless_all_is_asked_for(
    tmp_path, votes, truth, small_blocks
):
    """What was chosen is scored in full, and so are votes where nothing was made of them."""
    chosen = write_volume(tmp_path / "prediction.zarr", votes[0])
    beside = write_volume(tmp_path / "votes.zarr", votes, channels=("x", "y", "z"))
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    both = {"prediction": chosen, "votes": beside}
    full = evaluate(tmp_path / "full", both, expert, votes_in_full=True)
    short = evaluate(tmp_path / "short", both, expert)
    alone = evaluate(tmp_path / "alone", {"votes": beside}, expert)
    assert short["prediction"] == full["prediction"]
    assert short["prediction"].surfaces["3d"]["masd_nm"] is not None
    for score in short.scores[1:]:
        assert score.slices == full[score.name].slices
        assert not score.surfaces
        assert score.sweep is None
        assert full[score.name].surfaces == alone[score.name].surfaces != {}
    recipes = [
        plan_evaluate(both, expert, EvaluateOptions(votes_in_full=asked), url="").recipe
        for asked in (False, True)
    ]
    assert ["votes_in_full" in recipe.options for recipe in recipes] == [False, True]


def test_every_slice_is_scored(tmp_path, votes, truth, small_blocks):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    score = evaluate(tmp_path, {"prediction": result}, expert)["prediction"]
    assert sorted(score.slices) == list(range(SHAPE[0]))
    for z in (0, 17, 35):
        assert score.slices[z].dice == pytest.approx(dice(votes[0, z] >= 128, truth[z] > 0))
    assert score.between(5, 20).dice == pytest.approx(dice(votes[0, 5:20] >= 128, truth[5:20] > 0))


def test_a_range_of_slices(tmp_path, votes, truth, small_blocks):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    scores = evaluate(tmp_path, {"prediction": result}, expert, slices=(10, 33))
    expected = dice(votes[0, 10:33] >= 128, truth[10:33] > 0)
    assert scores["prediction"].whole.dice == pytest.approx(expected)
    assert sorted(scores["prediction"].slices) == list(range(10, 33))


@pytest.mark.parametrize("voxel_nm", [(50, 10, 10), (50, 40, 40), (100, 50, 25)])
def test_the_truth_may_be_on_another_grid(tmp_path, votes, voxel_nm, small_blocks):
    shape = tuple(round(n * 50 / v) for n, v in zip(SHAPE, voxel_nm, strict=True))
    expert_values = smooth(0, *shape)
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", expert_values, kind="labels", voxel_nm=voxel_nm)
    options = {"ground_truth_labels": (140, 150), "surfaces": "none"}
    scores = evaluate(tmp_path, {"prediction": result}, expert, **options)
    sampling = Sampling(SHAPE, tuple(v / 50 for v in voxel_nm))
    answer = sampling.sample(votes[0] >= 128, Box((0, 0, 0), shape))
    listed = np.isin(expert_values, (140, 150))
    assert scores["prediction"].whole.dice == pytest.approx(dice(answer, listed))


def test_labels_and_masks_are_results_too(tmp_path, votes, truth):
    foreground = votes[0] >= 128
    objects = ndimage.label(foreground)[0].astype(np.uint32)
    results = {
        "objects": write_volume(tmp_path / "objects.zarr", objects, kind="labels"),
        "mask": write_volume(tmp_path / "mask.zarr", foreground),
    }
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    scores = evaluate(tmp_path, results, expert)
    assert scores["objects"].whole == scores["mask"].whole
    assert scores["mask"].whole.dice == pytest.approx(dice(foreground, truth > 0))


def test_scores_do_not_depend_on_the_blocks(tmp_path, votes, truth, monkeypatch):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    whole = evaluate(tmp_path / "one", {"prediction": result}, expert)
    monkeypatch.setattr(score_blocks, "BLOCK_VOXELS", 1)
    monkeypatch.setattr(score_blocks, "THICKNESS", 1)
    assert block_of(expert) == (16, 16, 16)
    assert evaluate(tmp_path / "two", {"prediction": result}, expert) == whole


def test_json_names_formulas_and_slices(tmp_path, votes, truth):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    url = str(tmp_path / "scores.json")
    scores = evaluate(tmp_path, {"prediction": result}, expert, url=url, slices=(2, 4))
    with open(url) as file:
        found = json.load(file)
    assert found["formulas"]["dice"] == "2 TP / (2 TP + FP + FN)"
    assert found["slices"] == [2, 4]
    (listed,) = found["scores"]
    assert listed["answer"] == "prediction"
    assert [one["z"] for one in listed["slices"]] == [2, 3]
    assert listed["dice"] == scores.rows()[0]["dice"]


def test_what_cannot_be_compared_is_refused(tmp_path, votes, truth):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    other = write_volume(tmp_path / "other.zarr", truth, kind="labels", voxel_nm=(50, 10, 10))
    floats = write_volume(tmp_path / "floats.zarr", truth.astype("float32"))
    channels = write_volume(
        tmp_path / "float_votes.zarr", votes.astype("float32"), channels=("x", "y", "z")
    )
    with pytest.raises(VolumeError, match="same field of view"):
        plan_evaluate({"prediction": result}, other, EvaluateOptions())
    with pytest.raises(VolumeError, match="whole numbers"):
        plan_evaluate({"prediction": result}, floats, EvaluateOptions())
    with pytest.raises(VolumeError, match="votes are uint8"):
        plan_evaluate({"votes": channels}, expert, EvaluateOptions())
    with pytest.raises(ConfigError, match=r"slices = \[30, 37\]"):
        plan_evaluate({"prediction": result}, expert, EvaluateOptions(slices=(30, 37)))


def test_not_a_number_is_refused(tmp_path, truth):
    result = write_volume(tmp_path / "prediction.zarr", np.full(SHAPE, np.nan, dtype="float32"))
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    with pytest.raises(VolprocError, match="not a number"):
        evaluate(tmp_path, {"prediction": result}, expert)


def test_plan_tells_costs_without_reading(tmp_path):
    result = new_volume("votes.zarr", shape=(30, 400, 400), voxel_nm=(50, 50, 50), dtype="uint8",
                        channels=("x", "y", "z"))  # fmt: skip
    truth = new_volume("truth.zarr", shape=(30, 2000, 2000), voxel_nm=(50, 10, 10), dtype="uint8")
    options = EvaluateOptions(surfaces="none")
    (step,) = plan_evaluate({"votes": result}, truth, options).steps
    assert step.name == "evaluate"
    assert step.bytes_read >= 30 * 2000 * 2000 + 3 * 30 * 400 * 400
    assert step.bytes_read < 1.1 * (30 * 2000 * 2000 + 3 * 30 * 400 * 400)
    assert step.peak_bytes > 0


def at_voxel(z, y, x):
    """The corner of a volume that begins at a voxel of the result, whose own is (-25, -25, -25)."""
    return (50 * z - 25, 50 * y - 25, 50 * x - 25)


@pytest.mark.parametrize(
    "cut",
    [
        (slice(None), slice(5, 25), slice(7, 44)),
        (slice(3, 20), slice(None), slice(None)),
        (slice(1, 36), slice(1, 2), slice(43, 44)),
    ],
)
def test_a_truth_that_is_a_crop_is_compared_where_it_lies(
    tmp_path, votes, truth, cut, small_blocks
):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    corner = at_voxel(*(one.start or 0 for one in cut))
    crop = write_volume(tmp_path / "t.zarr", truth[cut], kind="labels", corner_nm=corner)
    scores = evaluate(tmp_path, {"prediction": result}, crop)
    expected = dice(votes[0][cut] >= 128, truth[cut] > 0)
    assert scores["prediction"].whole.dice == pytest.approx(expected)
    assert f" of {crop.url}" in scores.note
    assert scores.about["overlap"] == {"first": [0, 0, 0], "end": list(crop.shape)}
    whole = write_volume(tmp_path / "w.zarr", truth, kind="labels")
    assert not evaluate(tmp_path / "w", {"prediction": result}, whole).note


def test_volumes_that_overlap_are_compared_where_both_lie(tmp_path, votes, truth, small_blocks):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    moved = write_volume(tmp_path / "t.zarr", truth, kind="labels", corner_nm=at_voxel(-4, 10, 0))
    url = str(tmp_path / "scores.json")
    scores = evaluate(tmp_path, {"prediction": result}, moved, url=url)
    here, there = votes[0, :32, 10:] >= 128, truth[4:, :30] > 0
    assert scores["prediction"].whole.dice == pytest.approx(dice(here, there))
    assert sorted(scores["prediction"].slices) == list(range(4, 36))
    assert scores.note.endswith(f"overlap: voxels z 4:36, y 0:30, x 0:44 of {moved.url}")
    with open(url) as file:
        assert json.load(file)["overlap"] == {"first": [4, 0, 0], "end": [36, 30, 44]}
    told = []
    runner = Runner(SerialEngine(), tmp_path / "again", watchers=(told.append,))
    run_evaluate(plan_evaluate({"prediction": result}, moved, EvaluateOptions()), runner)
    assert Note(scores.note) in told
    few = evaluate(tmp_path / "few", {"prediction": result}, moved, slices=(2, 6))
    assert sorted(few["prediction"].slices) == [4, 5]
    with pytest.raises(ConfigError, match=r"nothing to score: slices 0 to 4 of .*t\.zarr lie in"):
        plan_evaluate({"prediction": result}, moved, EvaluateOptions(slices=(0, 4)))


def test_a_coarse_truth_elsewhere_takes_the_voxel_at_its_centres(tmp_path, votes, truth):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    coarse = truth[::2, ::2, ::2][:10, :8, :6]
    there = write_volume(
        tmp_path / "t.zarr", coarse, kind="labels", voxel_nm=(100,) * 3, corner_nm=at_voxel(4, 3, 2)
    )
    found = evaluate(tmp_path, {"prediction": result}, there)["prediction"].whole
    sampling = Sampling(SHAPE, (2.0, 2.0, 2.0), (4.0, 3.0, 2.0))
    seen = sampling.sample((votes[0] >= 128)[4:24, 3:19, 2:14], Box((0, 0, 0), coarse.shape))
    assert found.dice == pytest.approx(dice(seen, coarse > 0))


@pytest.mark.parametrize("corner", [(1e6, 1e6, 1e6), at_voxel(36, 0, 0), at_voxel(0, 0, -44)])
def test_a_truth_that_lies_elsewhere_is_refused(tmp_path, votes, truth, corner):
    result = write_volume(tmp_path / "prediction.zarr", votes[0])
    away = write_volume(tmp_path / "t.zarr", truth, kind="labels", corner_nm=corner)
    with pytest.raises(VolumeError, match="they meet nowhere; correct the translation"):
        plan_evaluate({"prediction": result}, away, EvaluateOptions())


MASK = np.zeros((8, 24, 24), np.uint8)
MASK[2:6, 6:18, 6:18] = 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool", "float32"])
def test_a_mask_of_any_type_scores_1_against_itself_or_is_told(tmp_path, dtype):
    """xuebinqin/U-2-Net#276: is it 0 and 1 or 0 and 255? Never a Dice of 0 without a word."""
    result = write_volume(tmp_path / "r.zarr", MASK.astype(dtype))
    truth = write_volume(tmp_path / "t.zarr", MASK, kind="labels")
    how = {"threshold": 0.0} if dtype == "uint8" else {}
    if how:
        with pytest.raises(VolumeError, match=r"mask of 0 and 1 .* \[evaluate\] threshold = 0"):
            evaluate(str(tmp_path / "x"), {"result": result}, truth)
    assert evaluate(str(tmp_path / "y"), {"result": result}, truth, **how)["result"].whole.dice == 1


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((9,), r"no voxel of .*t\.zarr is 9, which \[evaluate\] ground_truth_labels asks for"),
        ((1, 9, 4), "is 4 or 9"),
        ((-1,), "has -1, but .* holds uint8, 0 to 255"),
        ((256,), "has 256, but"),
    ],
)
def test_truth_labels_that_are_not_there_are_named(tmp_path, labels, said):
    """MIC-DKFZ/nnUNet#1930, #495, #1418: label values other than those expected."""
    result = write_volume(tmp_path / "r.zarr", MASK * 255)
    truth = write_volume(tmp_path / "t.zarr", MASK, kind="labels")
    with pytest.raises(VolumeError, match=said):  # when it is planned: nothing was scored yet
        plan_evaluate({"result": result}, truth, EvaluateOptions(ground_truth_labels=labels))


def test_labels_that_occur_outside_of_the_scored_slices_only_are_named(tmp_path):
    result = write_volume(tmp_path / "r.zarr", MASK * 255)
    truth = write_volume(tmp_path / "t.zarr", np.pad(MASK, ((0, 1), (0, 0), (0, 0)))[1:] * 7)
    slices = (len(MASK) - 1, len(MASK))
    with pytest.raises(VolumeError, match="is 7, which"):
        evaluate(
            str(tmp_path / "x"), {"result": result}, truth, ground_truth_labels=(7,), slices=slices
        )


def test_a_truth_with_labels_below_0_is_refused_unless_labels_are_named(tmp_path):
    """torch-em, plant-seg: -1 where nobody looked."""
    result = write_volume(tmp_path / "r.zarr", MASK * 255)
    truth = write_volume(tmp_path / "t.zarr", np.where(MASK > 0, 3, -1).astype("i2"), kind="labels")
    with pytest.raises(VolprocError, match="holds values below 0"):
        evaluate(str(tmp_path / "x"), {"result": result}, truth)
    scores = evaluate(str(tmp_path / "y"), {"result": result}, truth, ground_truth_labels=(3,))
    assert scores["result"].whole.dice == 1


def test_an_empty_side_is_explained(tmp_path):
    nothing = np.zeros((16, 16, 16), np.uint8)
    result = write_volume(tmp_path / "r.zarr", nothing)
    truth = write_volume(tmp_path / "t.zarr", nothing, kind="labels")
    found, missing = evaluate(tmp_path, {"result": result}, truth).about["notes"]
    assert found.startswith("nothing to find: no voxel of the slices that are scored of ")
    assert missing.startswith("result: nothing found: no voxel that is scored of ")
    assert "reaches the threshold of 0.5" in missing


def test_sides_that_have_something_are_not_explained(tmp_path, votes, truth):
    result = write_volume(tmp_path / "r.zarr", votes[0])
    labels = write_volume(tmp_path / "t.zarr", truth, kind="labels")
    assert "notes" not in evaluate(tmp_path, {"result": result}, labels).about


@pytest.mark.parametrize("finer", [1, 2])
def test_what_a_block_reads_and_holds(tmp_path, finer):
    """A ground truth of 2 bytes a voxel, three votes of 1; 16 for each voxel of the larger one."""
    votes = write_volume(tmp_path / "v.zarr", np.zeros((3, 8, 10, 12), np.uint8), channels="xyz")
    fine = np.ones((8, 10 * finer, 12 * finer), np.uint16)
    nm = (50, 50 / finer, 50 / finer)
    truth = write_volume(tmp_path / "t.zarr", fine, kind="labels", voxel_nm=nm)
    options = EvaluateOptions(surfaces="none")
    step = plan_evaluate({"votes": votes}, truth, options, url="").step
    assert step.bytes_read == fine.size * 2 + 8 * 10 * 12 * 3
    assert step.peak_bytes == step.bytes_read + 16 * fine.size


def test_one_result_of_another_space_makes_it_a_part(tmp_path, votes, truth):
    expert = write_volume(tmp_path / "truth.zarr", truth, kind="labels")
    whole = write_volume(tmp_path / "whole.zarr", votes[0])
    part = write_volume(tmp_path / "part.zarr", votes[0, 8:], corner_nm=(400, 0, 0))
    for results, is_part in (({"a": whole}, False), ({"a": whole, "b": part}, True)):
        assert plan_evaluate(results, expert, EvaluateOptions(), url="").is_part == is_part


def test_what_is_scored_is_named_for_what_it_is(tmp_path, votes, truth):
    """By itself a result, or votes, which have channels; in a run both, as far as they are made."""
    one = write_volume(tmp_path / "p.zarr", votes[0])
    many = write_volume(tmp_path / "v.zarr", votes, channels=("x", "y", "z"))
    expert = write_volume(tmp_path / "t.zarr", truth, kind="labels")
    tables = {"evaluate": EvaluateOptions()}
    for run, given, names in (
        (None, {"result": one}, ["result"]),
        (None, {"result": many}, ["votes"]),
        ("run", {"result": one}, ["prediction"]),
        ("run", {"result": one, "votes": many}, ["prediction", "votes"]),
    ):
        plan = plan_from(Request(tables, {**given, "ground_truth": expert}, run=run))
        assert [result.name for result in plan.task.results] == names


@pytest.mark.parametrize(("url", "folders"), [("s.json", ("s.json",)), ("", ())])
def test_the_file_of_scores_is_claimed(tmp_path, votes, truth, url, folders):
    result = write_volume(tmp_path / "r.zarr", votes[0])
    expert = write_volume(tmp_path / "t.zarr", truth, kind="labels")
    claim = plan_evaluate({"r": result}, expert, EvaluateOptions(), url=url).claim
    assert claim.folders == folders
