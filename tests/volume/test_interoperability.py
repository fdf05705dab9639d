"""What volproc writes, opened by the tools that people open OME-Zarr with.

Every store has the same voxels in each tool, and every level the scale and translation written.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import pytest
import zarr

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.metadata import VolumeInfo, Window, new_volume

SHAPES = {"anisotropic": ((9, 301, 259), (50, 10.1, 10.1)), "odd": ((271, 33, 3), (4.13, 4, 4.07))}
CASES = [
    (version, kind, dtype, shape)
    for version in ("0.4", "0.5")
    for kind, dtypes in {
        "image": ("uint8", "uint16", "float32"),
        "labels": ("uint8", "uint32"),
    }.items()
    for dtype in dtypes
    for shape in SHAPES
]


@dataclass(frozen=True)
class Store:
    """A finished volume, and its voxels."""

    info: VolumeInfo
    values: Any

    @property
    def url(self):
        return self.info.url

    def assert_voxels(self, found):
        with dask.config.set(scheduler="synchronous"):
            assert np.array_equal(np.asarray(found), self.values)
        assert found.dtype == self.values.dtype

    def assert_places(self, found):
        """`found` holds scale and translation of every level, as (z, y, x)."""
        assert len(found) == len(self.info.levels) > 1
        for (scale, translation), level in zip(found, self.info.levels, strict=True):
            assert list(scale) == pytest.approx(level.voxel_nm, rel=0, abs=1e-9)
            assert list(translation) == pytest.approx(level.translation_nm, rel=0, abs=1e-9)


def write(url, values, voxel_nm, *, version, ledger, **more):
    info = new_volume(
        url,
        shape=values.shape[-3:],
        voxel_nm=parse_voxel_nm(voxel_nm),
        dtype=str(values.dtype),
        version=version,
        **more,
    )
    runner, steps = Runner(SerialEngine(), ledger), pyramid_steps(info, digest="d", name=url)
    volume = begin_volume(runner, info, step="test", digest="d", steps=steps)
    volume.write(info.box, values)
    return finish_volume(runner, volume, pyramid_steps(volume.info, digest="d", name=url)).info


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def store(request, tmp_path_factory):
    """Labels lie inside an image, where viewers look for them."""
    version, kind, dtype, name = request.param
    shape, voxel_nm = SHAPES[name]
    folder = tmp_path_factory.mktemp("store")
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    same = {"version": version, "ledger": folder / "ledger"}
    image = str(folder / "tissue.zarr")
    info = write(image, values, voxel_nm, kind="image", **same)
    if kind == "labels":
        info = write(f"{image}/labels/nuclei", values, voxel_nm, kind="labels", **same)
    return Store(info, values)


def tool(name):
    """The package, imported with its own warnings: they are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed")


def steps_of(datasets):
    found = [dataset["coordinateTransformations"] for dataset in datasets]
    assert [[step["type"] for step in steps] for steps in found] == [
        ["scale", "translation"]
    ] * len(found)
    return [(scale["scale"], translation["translation"]) for scale, translation in found]


def test_ome_zarr_models_finds_nothing_wrong(store):
    models = tool(f"ome_zarr_models.v{store.info.version.replace('.', '')}")
    model = models.Image if store.info.kind == "image" else models.ImageLabel
    read = model.from_zarr(zarr.open_group(store.url, mode="r"))
    attributes = read.attributes.model_dump()
    attributes = attributes.get("ome", attributes)
    store.assert_places(steps_of(attributes["multiscales"][0]["datasets"]))
    assert bool(attributes.get("omero")) == (store.info.kind == "image")


def test_ome_zarr_reads_it(store):
    tool("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(store.url))())
    node = next(node for node in nodes if node.zarr.basename() == store.url.rpartition("/")[2])
    store.assert_voxels(node.data[0])
    assert [data.shape for data in node.data] == [level.shape for level in store.info.levels]
    steps = node.metadata["coordinateTransformations"]
    store.assert_places(steps_of([{"coordinateTransformations": each} for each in steps]))


def test_ngff_zarr_reads_it(store):
    read = tool("ngff_zarr").from_ngff_zarr(store.url, validate=False)
    store.assert_voxels(read.images[0].data)
    assert read.images[0].dims == ("z", "y", "x")
    assert set(read.images[0].axes_units.values()) == {"nanometer"}
    places = [(image.scale, image.translation) for image in read.images]
    store.assert_places([[[each[n] for n in "zyx"] for each in place] for place in places])


def test_tensorstore_reads_every_level(store):
    tensorstore = tool("tensorstore")
    driver = "zarr" if store.info.version == "0.4" else "zarr3"
    arrays = [
        tensorstore.open(
            {"driver": driver, "kvstore": {"driver": "file", "path": f"{store.url}/{level.path}"}},
            read=True,
        ).result()
        for level in store.info.levels
    ]
    assert np.array_equal(arrays[0].read().result(), store.values)
    assert [array.shape for array in arrays] == [level.shape for level in store.info.levels]
    assert {array.dtype.name for array in arrays} == {store.info.dtype}
    if driver == "zarr3":
        assert {array.domain.labels for array in arrays} == {("z", "y", "x")}


def test_napari_shows_it(store, capsys):
    reader = tool("napari_ome_zarr").napari_get_reader(store.url)
    layers = reader(store.url)
    capsys.readouterr()  # the reader prints the attributes
    data, options, kind = layers[-1]
    assert kind == store.info.kind
    store.assert_voxels(data[0])
    assert [level.shape for level in data] == [level.shape for level in store.info.levels]
    assert options["scale"] == pytest.approx(store.info.voxel_nm, rel=0, abs=1e-9)
    assert np.array_equal(options["affine"].affine_matrix, np.eye(4))
    assert (options["axis_labels"], options["units"]) == (("z", "y", "x"), ("nanometer",) * 3)
    if kind == "image":
        window = store.info.window
        assert options["contrast_limits"] == [window.start, window.end]
        assert options["name"] == "tissue: tissue"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_votes_are_shown_in_colours_of_one_range(tmp_path, version, capsys):
    values = np.random.default_rng(0).integers(0, 99, (3, 9, 301, 20), dtype="uint8")
    votes = {"channels": ("x", "y", "z"), "window": Window(0, 255, 0, 255)}
    url, ledger = str(tmp_path / "votes.zarr"), tmp_path / "ledger"
    write(url, values, (50, 10, 10), version=version, ledger=ledger, **votes)
    ((data, options, _),) = tool("napari_ome_zarr").napari_get_reader(url)(url)
    capsys.readouterr()  # the reader prints the attributes
    with dask.config.set(scheduler="synchronous"):
        assert np.array_equal(np.asarray(data[0]), values)
    assert options["channel_axis"] == 0
    assert [colours.name for colours in options["colormap"]] == ["red", "green", "blue"]
    assert options["contrast_limits"] == [[0, 255]] * 3
