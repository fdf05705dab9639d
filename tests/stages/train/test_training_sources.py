"""Sources: one meaning of the short and the long form, what is held out, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volproc import TrainOptions, load_workflow
from volproc.config.options import RenamedOptionWarning
from volproc.errors import ConfigError, GridError
from volproc.grid.box import Box
from volproc.stages.train.axes import shares_of
from volproc.stages.train.stage import plan_train
from volproc.stages.train.training_sources import apart, held_out_of, sources_of
from volproc.workflow.registry import registered

SHAPE = (20, 40, 40)


@pytest.fixture
def urls(save_volume: Callable[..., Any]) -> dict[str, str]:
    """An image of 50 x 10 x 10 nm with two label volumes and a mask."""
    rng = np.random.default_rng(0)
    nm = (50, 10, 10)
    grey = rng.integers(0, 255, SHAPE).astype(np.uint8)
    made = {"image": save_volume("image.zarr", grey, voxel_nm=nm)}
    for name in ("a", "b", "ignore"):
        marks = rng.integers(0, 3, SHAPE).astype(np.uint8)
        made[name] = save_volume(f"{name}.zarr", marks, kind="labels", voxel_nm=nm)
    return {name: volume.info.url for name, volume in made.items()}


def options(**more: Any) -> TrainOptions:
    small = {"widths": (3, 4), "slices_in": 4, "slices_out": 2, "patch": 16, "batch": 2}
    return TrainOptions(**{"voxel_nm": (50, 10, 10), **small, **more})


def planned(chosen: TrainOptions) -> Any:
    return plan_train(sources_of(chosen), chosen, validation=held_out_of(chosen))


def test_the_short_form_means_the_same_sources(urls: dict[str, str]) -> None:
    short = options(
        images=[urls["image"]], labels=[urls["a"]], ignore=[urls["ignore"]], weights=[2]
    )
    entry = {"image": urls["image"], "labels": urls["a"], "ignore": urls["ignore"], "weight": 2}
    long = options(data=[entry])
    assert sources_of(short) == sources_of(long)
    assert planned(short).digest == planned(long).digest
    held = {"validation_images": [urls["image"]], "validation_labels": [urls["a"]]}
    plain = {"image": urls["image"], "labels": urls["a"]}
    assert held_out_of(options(**held)) == held_out_of(options(validation=[plain]))


def test_each_class_has_the_volumes_that_its_table_names(urls: dict[str, str]) -> None:
    entry = {
        "image": urls["image"],
        "labels": {"one": urls["a"], "three": urls["b"]},
        "ignore": {"three": urls["ignore"]},
    }
    (source,) = sources_of(options(classes=["one", "two", "three"], data=[entry]))
    one, two, three = source.classes
    assert one
    assert three
    assert (one.labels.url, one.ignore, two) == (urls["a"], None, None)
    assert three.ignore
    assert three.ignore.url == urls["ignore"]
    assert len(source.volumes) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"classes": []}, r"classes = \[\]; name at least one"),
        ({"classes": ["a", "a"]}, r"names 'a' twice"),
        ({"targets": {"axon": {}}}, r"\[train\.targets\.axon\]: \[train\] classes = \['nucleus'\]"),
        ({"data": [{"labels": "b"}]}, r"\[\[train\.data\]\] has no image"),
        ({"data": [{"image": "b"}]}, r"image = 'b' has no labels"),
        ({"data": [{"image": "b", "labels": {"axon": "c"}}]}, r"labels of b names 'axon'"),
        ({"axes": {"z": 0}}, r"at least one axis needs a share above 0"),
        ({"axes": "xz"}, r"axes = 'xz': expected auto, some of zyx"),
        ({"axes": {"t": 1}}, r"axes = \{'t': 1\}: expected auto"),
        ({"patch": 200}, r"patches are 200 voxels along y, and .* has 40 of 10 nm there"),
        ({"axes": "y", "patch": 64}, r"patches are 64 voxels along z, and .* has 20 of 50 nm"),
        ({"voxel_nm": 10}, r"voxels of \[50.0, 10.0, 10.0\] nm, more than 2 times coarser"),
        ({"voxel_nm": (50, 10)}, r"voxel_nm"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    urls: dict[str, str], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(options(**{"images": [urls["image"]], "labels": [urls["a"]], **given}))


def test_two_classes_of_one_target_are_refused(urls: dict[str, str]) -> None:
    both = {"classes": ["a", "b"], "images": [urls["image"]], "labels": [urls["a"]]}
    with pytest.raises(ConfigError, match=r"a and b would be learnt from the same voxels of"):
        planned(options(**both))
    chosen = {"b": {"from": "values", "values": [2]}}
    assert len(planned(options(**both, targets=chosen)).targets) == 2


def test_boxes_are_voxels_of_the_image(urls: dict[str, str]) -> None:
    entry = {"image": urls["image"], "labels": urls["a"]}
    (source,) = sources_of(options(data=[{**entry, "box": "0:10,:,0:200nm"}]))
    assert source.box == Box((0, 0, 0), (10, 40, 20))
    with pytest.raises(GridError, match=r"names voxels 0:30, and the volume has 20"):
        sources_of(options(data=[{**entry, "box": "0:30,:,:"}]))


def held_out(urls: dict[str, str], *, box: str, held: str, margin: float = 0) -> TrainOptions:
    entry = {"image": urls["image"], "labels": urls["a"]}
    return options(
        data=[{**entry, "box": box}], validation=[{**entry, "box": held}], margin_nm=margin
    )


def test_what_is_held_out_is_cut_off_and_said(urls: dict[str, str]) -> None:
    plan = planned(held_out(urls, box="", held="12:14,:,:", margin=100))
    assert plan.sources[0].box == Box((0, 0, 0), (10, 40, 40))
    assert any("z 0:10, y 0:40, x 0:40 are trained on: beside" in note for note in plan.notes)


@pytest.mark.parametrize("margin", [0, 100])
def test_boxes_that_meet_what_is_held_out_are_refused(urls: dict[str, str], margin: float) -> None:
    edge = 14 - margin // 50
    planned(held_out(urls, box=f"0:{edge},:,:", held="14:20,:,:", margin=margin))
    with pytest.raises(ConfigError, match=r"are trained on, and voxels .* held out"):
        planned(held_out(urls, box=f"0:{edge + 1},:,:", held="14:20,:,:", margin=margin))


def test_several_boxes_of_one_image_are_held_out(urls: dict[str, str]) -> None:
    entry = {"image": urls["image"], "labels": urls["a"]}
    boxes = [{**entry, "box": box} for box in ("0:3,:,:", ":,0:10,:")]
    chosen = options(data=[entry], validation=boxes)
    (source,) = apart(sources_of(chosen), held_out_of(chosen), margin_nm=0)
    assert source.box == Box((3, 10, 0), (20, 40, 40))


def test_axes_follow_from_voxels_and_sections(urls: dict[str, str]) -> None:
    assert shares_of(options(), [SHAPE]) == (1, 0, 0)
    assert shares_of(options(voxel_nm=10), [SHAPE]) == (1 / 3,) * 3
    assert shares_of(options(voxel_nm=10, patch=48), [SHAPE]) == (1, 0, 0)  # of 20 sections
    assert shares_of(options(axes="zx"), [SHAPE]) == (0.5, 0, 0.5)
    assert shares_of(options(axes={"z": 2, "y": 1, "x": 1}), [SHAPE]) == (0.5, 0.25, 0.25)
    plan = planned(options(images=[urls["image"]], labels=[urls["a"]]))
    assert plan.axes_trained == "z"
    assert "patches are viewed along z ([train] axes = auto)" in plan.notes


def test_what_is_no_number_of_a_weight_changes_no_recipe(urls: dict[str, str]) -> None:
    given = {"images": [urls["image"]], "labels": [urls["a"]]}
    plain = planned(options(**given))
    assert planned(options(**given, cache_gb=5)).digest == plain.digest
    assert planned(options(**given, axes="z")).digest == plain.digest  # auto takes z here
    assert planned(options(**given, classes=["other"])).digest == plain.digest
    others = ({"cache_gb": 0.00009}, {"axes": "y"}, {"voxel_nm": (50, 12, 12)})
    wide = {"targets": {"nucleus": {"from": "outline", "width_nm": 30}}}
    digests = {planned(options(**given, **other)).digest for other in (*others, wide)}
    assert len({plain.digest, *digests}) == 5


def test_the_earlier_name_of_classes_still_works() -> None:
    with pytest.warns(RenamedOptionWarning, match="object_name is called classes now"):
        assert TrainOptions(object_name="axon").classes == ("axon",)


def test_paths_in_a_file_are_seen_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "there" / "workflow.toml"
    path.parent.mkdir()
    path.write_text(
        '[[train.data]]\nimage = "a.zarr"\nlabels = { one = "b.zarr" }\nignore = "../c.zarr"\n'
        '[[train.validation]]\nimage = "/d.zarr"\nlabels = "s3://e/f.zarr"\n'
    )
    train = load_workflow(path, environment={}).train
    (entry,), (held,) = train.data, train.validation
    assert entry.image == str(path.parent / "a.zarr")
    assert entry.labels == {"one": str(path.parent / "b.zarr")}
    assert entry.ignore == str(tmp_path / "c.zarr")
    assert (held.image, held.labels) == ("/d.zarr", "s3://e/f.zarr")


def test_data_without_an_image_are_of_the_runs(tmp_path: Path) -> None:
    path = tmp_path / "workflow.toml"
    path.write_text(
        '[run]\nsource = "stack.tif"\n[[train.data]]\nlabels = "a.zarr"\nbox = "0:10,:,:"\n'
        '[[train.validation]]\nlabels = "a.zarr"\nbox = "10:20,:,:"\n'
    )
    workflow = load_workflow(path, environment={})
    resolve = registered()["train"].resolve
    assert resolve
    found: Any = resolve(workflow, lambda name: f"run/{name}")
    assert [one.image for one in (*found.data, *found.validation)] == ["run/image.zarr"] * 2
    assert found.images == ()
