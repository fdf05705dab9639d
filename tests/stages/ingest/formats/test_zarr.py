import json
import os
import pickle
import shutil
import warnings

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import IngestError, VolumeError
from volproc.grid.box import Box
from volproc.stages.ingest.formats.zarr import open_zarr
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VALUES = np.random.default_rng(0).integers(0, 250, (9, 20, 31)).astype("uint16")
BOX = Box((2, 3, 4), (8, 20, 30))


def whole(source):
    return source.read(Box((0, 0, 0), source.shape))


def write_n5(tensorstore, url, values, *, attributes=(), **metadata):
    """A data set of N5: axes x, y, z."""
    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": str(url)},
        "metadata": {
            "dimensions": list(values.shape[::-1]),
            "blockSize": [7, 6, 5][: values.ndim],
            "dataType": str(values.dtype),
            "compression": {"type": "gzip"},
            **metadata,
        },
    }
    tensorstore.open(spec, create=True).result().write(values.T).result()
    note(url, dict(attributes))


def note(url, attributes):
    file = url / "attributes.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    url.mkdir(exist_ok=True, parents=True)
    file.write_text(json.dumps({**known, **attributes}))


@pytest.fixture(scope="module")
def tensorstore():
    return pytest.importorskip("tensorstore", reason="N5 needs the extra n5")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_volumes_of_volproc_are_read_at_any_level(tmp_path, version):
    values = np.tile(VALUES, (1, 20, 1))
    info = new_volume(
        str(tmp_path / "a.zarr"),
        shape=values.shape,
        voxel_nm=(50.0, 10.0, 10.0),
        dtype="uint16",
        version=version,
        chunks=(8, 16, 16),
    )
    volume = create_volume(info, step="test", digest="d", version="0")
    volume.write(info.box, values)
    with pytest.raises(VolumeError, match="is unfinished"):
        open_zarr(str(tmp_path / "a.zarr"))
    volume.write(info.levels[1].box, values[:, ::2, ::2], level=1)
    volume.finish()
    source = open_zarr(str(tmp_path / "a.zarr"))
    assert (source.shape, source.dtype, source.voxel_nm) == (values.shape, "uint16", (50, 10, 10))
    assert np.array_equal(source.read(BOX), values[BOX.slices])
    coarser = open_zarr(f"{tmp_path}/a.zarr/1/")
    assert coarser.voxel_nm == (50, 20, 20)
    assert np.array_equal(whole(coarser), values[:, ::2, ::2])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", ">u2", "int64", "float16", "<f8"])
def test_plain_arrays_are_read_as_they_are(tmp_path, zarr_format, dtype):
    values = VALUES.astype(dtype)
    zarr.create_array(
        str(tmp_path / "a.zarr"), data=values, chunks=(4, 8, 8), zarr_format=zarr_format
    )
    source = pickle.loads(pickle.dumps(open_zarr(str(tmp_path / "a.zarr"))))
    assert source.dtype == np.dtype(dtype).newbyteorder("=").name
    assert source.voxel_nm is None
    assert source.read(BOX).dtype.isnative
    assert np.array_equal(source.read(BOX), values[BOX.slices])


@pytest.mark.parametrize(
    ("shape", "read"),
    [((20, 31), (1, 20, 31)), ((1, 1, 9, 20, 31), (9, 20, 31)), ((1, 20, 31), (1, 20, 31))],
)
def test_axes_of_length_1_make_no_difference(tmp_path, shape, read):
    values = VALUES[: read[0]].reshape(shape)
    zarr.create_array(str(tmp_path / "a.zarr"), data=values)
    assert np.array_equal(whole(open_zarr(str(tmp_path / "a.zarr"))), values.reshape(read))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("axes")


@given(order=st.permutations("zyxc"), zarr_format=st.sampled_from([2, 3]))
def test_named_axes_may_stand_in_any_order(folder, order, zarr_format):
    values = VALUES[..., None].transpose(["zyxc".index(name) for name in order])
    url = f"{folder}/{''.join(order)}{zarr_format}.zarr"
    named = {"dimension_names": order}
    if zarr_format == 2:
        named = {"attributes": {"_ARRAY_DIMENSIONS": order}}
    zarr.create_array(url, data=values, zarr_format=zarr_format, overwrite=True, **named)
    source = open_zarr(url)
    assert np.array_equal(whole(source), VALUES)
    assert np.array_equal(source.read(BOX), VALUES[BOX.slices])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 9, 20, 31)), r"shape \(2, 9, 20, 31\); expected z, y, x"),
        (np.zeros(9), r"shape \(9,\); expected z, y, x"),
        (np.zeros((2, 3, 4), "complex64"), "holds complex64 voxels"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(tmp_path, values, message):
    zarr.create_array(str(tmp_path / "a.zarr"), data=values)
    with pytest.raises((IngestError, VolumeError), match=message):
        open_zarr(str(tmp_path / "a.zarr"))


def test_the_only_volume_of_a_group_is_taken_and_several_are_named(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(VolumeError, match="0 arrays, expected one; name it: there is none"):
        open_zarr(str(tmp_path / "a.zarr"))
    group.create_array("volumes/raw", data=VALUES)
    group.create_array("z", data=np.arange(9))
    group.create_array("outline", data=VALUES[0])
    assert np.array_equal(whole(open_zarr(str(tmp_path / "a.zarr"))), VALUES)
    group.create_array("volumes/labels", data=VALUES)
    with pytest.raises(VolumeError, match=r"2 arrays.* name it: \S*volumes/labels, \S*volumes/raw"):
        open_zarr(str(tmp_path / "a.zarr"))
    assert open_zarr(f"{tmp_path}/a.zarr/volumes/raw").shape == VALUES.shape


def test_of_several_channels_one_is_named(tmp_path):
    put_image(tmp_path / "a.zarr", np.stack([VALUES, VALUES // 2]), unit="nanometer")
    for channel in (None, 2):
        with pytest.raises(IngestError, match=r"2 channels \(0, 1\); choose one with --channel"):
            open_zarr(str(tmp_path / "a.zarr"), channel=channel)
    assert np.array_equal(whole(open_zarr(str(tmp_path / "a.zarr"), channel=1)), VALUES // 2)


def put_image(url, values, *, unit):
    group = zarr.open_group(str(url), mode="w")
    group.create_array("0", data=values, chunks=(*[1] * (values.ndim - 3), 4, 4, 31))
    space = [{"name": n, "type": "space", **({"unit": unit} if unit else {})} for n in "zyx"]
    axes = [{"name": "c", "type": "channel"}] * (values.ndim - 3) + space
    scale = {"type": "scale", "scale": [1.0] * (values.ndim - 3) + [0.05, 0.01, 0.01]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}


def test_images_of_others_state_a_voxel_size_or_do_not(tmp_path):
    put_image(tmp_path / "a.zarr", VALUES[None], unit="micrometer")
    source = open_zarr(str(tmp_path / "a.zarr"))
    assert source.voxel_nm == pytest.approx((50, 10, 10))
    assert np.array_equal(whole(source), VALUES)
    assert open_zarr(f"{tmp_path}/a.zarr/0").voxel_nm == source.voxel_nm
    put_image(tmp_path / "b.zarr", VALUES, unit=None)
    assert open_zarr(str(tmp_path / "b.zarr")).voxel_nm is None


def test_flat_chunks_are_read_by_rows(tmp_path):
    for name, chunks in {"flat": (9, 5, 31), "tall": (9, 6, 31)}.items():
        zarr.create_array(str(tmp_path / name), data=VALUES, chunks=chunks)
    assert open_zarr(str(tmp_path / "flat")).by_rows
    assert not open_zarr(str(tmp_path / "tall")).by_rows


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_identity_changes_with_voxels_and_metadata(tmp_path, zarr_format):
    url = str(tmp_path / "a.zarr")
    array = zarr.create_array(url, data=VALUES, chunks=(9, 5, 31), zarr_format=zarr_format)
    first = open_zarr(url).identity
    assert open_zarr(url).identity == first
    array[0, 0, 0] = 7
    second = open_zarr(url).identity
    assert second != first
    array.attrs["a"] = 1
    assert open_zarr(url).identity not in (first, second)


def test_a_damaged_chunk_is_named(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=VALUES, chunks=(9, 20, 31), zarr_format=2)
    chunk = tmp_path / "a.zarr" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    with pytest.raises(VolumeError, match=r"cannot read .*a\.zarr, voxels z 2:8"):
        open_zarr(str(tmp_path / "a.zarr")).read(BOX)


def test_nothing_and_something_else_are_refused(tmp_path):
    with pytest.raises(VolumeError, match="does not exist"):
        open_zarr(str(tmp_path / "none.zarr"))
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(VolumeError, match="neither Zarr nor N5"):
        open_zarr(str(tmp_path / "a.zarr"))


UNITS = {"resolution": [4, 8, 40], "units": ["nm", "nm", "nm"]}
COSEM = {
    "pixelResolution": {"dimensions": [1, 2, 3], "unit": "m"},
    "transform": {"axes": ["z", "y", "x"], "scale": [40, 8, 4], "units": ["nm"] * 3},
}
STATED = [
    ({}, None),
    ({"resolution": [4, 8, 40]}, None),
    (UNITS, (40, 8, 4)),
    ({"voxel_size": [0.004, 0.008, 0.04], "unit": "µm"}, (40, 8, 4)),
    ({"pixelResolution": {"dimensions": [4, 8, 40], "unit": "nm"}}, (40, 8, 4)),
    ({"pixelResolution": {"dimensions": [4, 8], "unit": "nm"}}, None),
    ({"pixelResolution": {"dimensions": [4, 8, 0], "unit": "nm"}}, None),
    ({"pixelResolution": [4, 8, 40]}, None),
    (COSEM, (40, 8, 4)),
    ({"transform": {"axes": "zyx"}}, None),
    ({**UNITS, "downsamplingFactors": [1, 1, 1]}, (40, 8, 4)),
    ({**UNITS, "downsamplingFactors": [[1, 1, 1], [2, 2, 2]]}, (40, 8, 4)),
    ({**UNITS, "downsamplingFactors": [2, 2, 1]}, None),
]


@pytest.mark.parametrize(("attributes", "voxel_nm"), STATED)
def test_n5_states_sizes_x_first_with_a_unit(tmp_path, tensorstore, attributes, voxel_nm):
    write_n5(tensorstore, tmp_path / "a.n5" / "raw", VALUES, attributes=attributes)
    found = open_zarr(str(tmp_path / "a.n5" / "raw")).voxel_nm
    assert found == (None if voxel_nm is None else pytest.approx(voxel_nm))


def test_zarr_states_sizes_in_the_order_of_its_axes(tmp_path):
    attributes = {"resolution": [40, 8, 4], "units": ["nm", "nm", "nm"]}
    zarr.create_array(str(tmp_path / "a"), data=VALUES, attributes=attributes)
    assert open_zarr(str(tmp_path / "a")).voxel_nm == (40, 8, 4)
    zarr.create_array(
        str(tmp_path / "b"), data=VALUES.T, dimension_names=["x", "y", "z"], attributes=UNITS
    )
    assert open_zarr(str(tmp_path / "b")).voxel_nm == (40, 8, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("kind", ["raw", "gzip", "bzip2", "xz", "blosc"])
def test_n5_is_read_with_its_axes_turned_round(tmp_path, tensorstore, dtype, kind):
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": 1} if kind == "blosc" else {}
    values = VALUES.astype(dtype)
    write_n5(tensorstore, tmp_path / "a.n5", values, compression={"type": kind, **blosc})
    source = pickle.loads(pickle.dumps(open_zarr(str(tmp_path / "a.n5"))))
    assert (source.shape, source.dtype) == (VALUES.shape, dtype)
    assert np.array_equal(source.read(BOX), values[BOX.slices])
    assert np.array_equal(whole(source), values)


def test_the_finest_of_an_n5_pyramid_is_taken_and_several_volumes_are_named(tmp_path, tensorstore):
    note(tmp_path / "a.n5", {"n5": "2.0.0"})
    note(tmp_path / "a.n5" / "em", {"pixelResolution": {"dimensions": [4, 8, 40], "unit": "nm"}})
    for level in (0, 1):
        write_n5(tensorstore, tmp_path / "a.n5" / "em" / f"s{level}", VALUES[level:])
    source = open_zarr(str(tmp_path / "a.n5"))
    assert source.voxel_nm == (40, 8, 4)
    assert np.array_equal(whole(source), VALUES)
    assert source.by_rows is False
    write_n5(tensorstore, tmp_path / "a.n5" / "labels", VALUES)
    with pytest.raises(VolumeError, match=r"2 arrays, expected one; name it: .*/em/s0, .*/labels"):
        open_zarr(str(tmp_path / "a.n5"))


def test_without_tensorstore_n5_names_the_extra(tmp_path, tensorstore, monkeypatch):
    write_n5(tensorstore, tmp_path / "a.n5", VALUES)
    monkeypatch.setitem(__import__("sys").modules, "tensorstore", None)
    with pytest.raises(VolumeError, match=r"pip install '\.\[n5\]'"):
        open_zarr(str(tmp_path / "a.n5"))


@pytest.mark.real
def test_a_level_of_several_channels_says_so(real_data):
    url = str(real_data / "ome-zarr" / "6001240_labels_v0.5.zarr")
    with pytest.raises(IngestError, match=r"2 channels \(LaminB1, Dapi\)"):
        open_zarr(url)
    labels = open_zarr(f"{url}/labels/0")
    assert (labels.shape, labels.dtype) == ((236, 275, 271), "int8")
    assert labels.voxel_nm == pytest.approx(
        (500.2025531914894, 360.3981534640209, 360.3981534640209)
    )
    assert open_zarr(f"{url}/labels/0/3").shape[0] == 236


def put_pyramid(url, *, datasets, arrays, version=3, axes="zyx", **more):
    """An OME-Zarr of one's own: `datasets` are lists of (path, scale) per multiscale."""
    group = zarr.open_group(str(url), mode="w", zarr_format=version)
    for path, values in arrays.items():
        group.create_array(path, data=values, chunks=(4, 8, 8))
    named = [{"name": n, "type": "space", "unit": "nanometer"} for n in axes]
    multiscales = [
        {
            "name": f"image {number}",
            "axes": named,
            "datasets": [
                {"path": p, "coordinateTransformations": [{"type": "scale", "scale": list(s)}]}
                for p, s in one
            ],
            **more,
        }
        for number, one in enumerate(datasets)
    ]
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    else:
        group.attrs["multiscales"] = [{**one, "version": "0.4"} for one in multiscales]


FINE, COARSE, COARSEST = (50, 10, 10), (50, 20, 20), (50, 40, 40)
LEVELS = {"0": VALUES, "1": VALUES[:, ::2, ::2], "2": VALUES[:, ::4, ::4]}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "order",
    [
        [("2", COARSEST), ("1", COARSE), ("0", FINE)],
        [("1", COARSE), ("0", FINE), ("2", COARSEST)],
        [("0", FINE), ("1", COARSE), ("2", COARSEST)],
    ],
)
def test_the_finest_level_is_taken_wherever_it_is_listed(tmp_path, version, order):
    """glencoesoftware/bioformats2raw#276: levels out of the order that the specification asks."""
    put_pyramid(tmp_path / "a.zarr", datasets=[order], arrays=LEVELS, version=version)
    source = open_zarr(str(tmp_path / "a.zarr"))
    assert source.voxel_nm == FINE
    assert np.array_equal(whole(source), VALUES)
    paths = [level.path for level in source.array.info.levels]
    assert paths == ["0", "1", "2"]


def test_a_level_of_a_size_that_is_not_stated_is_found_by_its_voxels(tmp_path):
    put_pyramid(tmp_path / "a.zarr", datasets=[[("1", (0, 0, 0)), ("0", (0, 0, 0))]], arrays=LEVELS)
    source = open_zarr(str(tmp_path / "a.zarr"))
    assert source.voxel_nm is None
    assert np.array_equal(whole(source), VALUES)


@pytest.mark.parametrize("version", [2, 3])
def test_of_two_multiscales_none_is_taken_without_a_word(tmp_path, version):
    """ome/ZarrReader#44, ome/omero-ms-zarr#28: viewers show the first and ignore the second."""
    put_pyramid(
        tmp_path / "a.zarr",
        datasets=[[("0", FINE), ("1", COARSE)], [("other", COARSEST)]],
        arrays={**LEVELS, "other": VALUES[:, ::4, ::4] // 2},
        version=version,
    )
    with pytest.raises(
        VolumeError,
        match=r"2 multiscale images \(image 0: 0, 1; image 1: other\); .*ingest \S*a\.zarr/0 OUT",
    ):
        open_zarr(str(tmp_path / "a.zarr"))
    assert np.array_equal(whole(open_zarr(f"{tmp_path}/a.zarr/0")), VALUES)
    other = open_zarr(f"{tmp_path}/a.zarr/other")
    assert other.voxel_nm == COARSEST
    assert np.array_equal(whole(other), VALUES[:, ::4, ::4] // 2)


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_a_level_is_read_where_the_finest_was_not_downloaded(tmp_path, version, consolidated):
    """ScrollPrize/villa#1804: metadata that list more levels than there are."""
    url = tmp_path / "a.zarr"
    put_pyramid(
        url,
        datasets=[[("0", FINE), ("1", COARSE), ("2", COARSEST)]],
        arrays=LEVELS,
        version=version,
    )
    if consolidated:  # then the description of level 0 is still there, as an array of zeros
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(url))
    shutil.rmtree(url / "0")
    source = open_zarr(f"{url}/1")
    assert source.voxel_nm == COARSE
    assert np.array_equal(whole(source), LEVELS["1"])
    with pytest.raises((VolumeError, IngestError), match=r"level 0.*ingest .*a\.zarr/(1|LEVEL)"):
        open_zarr(str(url))


@pytest.mark.parametrize("version", [2, 3])
def test_a_finest_level_without_chunks_is_not_zeros(tmp_path, version):
    """zarr-developers/zarr-python#486, #587: a missing chunk reads as its fill value."""
    url = tmp_path / "a.zarr"
    put_pyramid(url, datasets=[[("0", FINE), ("1", COARSE)]], arrays=LEVELS, version=version)
    for inner in (url / "0").iterdir():
        if inner.name not in ("zarr.json", ".zarray", ".zattrs"):
            shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
    with pytest.raises(IngestError, match=r"no chunk of level 0 is there.*ingest \S*a\.zarr/1$"):
        open_zarr(str(url))
    assert np.array_equal(whole(open_zarr(f"{url}/1")), LEVELS["1"])


@pytest.mark.parametrize(
    "scale", [(-50, 10, 10), (50, -10, 10), (50, 10, -10), (-50.0, -10.0, -10.0)]
)
def test_an_axis_that_runs_backwards_is_refused_as_that(tmp_path, scale):
    """No exact report: ITK writes directions, and converters make negative scales of them."""
    put_pyramid(tmp_path / "a.zarr", datasets=[[("0", scale)]], arrays=LEVELS)
    for url in (tmp_path / "a.zarr", tmp_path / "a.zarr/0"):
        with pytest.raises(VolumeError, match=r"runs backwards; mirror") as caught:
            open_zarr(str(url))
        assert "states no voxel size" not in str(caught.value)
    with pytest.raises(VolumeError, match="runs backwards"):
        open_volume(str(tmp_path / "a.zarr"), voxel_nm=(50, 10, 10))


def test_an_array_of_an_image_that_cannot_be_read_is_not_read_without_its_metadata(tmp_path):
    """Opened by itself, array 0 of an image with a broken scale would be a plain one."""
    put_pyramid(tmp_path / "a.zarr", datasets=[[("0", (10, 10))]], arrays=LEVELS)
    with pytest.raises(VolumeError, match="2 numbers of scale"):
        open_zarr(f"{tmp_path}/a.zarr/0")


@pytest.mark.parametrize("path", ["s0", "a/s0", "deep/er/s0"])
def test_levels_may_lie_deep(tmp_path, path):
    put_pyramid(tmp_path / "a.zarr", datasets=[[(path, FINE)]], arrays={path: VALUES})
    source = open_zarr(f"{tmp_path}/a.zarr/{path}")
    assert source.voxel_nm == FINE
    assert np.array_equal(whole(source), VALUES)


def test_n5_data_sets_may_be_links(tmp_path, tensorstore):
    """No exact report: a container on two disks, one data set a link."""
    write_n5(tensorstore, tmp_path / "elsewhere", VALUES)
    note(tmp_path / "a.n5", {"n5": "2.0.0"})
    os.symlink("../elsewhere", tmp_path / "a.n5/raw")
    assert np.array_equal(whole(open_zarr(str(tmp_path / "a.n5"))), VALUES)
