import csv
import json
import os

import numpy as np
import pytest
from scipy import ndimage

from volproc import DoubtOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ModelError, VolumeError
from volproc.model.doubt_model import GENERAL, doubt_file_of
from volproc.stages.doubt import plan as planning
from volproc.stages.doubt.object_features import REASONS
from volproc.stages.doubt.stage import plan_doubt, run_doubt
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

SHAPE = (48, 56, 80)
CENTRES = ((14, 14, 14), (14, 40, 16), (34, 14, 60), (34, 40, 64), (12, 28, 60))


@pytest.fixture
def scene():
    """Five balls of radius 8, sure of the axes; the last two merged by a bridge that one sees."""
    z, y, x = np.indices(SHAPE)
    distance = np.full(SHAPE, 99.0)
    for centre in CENTRES:
        far = np.sqrt(sum((g - c) ** 2 for g, c in zip((z, y, x), centre)))
        distance = np.minimum(distance, far - 8)
    votes = np.stack([255 / (1 + np.exp(np.clip(distance / 0.6, -30, 30)))] * 3)
    bridge = (abs(z - 34) < 3) & (abs(x - 62) < 3) & (y > 14) & (y < 40)
    votes[0, bridge] = 250
    votes[1, bridge] = np.maximum(votes[1, bridge], 160)
    labels, _ = ndimage.label(votes.mean(axis=0) >= 127.5)
    return labels.astype(np.uint32), votes.astype(np.uint8)


@pytest.fixture
def save_votes(tmp_path):
    def save(name, values):
        info = new_volume(
            str(tmp_path / name),
            shape=values.shape[1:],
            voxel_nm=(50, 50, 50),
            dtype="uint8",
            channels=tuple("xyz"[: len(values)]),
            chunks=(16, 16, 16),
            max_levels=1,
        )
        volume = create_volume(info, step="test", digest="test", version="0")
        volume.write(info.box, values)
        return volume.finish()

    return save


@pytest.fixture
def saved(save_volume, save_votes, scene):
    labels, votes = scene
    return save_volume("objects.zarr", labels, kind="labels"), save_votes("votes.zarr", votes)


def doubt(place, records, labels, votes=None, *, runner=None, model="nuclei-50nm", **options):
    plan = plan_doubt(
        labels.info,
        str(place),
        DoubtOptions(**options),
        votes=votes.info if votes else None,
        model=model,
    )
    return run_doubt(plan, runner or Runner(SerialEngine(), records))


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_merged_pair_is_doubted_first_and_says_why(tmp_path, saved, scene):
    labels, votes = saved
    merged = int(scene[0][34, 40, 62])
    (tmp_path / "objects.csv").write_text(
        "id,voxels\n" + "".join(f"{n},7\n" for n in range(1, scene[0].max() + 1))
    )
    made = doubt(tmp_path / "doubt.json", tmp_path / "ledger", labels, votes)
    said = json.loads((tmp_path / "doubt.json").read_text())
    assert said["most_doubtful"][0] == made.most_doubtful[0] == merged
    assert said["objects"] == 4
    assert said["model"]["axes"] == 3
    assert "IoU" in said["model"]["right"]
    for name in ("expected_precision", "expected_recall"):
        value = said[name]
        assert 0 <= value["low"] <= value["value"] <= value["high"] <= 1
    rows = {int(row["id"]): row for row in rows_of(tmp_path / "objects.csv")}
    assert list(rows[1]) == ["id", "voxels", "probability_right", "reason"]
    assert float(rows[merged]["probability_right"]) == min(
        float(row["probability_right"]) for row in rows.values()
    )
    assert rows[merged]["reason"] in REASONS.values()
    own = {int(row["id"]): row for row in rows_of(tmp_path / "doubt.csv")}
    necks = {n: float(row["neck"]) for n, row in own.items()}
    assert max(necks, key=necks.get) == merged


def test_twice_is_once_and_columns_are_put_back(tmp_path, saved):
    labels, votes = saved
    table = tmp_path / "objects.csv"
    bare = "id,note\n" + "".join(f'{n},"a, b"\n' for n in (1, 2, 3, 4))
    table.write_text(bare)
    place, records = tmp_path / "doubt.json", tmp_path / "ledger"
    doubt(place, records, labels, votes)
    first, whole = table.read_text(), place.read_text()
    doubt(place, records, labels, votes)
    assert table.read_text() == first
    assert place.read_text() == whole
    table.write_text(bare)  # as if the objects had been listed again
    doubt(place, records, labels, votes)
    assert table.read_text() == first
    assert rows_of(table)[0]["note"] == "a, b"


@pytest.mark.parametrize("per_voxel", [1000, 20_000])
def test_any_blocks_judge_alike(tmp_path, saved, monkeypatch, per_voxel):
    labels, votes = saved
    doubt(tmp_path / "one.json", tmp_path / "a", labels, votes)
    monkeypatch.setattr(planning, "BLOCK_BYTES_PER_VOXEL", per_voxel)
    doubt(tmp_path / "two.json", tmp_path / "b", labels, votes)
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()
    assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()


@pytest.mark.dask
def test_any_engine_judges_alike(tmp_path, saved, dask_engine):
    labels, votes = saved
    doubt(tmp_path / "one.json", tmp_path / "a", labels, votes)
    runner = Runner(dask_engine, tmp_path / "b")
    doubt(tmp_path / "two.json", tmp_path / "b", labels, votes, runner=runner)
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


def test_a_run_that_was_killed_goes_on(tmp_path, saved, monkeypatch):
    """Blocks that are recorded are not counted again; files that are gone are."""
    labels, votes = saved
    place, records = tmp_path / "doubt.json", tmp_path / "ledger"
    doubt(place, records, labels, votes)
    before = place.read_text()
    place.unlink()
    for part in (tmp_path / "doubt.json.volproc" / "blocks").glob("*"):
        part.unlink()
    os.rmdir(tmp_path / "doubt.json.volproc" / "blocks")
    doubt(place, records, labels, votes)
    assert place.read_text() == before


def test_without_votes_it_judges_by_form_and_says_so(tmp_path, saved):
    labels, _ = saved
    made = doubt(tmp_path / "doubt.json", tmp_path / "ledger", labels)
    assert "no votes or prediction: objects are judged by their form alone" in made.notes
    assert "disagree_surface" not in made.columns
    assert made.expected_precision.value is not None


def test_of_one_axis_disagreement_is_not_known(tmp_path, saved, save_votes, save_volume, scene):
    labels, _ = saved
    one = save_votes("one.zarr", scene[1][:1])
    mean = save_volume("prediction.zarr", scene[1].mean(axis=0).astype(np.uint8))
    for n, given in enumerate((one, mean)):
        made = doubt(tmp_path / f"{n}.json", tmp_path / str(n), labels, given)
        assert any("their disagreement is not known" in note for note in made.notes)
        assert "unsure" in made.columns
        assert "disagree_surface" not in made.columns


def test_labels_without_objects_leave_nothing_to_doubt(tmp_path, save_volume, save_votes):
    labels = save_volume("objects.zarr", np.zeros((20, 20, 20), np.uint32), kind="labels")
    votes = save_votes("votes.zarr", np.zeros((3, 20, 20, 20), np.uint8))
    (tmp_path / "objects.csv").write_text("id,voxels\n")
    made = doubt(tmp_path / "doubt.json", tmp_path / "ledger", labels, votes)
    said = json.loads((tmp_path / "doubt.json").read_text())
    nothing = {"value": None, "low": None, "high": None}
    assert said["expected_precision"] == said["expected_recall"] == nothing
    assert said["most_doubtful"] == []
    assert made.objects == 0
    assert (tmp_path / "objects.csv").read_text() == "id,voxels,probability_right,reason\n"


def test_another_model_is_judged_by_the_general_one_which_is_said(tmp_path, saved):
    labels, votes = saved
    made = doubt(tmp_path / "doubt.json", tmp_path / "a", labels, votes, model="some/model")
    assert any("some/model has no doubt model of its own" in note for note in made.notes)
    own = doubt(tmp_path / "own.json", tmp_path / "b", labels, votes)
    assert not any("general" in note for note in own.notes)
    chosen = doubt(tmp_path / "c.json", tmp_path / "c", labels, votes, doubt_model=GENERAL)
    np.testing.assert_array_equal(
        chosen.columns["probability_right"], made.columns["probability_right"]
    )
    assert doubt_file_of("nuclei-50nm") != GENERAL


def test_a_table_of_other_objects_is_left_alone(tmp_path, saved):
    labels, votes = saved
    (tmp_path / "objects.csv").write_text("id,voxels\n77,1\n")
    made = doubt(tmp_path / "doubt.json", tmp_path / "ledger", labels, votes)
    assert any("lists other objects than the labels have" in note for note in made.notes)
    assert (tmp_path / "objects.csv").read_text() == "id,voxels\n77,1\n"


def test_what_is_no_vote_is_refused(tmp_path, saved, save_volume):
    labels, _ = saved
    values = np.full(SHAPE, np.nan, np.float32)
    with pytest.raises(VolumeError, match=r"holds float32; .* uint8 with 255 for certain"):
        doubt(tmp_path / "a.json", tmp_path / "a", labels, save_volume("p.zarr", values))
    with pytest.raises(VolumeError, match="need labels, one whole number per voxel"):
        doubt(tmp_path / "b.json", tmp_path / "b", save_volume("f.zarr", values))


def test_a_doubt_model_that_is_none_is_refused(tmp_path, saved):
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(ModelError, match="is no doubt model of this version"):
        doubt(tmp_path / "d", tmp_path / "r", saved[0], doubt_model=str(tmp_path / "wrong.json"))
