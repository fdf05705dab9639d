"""What napari gets of a run: every volume in its place to the nanometre, and the table."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import yaml
from PIL import Image

import volproc
from volproc.grid.box import Box
from volproc.viewing.napari_reader import get_reader, read
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

napari_layers = pytest.importorskip("napari.layers", reason="napari is not installed")
npe2 = pytest.importorskip("npe2", reason="napari is not installed")

TABLE = """id,volume_um3,centroid_z_nm,centroid_y_nm,centroid_x_nm,kind
7,2.5,250,150,50,round
9,0.25,250,150,50,
"""


@pytest.fixture
def run(save_volume, tmp_path):
    (tmp_path / "run").mkdir()
    values = np.arange(10 * 20 * 30, dtype=np.uint8).reshape(10, 20, 30)
    coarse = values[:, ::2, ::2]
    labels = np.select([coarse > 170, coarse > 100], [np.uint32(7), np.uint32(9)])
    save_volume("run/image.zarr", values, voxel_nm=(50, 25, 25), corner_nm=(1000, 0, -50))
    save_volume(
        "run/objects.zarr", labels, kind="labels", voxel_nm=(50, 50, 50), corner_nm=(1000, 0, -50)
    )
    (tmp_path / "run" / "workflow.json").write_text("{}")
    (tmp_path / "run" / "objects.csv").write_text(TABLE)
    return str(tmp_path / "run")


def test_every_voxel_is_where_it_was_seen(run):
    (image, image_how, _), (labels, labels_how, kind), (points, _, _) = read(run)
    assert kind == "labels"
    assert (image[0].shape, labels[0].shape) == ((10, 20, 30), (10, 10, 15))
    for how in (image_how, labels_how):
        corner = np.subtract(how["translate"], np.divide(how["scale"], 2))
        np.testing.assert_allclose(corner, (1000, 0, -50))
        assert how["units"] == ("nanometer",) * 3
        assert how["axis_labels"] == ("z", "y", "x")
    np.testing.assert_allclose(points, [(1250, 150, 0)] * 2)
    assert image[0].compute()[3, 4, :3].tolist() == [128, 129, 130]


def test_the_table_is_the_labels_features(run):
    features = read(run)[1][1]["features"]
    assert features["index"] == [7, 9]
    assert features["volume_um3"] == [2.5, 0.25]
    assert features["kind"] == ["round", ""]


def test_votes_are_a_layer_for_each_axis(tmp_path):
    info = new_volume(
        str(tmp_path / "votes.zarr"),
        shape=(8, 16, 16),
        voxel_nm=(50, 50, 50),
        dtype="uint8",
        channels=("x", "y", "z"),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="test", version="0")
    volume.write(info.box, np.arange(3, dtype=np.uint8)[:, None, None, None])
    layers = read(volume.finish().info.url)
    assert [how["name"] for _, how, _ in layers] == ["votes x", "votes y", "votes z"]
    colours = [how["colormap"].colors[1].tolist() for _, how, _ in layers]
    assert colours == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]
    for number, (data, _, _) in enumerate(layers):
        assert (data[0].compute() == np.full((8, 16, 16), number)).all()


def test_what_is_no_volume_is_left_to_others(run, tmp_path):
    assert get_reader(run) is not None
    assert get_reader([f"{run}/image.zarr", f"{run}/objects.zarr"]) is not None
    for other in (str(tmp_path), "picture.tif", [f"{run}/image.zarr", "picture.tif"]):
        assert get_reader(other) is None


def test_napari_opens_it(run):
    made = [napari_layers.Layer.create(*layer) for layer in read(run)]
    assert [layer.name for layer in made] == ["image", "objects", "listed objects"]
    np.testing.assert_allclose(made[0].extent.world[0], (1000 + 25, 12.5, -37.5))
    assert list(made[1].features["index"]) == [7, 9]


QT = ("PyQt6", "PySide6")
WITH_A_SCREEN = ("xvfb-run", "-a", "-s", "-screen 0 1200x900x24")


@pytest.fixture
def picture(run, tmp_path):
    """What napari tells of a run that it opened, and the pixels of its canvas."""
    if not any(map(find_spec, QT)):
        pytest.skip(f"napari draws with Qt: pip install {QT[0]}")
    if not which(WITH_A_SCREEN[0]):
        pytest.skip("napari needs a screen: apt-get install xvfb xauth libgl1-mesa-dri")
    place = Path(__file__).with_name("napari_picture.py")
    command = [*WITH_A_SCREEN, sys.executable, place, run, tmp_path / "seen.png"]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    with Image.open(tmp_path / "seen.png") as seen:
        return json.loads((tmp_path / "seen.json").read_text()), np.asarray(seen.convert("RGB"))


def test_napari_shows_each_voxel_where_the_reader_put_it(picture, run):
    """Colours of labels in a picture, by where a pixel lies in nm."""
    told, pixels = picture
    assert told["layers"] == [
        ["image", [50, 25, 25], [1025, 12.5, -37.5]],
        ["objects", [50, 50, 50], [1025, 25, -25]],
        ["listed objects", [1, 1, 1], [0, 0, 0]],
    ]
    assert told["units"] == [["nanometer"] * 3] * 3
    assert told["features"]["index"] == [7, 9]
    assert told["points"] == [[1000 + 250, 150, 50 - 50]] * 2
    labels = open_volume(f"{run}/objects.zarr").read(Box((4, 0, 0), (5, 10, 15)))[0]
    rows, columns = (
        np.floor((middle + (np.arange(n) + 0.5 - n / 2) / told["zoom"] - corner) / 50).astype(int)
        for middle, n, corner in zip(told["middle"], pixels.shape[:2], (0, -50), strict=True)
    )
    around = np.pad(labels, 1)
    shown = around[np.ix_(rows.clip(-1, 10) + 1, columns.clip(-1, 15) + 1)]
    assert {*np.unique(shown)} == {0, 7, 9}
    expected = np.stack([shown == 7, shown == 9, shown < 0], axis=-1) * 255
    wrong = (abs(pixels - expected) > 40).any(axis=-1)
    assert wrong.mean() < 0.01  # a border may run through a pixel


def test_the_manifest_names_the_reader():
    manifest = yaml.safe_load((Path(volproc.__file__).parent / "napari.yaml").read_text())
    (command,) = manifest["contributions"]["commands"]
    module, _, name = command["python_name"].partition(":")
    assert (module, name) == (get_reader.__module__, get_reader.__name__)
    npe2.PluginManifest(**manifest)
