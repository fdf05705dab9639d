"""The stage: what it refuses, and that volumes become a model folder, interrupted or not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from volproc import TrainOptions, __version__
from volproc.errors import ConfigError, OutputError, VolprocError, VolumeError
from volproc.grid.box import Shape, each, whole_box
from volproc.grid.scale import VoxelNm
from volproc.model.model_folder import CARD, WEIGHTS
from volproc.model.weights import load_model
from volproc.stages.train.data_options import DataOptions, TargetOptions
from volproc.stages.train.loop import Progress
from volproc.stages.train.options import TrainedOnOptions
from volproc.stages.train.pairs import AgreementAs, LabelledImage, Pair
from volproc.stages.train.stage import (
    plan_train,
    run_training,
)
from volproc.stages.train.training_sources import (
    Source,
    held_out_of,
    sources_of,
)
from volproc.volume import metadata
from volproc.volume.metadata import Kind, PositionNm, new_volume
from volproc.volume.store import create_volume, open_volume

FINE = VoxelNm((50.0, 25.0, 25.0))
SHAPE: Shape = (12, 40, 40)


class Killed(Exception):
    """Stands for a signal."""


def save(
    path: Path,
    values: np.ndarray,
    *,
    voxel_nm: VoxelNm,
    kind: Kind,
    corner_nm: PositionNm | None = None,
) -> str:
    z, y, x = values.shape
    info = new_volume(
        str(path),
        shape=(z, y, x),
        voxel_nm=voxel_nm,
        corner_nm=corner_nm,
        dtype=str(values.dtype),
        kind=kind,
    )
    volume = create_volume(info, step="test", digest=path.name, version=__version__)
    volume.write(whole_box(info.shape), values)
    volume.finish()
    return info.url


@pytest.fixture
def volumes(tmp_path: Path) -> dict[str, Any]:
    """A bright ball at 50 x 25 x 25 nm, with labels at 50 nm."""
    z, y, x = np.ogrid[:12, :40, :40]
    ball = (2 * (z - 6)) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 100
    image = (100 + 60 * ball + (3 * z + y + x) % 11).astype(np.uint8)
    labels = ball[:, ::2, ::2].astype(np.uint16)
    save(tmp_path / "held.zarr", image, voxel_nm=FINE, kind="image")
    return {
        "images": (save(tmp_path / "image.zarr", image, voxel_nm=FINE, kind="image"),),
        "labels": (
            save(tmp_path / "ball.zarr", labels, voxel_nm=VoxelNm((50.0,) * 3), kind="labels"),
        ),
    }


def read(source: Source, nm: float = 50.0, agreement_as: AgreementAs = "nothing") -> Pair:
    """All of a source with one class in memory."""
    image = LabelledImage(source, VoxelNm((nm, nm, nm)), (TargetOptions(),), agreement_as)
    return image.read(image.box)


def options(volumes: dict[str, Any], out: Path, **more: Any) -> TrainOptions:
    small = {"widths": (3, 4), "slices_in": 4, "slices_out": 2, "patch": 16, "batch": 2}
    return TrainOptions(
        **{
            **volumes,
            **small,
            "validation_images": (str(Path([*volumes["labels"], "/"][0]).parent / "held.zarr"),),
            "validation_labels": volumes["labels"],
            "steps": 6,
            "checkpoint_steps": 2,
            "validate_steps": 3,
            "model_out": str(out),
            "device": "cpu",
            "trained_on": (TrainedOnOptions(name="a ball", terms="free"),),
            **more,
        }
    )


def trained(chosen: TrainOptions, *, stop: int | None = None, from_scratch: bool = False) -> Any:
    def watch(event: Progress) -> None:
        if event.step == stop:
            raise Killed

    plan = plan_train(
        sources_of(chosen), chosen, validation=held_out_of(chosen), from_scratch=from_scratch
    )
    return run_training(plan, watch=watch)


def test_volumes_become_a_model_folder(volumes: dict[str, Any], tmp_path: Path) -> None:
    card = trained(options(volumes, tmp_path / "model"))
    module, read = load_model(tmp_path / "model")
    assert read == card
    assert (card.voxel_nm, card.slices_in, card.slices_out) == ((50, 50, 50), 4, 2)
    assert card.trained_on[0].terms == "free"
    assert set(card.scores) == {"validation dice", "validation boundary_f", "validation pq"}
    assert {*"zyx", "mean"} < set(card.validation["nucleus"])
    # what a fit does is tested in test_calibration.py: six steps learn nothing to calibrate
    assert card.calibration["nucleus"].curve
    assert module(torch.zeros(1, 4, 8, 8)).shape == (1, 2, 8, 8)


def test_killed_and_resumed_the_model_is_the_same(volumes: dict[str, Any], tmp_path: Path) -> None:
    trained(options(volumes, tmp_path / "a" / "model"))
    again = options(volumes, tmp_path / "b" / "model")
    for stop in (1, 3, 5):
        with pytest.raises(Killed):
            trained(again, stop=stop)
    trained(again)
    for name in (WEIGHTS, CARD, "training/log.csv"):
        ours, theirs = (tmp_path / side / "model" / name for side in "ab")
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_words_on_the_card_may_change_midway(volumes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(options(volumes, tmp_path / "model"), stop=4)
    card = trained(options(volumes, tmp_path / "model", notes="finds balls"))
    assert card.notes == "finds balls"
    with pytest.raises(OutputError, match=r"made otherwise \(learning_rate: 0.002 -> 0.5\)"):
        trained(options(volumes, tmp_path / "model", learning_rate=0.5))


def test_a_finished_model_is_left_alone(volumes: dict[str, Any], tmp_path: Path) -> None:
    first = trained(options(volumes, tmp_path / "model"))
    written = (tmp_path / "model" / WEIGHTS).stat().st_mtime_ns
    assert trained(options(volumes, tmp_path / "model"), stop=1) == first
    assert (tmp_path / "model" / WEIGHTS).stat().st_mtime_ns == written


def test_a_model_that_was_exchanged_is_written_again(
    volumes: dict[str, Any], tmp_path: Path
) -> None:
    first = trained(options(volumes, tmp_path / "model"))
    trained(options(volumes, tmp_path / "other", seed=5))
    for name in (WEIGHTS, CARD):
        (tmp_path / "other" / name).replace(tmp_path / "model" / name)
    assert trained(options(volumes, tmp_path / "model")) == first


def test_other_data_begin_from_scratch_where_asked(volumes: dict[str, Any], tmp_path: Path) -> None:
    trained(options(volumes, tmp_path / "model"))
    fresh = trained(options(volumes, tmp_path / "model", seed=5), from_scratch=True)
    assert fresh == trained(options(volumes, tmp_path / "other", seed=5))


def test_volumes_may_be_elsewhere(volumes: dict[str, Any], tmp_path: Path) -> None:
    """A run's folder that was moved, or is named otherwise, is not trained again."""
    trained(options(volumes, tmp_path / "model"))
    (tmp_path / "link").symlink_to(tmp_path)
    moved = {key: (str(tmp_path / "link" / Path(v[0]).name),) for key, v in volumes.items()}
    trained(options(moved, tmp_path / "model"), stop=1)


def test_what_nobody_looked_at_and_agreement_come_along(
    volumes: dict[str, Any], tmp_path: Path
) -> None:
    seen = np.zeros(SHAPE, np.uint8)
    seen[6:] = 1
    people = np.full(SHAPE, 51, np.uint8)
    more = {
        "ignore": (save(tmp_path / "ignore.zarr", seen, voxel_nm=FINE, kind="labels"),),
        "agreement": (save(tmp_path / "agreement.zarr", people, voxel_nm=FINE, kind="image"),),
    }
    soft = {**more, "agreement_as": "labels"}
    (source,) = sources_of(TrainOptions(**volumes, **soft))
    pair = read(source, agreement_as="labels")
    (target,), (weight,) = pair.targets, pair.weights
    assert (weight[:6] == 255).all()
    assert (weight[6:] == 0).all()
    assert (target[:6] == 51).all()
    assert not target[6:].any()
    plain = plan_train(sources_of(TrainOptions(**volumes)), options(volumes, tmp_path))
    with_more = plan_train((source,), options(volumes, tmp_path, **soft))
    assert with_more.digest != plain.digest
    assert with_more.bytes_read > plain.bytes_read
    (known,) = sources_of(TrainOptions(**volumes, **more))[0].classes
    assert known
    assert known.agreement is None
    assert trained(options(volumes, tmp_path / "model", **soft)).name == "model"


def test_nothing_to_learn_from_is_refused(volumes: dict[str, Any], tmp_path: Path) -> None:
    everything = save(
        tmp_path / "ignore.zarr", np.ones(SHAPE, np.uint8), voxel_nm=FINE, kind="labels"
    )
    with pytest.raises(ConfigError, match=r"every voxel of .*image\.zarr is marked in"):
        trained(options(volumes, tmp_path / "model", ignore=(everything,)))
    with pytest.raises(ConfigError, match=r"agreement: .*ball\.zarr holds uint16; expected uint8"):
        trained(
            options(volumes, tmp_path / "model", agreement=volumes["labels"], agreement_as="labels")
        )


def test_image_and_labels_meet_on_one_grid(volumes: dict[str, Any]) -> None:
    (source,) = sources_of(TrainOptions(**volumes))
    pair = read(source)
    assert pair.image.shape == pair.ground_truth[0].shape == (12, 20, 20)
    inside, outside = (
        pair.image[of].mean() for of in (pair.ground_truth[0], ~pair.ground_truth[0])
    )
    assert inside > outside + 40


def test_a_hold_out_may_be_thinner_than_a_patch(volumes: dict[str, Any], tmp_path: Path) -> None:
    """Validation predicts whole regions: only what is learnt from has to hold patches."""
    one = {"image": volumes["images"][0], "labels": volumes["labels"][0]}
    chosen = options(
        volumes,
        tmp_path / "m",
        images=(),
        labels=(),
        patch=20,
        axes="zyx",
        data=(DataOptions(**one, box="0:11,:,:"),),
        validation_images=(),
        validation_labels=(),
        validation=(DataOptions(**one, box="11:12,:,:"),),
    )
    held_out = held_out_of(chosen)
    assert plan_train(sources_of(chosen), chosen, validation=held_out).validation == held_out
    with pytest.raises(ConfigError, match=r"patches are 20 voxels along z, .* has 1 of 50 nm"):
        plan_train(held_out, chosen)


def test_a_plan_adds_up_the_costs(volumes: dict[str, Any], tmp_path: Path) -> None:
    sources = sources_of(TrainOptions(**volumes))
    short = plan_train(sources, options(volumes, tmp_path))
    long = plan_train(sources, options(volumes, tmp_path, steps=12))
    assert long.flop == 2 * short.flop
    assert long.digest != short.digest
    assert short.peak_bytes > 12 * 20 * 20


def test_validation_is_arithmetic_too(volumes: dict[str, Any], tmp_path: Path) -> None:
    """Six steps with a validation after every third are two, one to calibrate and one to score."""

    def flop(**more: Any) -> int:
        chosen = options(volumes, tmp_path, **more)
        held_out = held_out_of(chosen)
        return plan_train(sources_of(chosen), chosen, validation=held_out).flop

    alone = flop(validation_images=(), validation_labels=())
    once = flop(calibrate=False, validate_steps=6) - flop(calibrate=False, validate_steps=3)
    assert once < 0
    assert flop() == alone - 4 * once


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": 18}, r"patch = 18 is not a multiple of the stride 4"),
        ({"images": (), "labels": ()}, r"images is empty"),
        ({"labels": ()}, r"1 images, 0 labels"),
        ({"weights": (1, 2)}, r"2 weights"),
        ({"ignore": ("a", "b")}, r"1 images, .* 2 ignore"),
        ({"validation_labels": ()}, r"1 images, 0 validation_labels"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    volumes: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(options(volumes, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_volumes_in_the_wrong_place_are_refused(volumes: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "model"
    swapped = {"images": volumes["labels"], "labels": volumes["images"]}
    with pytest.raises(ConfigError, match="is an image; expected a label volume"):
        trained(options(swapped, out))
    with pytest.raises(ConfigError, match="is not an image of one channel"):
        trained(options({**volumes, "images": volumes["labels"]}, out))
    with pytest.raises(VolumeError, match="does not exist"):
        trained(options({**volumes, "images": (str(tmp_path / "none.zarr"),)}, out))


def test_labels_of_another_field_of_view_are_refused(
    volumes: dict[str, Any], tmp_path: Path
) -> None:
    small = save(
        tmp_path / "small.zarr", np.ones((12, 10, 20), np.uint8), voxel_nm=FINE, kind="labels"
    )
    with pytest.raises(VolumeError, match=r"need the same field of view"):
        trained(options({**volumes, "labels": (small,)}, tmp_path / "model"))


def test_a_pair_is_learnt_from_where_both_lie(volumes: dict[str, Any], tmp_path: Path) -> None:
    """Labels of a part of the image, and a mask of what to ignore that covers part of these."""
    coarse = VoxelNm((50.0,) * 3)
    (whole,) = sources_of(TrainOptions(**volumes))
    all_of_it = read(whole)
    ball = open_volume(volumes["labels"][0])
    ball = ball.read(ball.info.box)
    # the image begins at (-25, -12.5, -12.5): its first voxel's centre is at 0
    labels = save(
        tmp_path / "part.zarr",
        ball[2:, 4:, :17],
        voxel_nm=coarse,
        kind="labels",
        corner_nm=(75.0, 187.5, -12.5),
    )
    ignore = save(
        tmp_path / "ignore.zarr",
        np.zeros((8, 40, 40), np.uint8),
        voxel_nm=FINE,
        kind="labels",
        corner_nm=(175.0, -12.5, -12.5),
    )
    given = {**volumes, "labels": (labels,), "ignore": (ignore,)}
    (source,) = sources_of(TrainOptions(**given))
    pair = read(source)
    cut = (slice(4, 12), slice(4, 20), slice(0, 17))
    assert np.array_equal(pair.image, all_of_it.image[cut])
    assert np.array_equal(pair.ground_truth[0], all_of_it.ground_truth[0][cut])
    plan = plan_train((source,), options(given, tmp_path))
    note, _ = plan.notes
    assert "voxels z 4:12, y 4:20, x 0:17 at 50 nm are used" in note
    assert plan_train((whole,), options(volumes, tmp_path)).notes == (
        "patches are viewed along zyx ([train] axes = auto)",
    )
    assert trained(options(given, tmp_path / "model")).name == "model"


def test_labels_that_lie_elsewhere_are_refused(volumes: dict[str, Any], tmp_path: Path) -> None:
    def marked(name: str, *, depth: int, z_nm: float) -> tuple[str]:
        values, corner = np.ones((depth, 40, 40), np.uint8), (z_nm, -12.5, -12.5)
        path = tmp_path / name
        return (save(path, values, voxel_nm=FINE, kind="labels", corner_nm=corner),)

    away = {"labels": marked("away.zarr", depth=12, z_nm=1e6)}
    with pytest.raises(VolumeError, match="they meet nowhere; correct the translation"):
        trained(options({**volumes, **away}, tmp_path / "model"))
    apart = {
        "labels": marked("top.zarr", depth=4, z_nm=25.0),
        "ignore": marked("bottom.zarr", depth=4, z_nm=225.0),
    }
    with pytest.raises(ConfigError, match=r"nothing to learn from: no voxel is in all of"):
        trained(options({**volumes, **apart}, tmp_path / "model"))


def test_a_hold_out_that_shows_nothing_is_refused(volumes: dict[str, Any], tmp_path: Path) -> None:
    """Every score of it would be none, and any weights the best."""
    nothing = save(
        tmp_path / "nothing.zarr", np.zeros(SHAPE, np.uint8), voxel_nm=FINE, kind="labels"
    )
    with pytest.raises(ConfigError, match=r"no voxel held out is of any class in .*nothing\.zarr"):
        trained(options(volumes, tmp_path / "model", validation_labels=(nothing,)))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("images", lambda v: np.where(v > 130, np.nan, v).astype("f4"), "holds NaN or infinite"),
        ("images", lambda v: np.where(v > 160, np.inf, v).astype("f4"), "holds NaN or infinite"),
        ("labels", lambda v: v * 0, "so there is no object to learn"),
        ("labels", lambda v: v.astype("i2") - 1, "holds values below 0"),
        ("labels", lambda v: v.astype("f4"), "holds float32; the truth needs whole numbers"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    volumes: dict[str, Any], tmp_path: Path, kind: str, change: Any, said: str
) -> None:
    """MIC-DKFZ/nnUNet#1460 and #2767 (NaN), Project-MONAI/tutorials#174, DLTK#26 (no label)."""
    volume = open_volume(volumes[kind][0])
    values = change(volume.read(volume.info.box))
    nm = volume.info.voxel_nm
    url = save(tmp_path / "changed.zarr", values, voxel_nm=nm, kind=volume.info.kind)
    with pytest.raises(VolprocError, match=said):
        trained(options({**volumes, kind: (url,)}, tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(volumes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'\[train\] device = "cuda", but torch finds no GPU'):
        trained(options(volumes, tmp_path / "m", device="cuda"))


@pytest.mark.parametrize(
    "changed",
    [
        {"dtype": "uint64"},
        {"ids": 77, "dtype": "uint32"},
        {"chunks": (4, 8, 8)},
        {"chunks": (4, 4, 8), "shards": (4, 8, 16)},
        {"levels": True, "chunks": (2, 2, 2)},
        {"corner_nm": (-25.0, -12.5, -12.5)},
    ],
    ids=str,
)
def test_weights_follow_from_the_voxels_of_labels_and_not_from_how_they_are_stored(
    volumes: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
) -> None:
    """Edited labels and a plain copy of them teach the same; so do positions that mean the same."""
    how = dict(changed)
    monkeypatch.setattr(metadata, "MIN_LEVEL", 4 if how.pop("levels", False) else 10**9)
    ball = open_volume(volumes["labels"][0])
    values = ball.read(ball.info.box) * how.pop("ids", 1)
    values = values.astype(how.pop("dtype", values.dtype))
    info = new_volume(
        str(tmp_path / "copy.zarr"),
        shape=ball.info.shape,
        voxel_nm=VoxelNm(ball.info.voxel_nm),
        dtype=str(values.dtype),
        kind="labels",
        **how,
    )
    copy = create_volume(info, step="other", digest="other", version="0")
    copy.write(info.box, values)
    for level, (one, lower) in enumerate(pairwise(info.levels), start=1):
        step = each(lambda a, b: -(-a // b), one.shape, lower.shape)
        values = values[tuple(slice(None, None, n) for n in step)]
        copy.write(lower.box, values, level=level)
    copy.finish()
    assert (len(info.levels) > 1) == ("levels" in changed)
    alike = {**volumes, "labels": (info.url,)}
    validated = {"validation_labels": volumes["labels"]}
    plain = trained(options(volumes, tmp_path / "a", **validated))
    found = trained(options(alike, tmp_path / "b", **validated))
    assert found.weights_sha256 == plain.weights_sha256
