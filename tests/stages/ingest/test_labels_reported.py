"""Labels that public reports tell of: what is stored, at every level, is what the files hold."""

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from volproc import IngestOptions, MeasureOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import IngestError, VolprocError
from volproc.grid.box import whole_box
from volproc.stages.check.stage import plan_check, run_check
from volproc.stages.ingest.reader import open_source
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.stages.measure.stage import plan_measure, run_measure
from volproc.volume.store import open_volume

NM = (50, 10, 10)
SHAPE = (4, 40, 300)


@pytest.fixture
def runner(tmp_path):
    return Runner(SerialEngine(), tmp_path / "records")


@pytest.fixture
def ingested(tmp_path, runner):
    """The levels of what is made of some labels: ingested(values, ...)."""

    def make(values, **options):
        path = str(tmp_path / "a.h5")
        with h5py.File(path, "w") as file:
            file["labels"] = values
        asked = IngestOptions(**{"voxel_nm": NM, "labels": True, **options})
        plan = plan_ingest(path, str(tmp_path / "o.zarr"), asked)
        run_ingest(plan, runner)
        group = zarr.open_group(str(tmp_path / "o.zarr"), mode="r")
        return [group[name][:] for name in sorted(group.array_keys())]

    return make


def ids(dtype, *values):
    """Labels in which each of `values` fills a box of its own, on 0."""
    out = np.zeros(SHAPE, dtype)
    for n, value in enumerate(values):
        out[1:3, 4:36, 70 * n + 1 : 70 * n + 67] = value
    return out


HIGH = {
    "uint8": (1, 254, 255),
    "uint16": (1, 65534, 65535),
    "int32": (16777216, 16777217, 2147483647),  # apache/mxnet#8405: 16777217 became 16777216
    "uint32": (16777217, 4294967294, 4294967295),
    "int64": (2**53, 2**53 + 1, 2**63 - 1),
    "uint64": (2**53 + 1, 2**63 + 1, 2**64 - 1),
}


@pytest.mark.parametrize("dtype", HIGH)
def test_ids_of_any_type_stay_exact_at_every_level(ingested, dtype):
    """apache/mxnet#8405, apache/mxnet#10584, ANTsX/ANTsPy#574: floats on the way changed them."""
    values = ids(dtype, *HIGH[dtype])
    levels = ingested(values)
    assert len(levels) > 1
    assert levels[0].dtype == values.dtype
    np.testing.assert_array_equal(levels[0], values)
    for level in levels:
        assert set(np.unique(level).tolist()) <= {0, *HIGH[dtype]}


def test_labels_below_zero_are_kept_and_not_counted_as_objects(ingested, tmp_path, runner):
    """MIC-DKFZ/nnUNet#251, DonGovi/pyramid-detection-3D#2: -1 is "nobody looked"."""
    values = ids("int16", -1, 5)
    levels = ingested(values)
    np.testing.assert_array_equal(levels[0], values)
    assert all(set(np.unique(level).tolist()) <= {-1, 0, 5} for level in levels)
    labels = open_volume(str(tmp_path / "o.zarr"))
    plan = plan_measure(labels.info, str(tmp_path / "m"), MeasureOptions(meshes="none"))
    with pytest.raises(VolprocError, match=r"-1") as told:
        run_measure(plan, runner)
    assert "\n" not in str(told.value)


def test_a_label_for_the_border_is_a_label(ingested):
    """hanchaoleng/ShapeConv#14, wkentaro/pytorch-fcn#114: 255 for what is to be ignored."""
    values = ids("uint8", 1, 255)
    np.testing.assert_array_equal(ingested(values)[0], values)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_labels_in_floats_are_refused_with_the_way_out(ingested, dtype):
    """ilastik/ilastik#2605, MIC-DKFZ/nnDetection#331, spinalcordtoolbox#3230: 6.0001 for 6."""
    with pytest.raises(IngestError, match=r"labels are whole numbers: convert them, or ingest it"):
        ingested(ids(dtype, 1, 2))


def test_masks_of_one_bit_are_0_and_1(ingested):
    """mantasu/glasses-detector#23: masks that had other values than two."""
    values = ids(bool, True)
    levels = ingested(values)
    assert [level.dtype for level in levels] == ["uint8"] * len(levels)
    np.testing.assert_array_equal(levels[0], values)
    assert all(set(np.unique(level).tolist()) <= {0, 1} for level in levels)


@pytest.mark.parametrize("ending", ["jpg", "tif"])
@pytest.mark.parametrize("several", [False, True])
def test_labels_that_lost_their_values_are_refused(tmp_path, ending, several):
    """romi/plant-3d-vision#140, milesial/Pytorch-UNet#363, ZettaAI/zetta_utils#766: JPEG."""
    plane = ids("u1", 50, 51)[2]
    for n in range(3 if several else 1):
        path = tmp_path / f"s{n}.{ending}"
        if ending == "jpg":
            path.write_bytes(imagecodecs.jpeg_encode(plane))
        else:
            tifffile.imwrite(path, plane, compression="jpeg", photometric="minisblack")
    url = str(tmp_path if several else tmp_path / f"s0.{ending}")
    with pytest.raises(IngestError, match=r"is JPEG, which changes values.*save them as PNG"):
        open_source(url, IngestOptions(labels=True))
    assert open_source(url, IngestOptions()).shape[1:] == plane.shape


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "jpegxl"])
def test_labels_compressed_without_loss_are_read(tmp_path, compression):
    """girder/large_image#400: masks are to be compressed without loss."""
    values = ids("u1", 50, 51)
    # JPEG XL can be either; tifffile writes it without loss unless told otherwise
    tifffile.imwrite(tmp_path / "a.tif", values, compression=compression, photometric="minisblack")
    source = open_source(str(tmp_path / "a.tif"), IngestOptions(labels=True))
    np.testing.assert_array_equal(source.read(whole_box(source.shape)), values)


def test_ids_spread_over_colours_are_refused(tmp_path):
    """wkentaro/labelme#113 and other painters' masks: an id is red + 256 green + 65536 blue."""
    colours = np.zeros((20, 30, 3), "u1")
    colours[5:9, 5:9] = (7, 1, 0)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(colours))
    with pytest.raises(IngestError, match="has colour"):
        open_source(str(tmp_path / "a.png"), IngestOptions(labels=True))


@pytest.mark.parametrize("value", [0, 7])
def test_labels_of_one_value_everywhere(ingested, tmp_path, runner, value):
    """scikit-image/scikit-image#4284, #1271, brainglobe-segmentation#98: none, or only one."""
    levels = ingested(np.full(SHAPE, value, "u2"))
    assert all((level == value).all() for level in levels)
    labels = open_volume(str(tmp_path / "o.zarr"))
    plan = plan_measure(labels.info, str(tmp_path / "m"), MeasureOptions(meshes="none"))
    run_measure(plan, runner)
    assert len((tmp_path / "m/objects.csv").read_text().splitlines()) == 1 + bool(value)


def test_labels_without_a_background_are_all_labels(ingested):
    """scikit-image/scikit-image#806: every voxel has a label, none of them 0."""
    values = np.full(SHAPE, 2, "u4")
    values[:, :, 150:] = 9
    levels = ingested(values)
    assert all(set(np.unique(level).tolist()) == {2, 9} for level in levels)


def test_coarser_levels_have_the_most_frequent_label(ingested):
    """google/neuroglancer#49, scalableminds/webknossos-libs#61, scverse/spatialdata#692."""
    values = np.random.default_rng(0).integers(1, 4, (4, 64, 300)).astype("u4")
    values[:, ::2, ::2] = values[:, 1::2, ::2] = values[:, ::2, 1::2]  # three of four alike
    levels = ingested(values)
    # of 50 x 10 x 10 nm only y and x are halved
    assert levels[1].shape == (4, 32, 150)
    np.testing.assert_array_equal(levels[1], values[:, ::2, ::2])


def others(folder, values, coarser, **marks):
    """Labels of another program: a finest level, a coarser one, and `image-label`."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2)
    group.create_array("0", data=values, chunks=(4, 20, 50))
    group.create_array("1", data=coarser, chunks=(4, 20, 50))
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for n, scale in enumerate([[50, 10, 10], [50, 20, 20]])
    ]
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    multiscale = {"version": "0.4", "axes": axes, "datasets": datasets}
    group.attrs.update({"multiscales": [multiscale], "image-label": {"version": "0.4", **marks}})
    return str(folder)


def test_the_finest_level_counts_where_coarser_ones_are_averages(tmp_path, runner):
    """ome/ome-zarr-py#70: int64 labels whose coarser levels were float64 averages."""
    values = ids("i8", 10, 20)
    coarser = values.astype("f8").reshape(4, 20, 2, 150, 2).mean((2, 4))
    url = others(tmp_path / "a.zarr", values, coarser)
    source = open_source(url, IngestOptions())
    assert (source.dtype, source.kind) == ("int64", "labels")
    np.testing.assert_array_equal(source.read(whole_box(source.shape)), values)
    found = run_check(plan_check(url, depth="deep"), runner)
    assert any("voxels of float64, the first level has int64" in one.what for one in found)
    with pytest.raises(IngestError, match="labels are whole numbers"):
        plan_ingest(f"{url}/1", str(tmp_path / "o.zarr"), IngestOptions(labels=True, voxel_nm=NM))


def test_check_finds_ids_that_averaging_made(tmp_path, runner):
    """czbiohub-sf/iohub#423: pyramids of labels with ids that never were."""
    values = ids("u2", 10, 20)
    values[:, ::2] = 0  # rows of stripes: their averages are 5 and 10
    averaged = values.reshape(4, 20, 2, 150, 2).mean((2, 4)).round().astype("u2")
    url = others(tmp_path / "a.zarr", values, averaged)
    found = run_check(plan_check(url, depth="deep"), runner)
    assert any("do not come from" in one.what for one in found)
    sound = others(tmp_path / "b.zarr", values, values[:, 1::2, ::2])
    assert not [one for one in run_check(plan_check(sound, depth="deep"), runner) if one.file]


@pytest.mark.parametrize(
    "colors",
    [
        [],
        [{"label-value": 70000, "rgba": [255, 0, 0, 255]}],  # hms-dbmi/vizarr#242: above 255
        [{"label-value": -1, "rgba": [0, 0, 0, 0]}],
        [{"label-value": 1.0}],
        [{"rgba": [0, 0, 0, 0]}],
    ],
)
def test_colours_of_labels_change_nothing(tmp_path, colors):
    """hms-dbmi/vizarr#242, ome-zarr-models/ome-zarr-models-py#113: colours of any kind."""
    values = ids("u4", 1, 70000)
    url = others(tmp_path / "a.zarr", values, values[:, ::2, ::2], colors=colors)
    source = open_source(url, IngestOptions())
    assert source.kind == "labels"
    np.testing.assert_array_equal(source.read(whole_box(source.shape)), values)


def test_labels_inside_an_image_are_found_by_their_path(tmp_path):
    """ome/napari-ome-zarr#33: an image with two label images was opened without them."""
    values = ids("u2", 1, 2)
    image = zarr.open_group(str(tmp_path / "i.zarr"), mode="w", zarr_format=2)
    image.create_group("labels").attrs["labels"] = ["cells", "nuclei"]
    others(tmp_path / "i.zarr/labels/cells", values, values[:, ::2, ::2])
    others(tmp_path / "i.zarr/labels/nuclei", values * 2, values[:, ::2, ::2])
    for name, factor in ("cells", 1), ("nuclei", 2):
        source = open_source(str(tmp_path / "i.zarr/labels" / name), IngestOptions())
        assert source.kind == "labels"
        np.testing.assert_array_equal(source.read(whole_box(source.shape)), values * factor)
    with pytest.raises(VolprocError, match=r"labels/cells.*labels/nuclei"):
        open_source(str(tmp_path / "i.zarr/labels"), IngestOptions())
