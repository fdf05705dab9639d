"""What napari and neuroglancer take from our files: colours, ranges, places, names, meshes."""

import csv
import json
import sys
import warnings

import numpy as np
import pytest
from tests.stages.measure.formats.test_precomputed import Manifest

from volproc import cli

CORNER_NM = (-25.0, -10.0, -10.0)
"""Of the scene, whose voxels are 50 x 20 x 20 nm, the first one's centre at 0."""


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory, scene, tiny_model):
    """A folder with all that can be looked at, as commands make it."""
    folder = tmp_path_factory.mktemp("looked at")
    commands = [
        f"predict {scene.image} {tiny_model} prediction.zarr --votes votes.zarr --image-grid"
        " --agreement --disagreement",
        "label prediction.zarr objects.zarr --min-volume-um3 0.004",
        f"measure objects.zarr measured --meshes precomputed --image {scene.image}"
        " --votes votes.zarr",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands:
            patch.setattr(sys, "argv", ["volproc", *command.split(" "), "--serial"])
            with pytest.raises(SystemExit, match="0"):
                cli.main()
    return folder


def quietly(name):
    """The package, imported with its own warnings: they are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed")


def napari_layer(path, capsys):
    ((_, options, kind),) = quietly("napari_ome_zarr").napari_get_reader(str(path))(str(path))
    capsys.readouterr()  # the reader prints the attributes
    return options, kind


VOXELS_NM = {
    "prediction": (50, 50, 50),
    "prediction-native": (50, 20, 20),
    "votes": (50, 50, 50),
    "votes-agreement": (50, 50, 50),
    "votes-disagreement": (50, 50, 50),
    "objects": (50, 50, 50),
}


@pytest.mark.parametrize("name", VOXELS_NM)
def test_all_lie_over_the_image(looked_at, name):
    """ome-zarr and neuroglancer take voxels' centres from the metadata; napari-ome-zarr 0.10
    leaves the translation out.
    """
    quietly("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (node,) = Reader(parse_url(str(looked_at / f"{name}.zarr")))()
    for level in node.metadata["coordinateTransformations"]:
        scale, translation = level[0]["scale"][-3:], level[1]["translation"][-3:]
        np.testing.assert_allclose(np.subtract(translation, np.divide(scale, 2)), CORNER_NM)
    finest = node.metadata["coordinateTransformations"][0][0]["scale"][-3:]
    np.testing.assert_allclose(finest, VOXELS_NM[name])


@pytest.mark.parametrize(
    ("name", "limits"),
    [("prediction", [0, 255]), ("votes-agreement", [0, 3]), ("votes-disagreement", [0, 255])],
)
def test_napari_shows_whole_ranges(looked_at, name, limits, capsys):
    options, kind = napari_layer(looked_at / f"{name}.zarr", capsys)
    assert kind == "image"
    assert options["contrast_limits"] == limits
    np.testing.assert_allclose(options["scale"], VOXELS_NM[name])
    assert options["units"] == ("nanometer",) * 3


def test_napari_shows_the_axes_votes_in_their_colours(looked_at, capsys):
    options, _ = napari_layer(looked_at / "votes.zarr", capsys)
    assert options["name"] == ["votes: x", "votes: y", "votes: z"]
    assert [colours.name for colours in options["colormap"]] == ["red", "green", "blue"]
    assert options["contrast_limits"] == [[0, 255]] * 3


def test_napari_shows_the_numbers_of_each_object(looked_at, capsys):
    options, kind = napari_layer(looked_at / "objects.zarr", capsys)
    assert kind == "labels"
    found, wanted = options["properties"], table(looked_at / "measured")
    assert wanted
    assert [str(n) for n in found["index"]] == list(wanted)
    assert {str(n) for n in options["colormap"]} == set(wanted)
    assert all(colour[3] == 1 for colour in options["colormap"].values())
    for name in ("volume_um3", "sphericity", "agreement"):
        expected = [float(row[name]) for row in wanted.values()]
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)


def test_neuroglancer_finds_the_objects_under_the_rules_of_its_specification(looked_at):
    meshes = looked_at / "measured" / "meshes"
    info = strictly(meshes / "info")
    assert info["@type"] == "neuroglancer_multilod_draco"
    listed = strictly(meshes / info["segment_properties"] / "info")
    assert listed["@type"] == "neuroglancer_segment_properties"
    ids = listed["inline"]["ids"]
    assert ids == list(table(looked_at / "measured"))
    for one in listed["inline"]["properties"]:
        assert (one["type"], one["data_type"]) == ("number", "float32")
        assert len(one["values"]) == len(ids)
        assert np.isfinite(one["values"]).all()


def test_neuroglancer_draws_meshes_where_the_labels_are(looked_at):
    """To a voxel, and the 25 nm that simplifying may take."""
    meshes = looked_at / "measured" / "meshes"
    info = strictly(meshes / "info")
    assert info["vertex_quantization_bits"] == 16
    transform = np.reshape(info["transform"], (3, 4))
    for name, row in table(looked_at / "measured").items():
        manifest = Manifest((meshes / f"{name}.index").read_bytes(), (meshes / name).read_bytes())
        finest = manifest.xyz(0).reshape(-1, 3) @ transform[:, :3].T + transform[:, 3]
        for end, found in (("start", finest.min(axis=0)), ("stop", finest.max(axis=0))):
            box = [float(row[f"{end}_{axis}_nm"]) for axis in "xyz"]
            np.testing.assert_allclose(found, np.add(box, CORNER_NM[::-1]), atol=50 + 25)


def table(folder):
    """Rows of objects.csv by id."""
    with open(folder / "objects.csv") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def strictly(path):
    """JSON without NaN or infinity, which browsers refuse."""

    def refuse(name):
        raise AssertionError(f"{path} has {name}")

    return json.loads(path.read_text(), parse_constant=refuse)
