import re
import shutil

import numpy as np
import pytest
import zarr

from volproc.stages.check.structure import structure_of


@pytest.fixture
def wrong(sound):
    """wrong(): what the metadata of the sound volume shows by now."""

    def findings():
        return [
            (one.severity, one.where.removeprefix(str(sound)).lstrip("/"), one.what)
            for one in structure_of(str(sound))[0]
        ]

    return findings


def steps(document, level):
    (multiscale,) = document["attributes"]["ome"]["multiscales"]
    return multiscale["datasets"][level]["coordinateTransformations"]


def test_a_sound_image_and_its_labels(sound):
    found, images = structure_of(str(sound))
    assert found == []
    assert [(image.kind, image.ours, image.finished) for image in images] == [
        ("image", True, True),
        ("labels", True, True),
    ]
    assert len({len(image.levels) for image in images}) == 1


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ([50, 30, 20], r"has \(11, 65, 70\) voxels of \(50, 30, 20\) nm; expected \(11, 44, 70\)"),
        ([50, 20, 20.001], r"\(1, 2, 2\.0001\) times those of the first level"),
    ],
)
def test_a_wrong_scale(sound, edit, wrong, scale, said):
    edit(sound, lambda document: steps(document, 1)[0].update(scale=scale))
    assert all(one[:2] == ("error", "1") for one in wrong())
    assert re.search(said, wrong()[0][2])


def test_a_wrong_place(sound, edit, wrong):
    edit(sound, lambda document: steps(document, 1)[1].update(translation=[0, 5, 5.1]))
    wanted = "is placed at (0, 5, 5.1) nm; expected (0, 5, 5)"
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "1")
    assert what.startswith(wanted)


def test_a_level_that_is_gone(sound, wrong):
    shutil.rmtree(sound / "1")
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "1")
    assert "no array can be opened" in what


def test_a_level_that_is_not_listed_first(sound, edit, wrong):
    def without_first(document):
        del document["attributes"]["ome"]["multiscales"][0]["datasets"][0]

    edit(sound, without_first)
    assert wrong()[0] == ("warning", "", "its finest level is called 1: 0 missing?")


def test_an_array_of_another_shape(sound, edit, wrong):
    edit(sound / "1", lambda document: document.update(shape=[11, 66, 70]))
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "1")
    assert what.startswith("has (11, 66, 70) voxels of (50, 20, 20) nm; expected (11, 65, 70) from")


def test_an_array_of_another_type(sound, edit, wrong):
    edit(sound / "1", lambda document: document.update(data_type="uint16"))
    wanted = ("error", "1", "has voxels of uint16, the first level has uint8")
    assert wrong() == [wanted]


def test_shards_that_chunks_do_not_fill(sound, edit, wrong):
    def cut(document):
        document["codecs"][0]["configuration"]["chunk_shape"] = [3, 32, 32]

    edit(sound / "0", cut)
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "0")
    assert "divisible" in what


def test_levels_from_coarse_to_fine(sound, edit, wrong):
    def turn_over(document):
        document["attributes"]["ome"]["multiscales"][0]["datasets"].reverse()

    edit(sound, turn_over)
    assert any("levels go from fine to coarse" in what for _, _, what in wrong())


def test_an_unfinished_volume(sound, edit, wrong):
    edit(sound, lambda document: document["attributes"]["volproc"].update(finished=False))
    assert wrong() == [("error", "", "is unfinished: the ingest step was interrupted")]


def test_labels_that_are_listed_but_gone(sound, wrong):
    shutil.rmtree(sound / "labels/nuclei")
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "labels/nuclei")
    assert "does not exist" in what


def test_damaged_labels_are_found_through_their_image(sound, edit, wrong):
    edit(sound / "labels/nuclei", lambda document: steps(document, 1)[0].update(scale=[50, 30, 20]))
    assert {one[:2] for one in wrong()} == {("error", "labels/nuclei/1")}


def test_labels_are_whole_numbers(sound, edit, wrong):
    for level in sorted(path.parent for path in (sound / "labels/nuclei").glob("*/zarr.json")):
        edit(level, lambda document: document.update(data_type="float32", fill_value=0.0))
    assert ("error", "labels/nuclei", "labels are float32; expected integers") in wrong()


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": 9, "end": 9, "min": 0, "max": 255}, "goes from 9 to 9"),
        ({"start": 9, "end": 1, "min": 0, "max": 255}, "goes from 9 to 1"),
    ],
)
def test_a_window_that_shows_nothing(sound, edit, wrong, window, said):
    def narrow(document):
        document["attributes"]["ome"]["omero"]["channels"][0]["window"] = window

    edit(sound, narrow)
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "")
    assert said in what


def test_axes_no_volume_has(sound, edit, wrong):
    def swap(document):
        document["attributes"]["ome"]["multiscales"][0]["axes"].reverse()

    edit(sound, swap)
    assert "a volume needs (t, c,) z, y, x" in wrong()[0][2]


def test_no_unit_is_a_warning(sound, edit, wrong):
    def forget(document):
        for axis in document["attributes"]["ome"]["multiscales"][0]["axes"]:
            del axis["unit"]

    edit(sound, forget)
    ((severity, _, what),) = wrong()
    assert severity == "warning"
    assert "gives its axis z the unit None" in what


@pytest.mark.parametrize("multiscales", [[{"axes": 3}], "nonsense", [{}], [{"datasets": [{}]}]])
def test_metadata_that_is_none(sound, edit, wrong, multiscales):
    edit(sound, lambda document: document["attributes"]["ome"].update(multiscales=multiscales))
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "")
    assert what.startswith("its metadata is not OME-Zarr: ")


def test_what_only_ome_zarr_models_sees(sound, edit, wrong):
    edit(sound, lambda document: document["attributes"]["ome"].update(version="0.9"))
    ((severity, where, what),) = wrong()
    assert (severity, where) == ("error", "")
    assert what.startswith("ome-zarr-models refuses it: ")


def test_no_group_a_plate_and_an_empty_series(tmp_path):
    (tmp_path / "text.zarr").write_text("no volume")
    (found,), _ = structure_of(str(tmp_path / "text.zarr"))
    assert "no zarr group" in found.what
    zarr.open_group(str(tmp_path / "p.zarr"), mode="w").attrs["ome"] = {"plate": {}}
    (found,), _ = structure_of(str(tmp_path / "p.zarr"))
    assert "is a plate" in found.what
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="w")
    group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    (found,), _ = structure_of(str(tmp_path / "s.zarr"))
    assert "series without images" in found.what


def test_every_image_of_a_series_is_looked_at(written, edit, tmp_path):
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="w")
    group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    written("s.zarr/0")
    written("s.zarr/1", finished=False)
    found, images = structure_of(str(tmp_path / "s.zarr"))
    assert [image.url[-1] for image in images] == ["0", "1"]
    assert [one.where[-1] for one in found] == ["1"]


def test_levels_of_others_may_round_down_and_share_a_corner(tmp_path):
    group = zarr.open_group(str(tmp_path / "f.zarr"), mode="w")
    for path, n in zip("012", (21, 10, 5)):
        group.create_array(path, data=np.zeros((4, n, n), "uint8"), dimension_names=list("zyx"))
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    datasets = [
        {"path": p, "coordinateTransformations": [{"type": "scale", "scale": [40, f, f]}]}
        for p, f in zip("012", (10, 20, 40))
    ]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    assert structure_of(str(tmp_path / "f.zarr"))[0] == []


def others(folder, shape=(6, 40, 50), axes="zyx", datasets=None, multiscales=1, **more):
    """An OME-Zarr that volproc did not write."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2)
    group.create_array("0", data=np.ones(shape, "u1"), chunks=tuple(min(n, 16) for n in shape))
    scale = {"type": "scale", "scale": [1.0] * len(axes)}
    one = {
        "version": "0.4",
        "axes": [{"name": a, "type": "space", "unit": "nanometer"} for a in axes],
        "datasets": datasets or [{"path": "0", "coordinateTransformations": [scale]}],
        **more,
    }
    group.attrs["multiscales"] = [one] * multiscales
    return folder


def scaled(*scale, path="0"):
    transformations = [{"type": "scale", "scale": list(scale)}]
    return [{"path": path, "coordinateTransformations": transformations}]


ODD = {
    # scalableminds/webknossos-libs#272: 2D images among volumes
    "two axes": ({"shape": (40, 50), "axes": "yx"}, r"axes \['y', 'x'\]"),
    "two axes and channels": ({"shape": (2, 40, 50), "axes": "cyx"}, r"axes \['c', 'y', 'x'\]"),
    "one axis": ({"shape": (40,), "axes": "x"}, r"axes \['x'\]"),
    "no axes": ({"axes": []}, "axes"),
    "negative z": ({"datasets": scaled(-50, 10, 10)}, "runs backwards"),
    "negative x": ({"datasets": scaled(50, 10, -10)}, "runs backwards"),
    "zero": ({"datasets": scaled(0, 10, 10)}, "three positive numbers"),
    "two numbers": ({"datasets": scaled(10, 10)}, "2 numbers of scale"),
    "no scale": ({"datasets": [{"path": "0"}]}, "voxel size none|coordinateTransformations"),
    "no level": ({"datasets": scaled(50, 10, 10, path="9")}, "no array can be opened"),
    "no path": ({"datasets": [{}]}, "not OME-Zarr"),
    "a number as datasets": ({"datasets": 7}, "not OME-Zarr"),
    "an empty array": ({"shape": (0, 40, 50)}, "expected voxels along every axis"),
    "text as scale": ({"datasets": scaled("a", "b", "c")}, "not OME-Zarr"),
}


@pytest.mark.parametrize("depth", ["fast", "samples", "deep"])
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_volume_is_a_finding_never_a_traceback(tmp_path, check, name, depth):
    """ome/ZarrReader#24, fractal-analytics-platform/fractal-client#35: readers that crash on it."""
    how, message = ODD[name]
    found = check(others(tmp_path / "a.zarr", **how), depth)
    assert any(severity == "error" and re.search(message, what) for severity, _, what in found)


@pytest.mark.parametrize("depth", ["fast", "samples", "deep"])
def test_every_one_of_several_multiscales_is_checked(tmp_path, check, depth):
    """ome/ZarrReader#44."""
    folder = others(tmp_path / "a.zarr", multiscales=2)
    (finding,) = check(folder, depth)
    assert finding == ("warning", "", "holds 2 multiscale images, of which viewers show the first")
    (folder / "0/.zarray").unlink()
    assert sum(severity == "error" for severity, _, _ in check(folder, depth)) == 1
