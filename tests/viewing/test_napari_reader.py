"""What napari gets of a run: every volume in its place to the nanometre, and the table."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import volproc
from volproc.viewing.napari_reader import get_reader, read
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

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
    labels = (values[:, ::2, ::2] > 100).astype(np.uint32)
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


def test_the_manifest_names_the_reader():
    manifest = yaml.safe_load((Path(volproc.__file__).parent / "napari.yaml").read_text())
    (command,) = manifest["contributions"]["commands"]
    module, _, name = command["python_name"].partition(":")
    assert (module, name) == (get_reader.__module__, get_reader.__name__)
    npe2.PluginManifest(**manifest)
