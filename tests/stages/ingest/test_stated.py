"""What files say of themselves is what is read: axes, units, position, meaning of values."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from volproc import IngestOptions
from volproc.errors import IngestError, VolumeError
from volproc.grid.box import whole_box
from volproc.stages.ingest.reader import open_source
from volproc.stages.ingest.stage import plan_ingest

VALUES = np.random.default_rng(1).integers(0, 255, (3, 8, 10), dtype="u1")
NM = (50, 10, 10)


def voxels(source):
    return source.read(whole_box(source.shape))


def h5(path, values, *, name="raw", labels=(), **attributes):
    with h5py.File(path, "w") as file:
        data = file.create_dataset(name, data=values)
        data.attrs.update(attributes)
        for axis, word in enumerate(labels):
            data.dims[axis].label = word
    return str(path)


def tags(words):
    return json.dumps({"axes": [{"key": word, "resolution": 0} for word in words]})


HDF5_AXES = [
    (VALUES.T, {"axistags": tags("xyz")}, "ilastik/ilastik#1863"),
    (VALUES.T[None, ..., None], {"axistags": tags("txyzc")}, "ilastik/ilastik4ij#22"),
    (VALUES[..., None], {"axistags": tags("zyxc")}, "ilastik/ilastik#1845"),
    (VALUES.T, {"axes": "xyz"}, "one word"),
    (VALUES.T, {"axes": ["x", "y", "z"]}, "a list"),
    (VALUES.T, {"axes": "X, Y, Z"}, "AllenCell/vole-core#352: capitals"),
    (VALUES.T, {"axisLabels": [b"x", b"y", b"z"]}, "picongpu#1478: openPMD"),
    (VALUES.T, {"axis_names": ["x", "y", "z"]}, "funlib"),
    (VALUES.T, {"labels": "xyz"}, "HDF5's own dimension labels"),
    (VALUES.T[:, None], {"labels": ["x", "c", "y", "z"]}, "a channel axis of one"),
    (VALUES, {"axes": "intensity"}, "a text that is not about axes"),
    (VALUES, {}, "no names"),
]


@pytest.mark.parametrize(("values", "said", "report"), HDF5_AXES)
def test_axes_of_hdf5_are_read_by_name(tmp_path, values, said, report):
    source = open_source(h5(tmp_path / "a.h5", values, **said), IngestOptions())
    np.testing.assert_array_equal(voxels(source), VALUES, err_msg=report)


def test_channels_and_times_of_hdf5_are_no_slices(tmp_path):
    path = h5(tmp_path / "a.h5", np.moveaxis(VALUES, 0, -1), axistags=tags("yxc"))
    with pytest.raises(IngestError, match=r"3 channels; choose one with --channel"):
        open_source(path, IngestOptions())
    np.testing.assert_array_equal(voxels(open_source(path, IngestOptions(channel=1)))[0], VALUES[1])
    turned = open_source(path, IngestOptions(axes="yxz"))
    np.testing.assert_array_equal(voxels(turned), VALUES)


HDF5_SIZES = [
    ({"resolution": [50.0, 10, 10]}, NM, "CREMI: nm"),
    ({"resolution": [0.05, 0.01, 0.01], "units": "um"}, NM, "mobie/mobie-viewer-fiji#583"),
    ({"resolution": [0.05, 0.01, 0.01], "unit": "micron"}, NM, "saalfeldlab/n5-ij#73"),
    ({"resolution": [0.05, 10, 10], "units": ["µm", "nm", "nm"]}, NM, "a unit for each axis"),
    ({"resolution": [50.0, 10, 10], "resolution_unit": b"nm"}, NM, "bytes"),
    ({"voxel_size": [50, 10, 10], "units": "nm"}, NM, "funlib"),
    ({"voxel_size": [50, 10, 10]}, None, "a length without a unit"),
    ({"resolution": [50.0, 10, 10], "units": "pixel"}, None, "ilastik/ilastik#3091"),
    ({"element_size_um": [0.05, 0.01, 0.01]}, NM, "ImageJ's HDF5 plugin"),
    ({"element_size_um": [0.05, 0.01, 0.01], "units": "counts"}, NM, "the unit of the values"),
]


@pytest.mark.parametrize(("said", "nm", "report"), HDF5_SIZES)
def test_sizes_of_hdf5_are_read_in_their_unit(tmp_path, said, nm, report):
    source = open_source(h5(tmp_path / "a.h5", VALUES, **said), IngestOptions())
    assert source.voxel_nm == (nm and pytest.approx(nm)), report


def test_sizes_of_hdf5_follow_the_stored_axes(tmp_path):
    said = {"axistags": tags("xyzc"), "resolution": [10.0, 10, 50]}
    source = open_source(h5(tmp_path / "a.h5", VALUES.T[..., None], **said), IngestOptions())
    assert source.voxel_nm == NM


def test_cells_of_bigdataviewer_are_unsigned(tmp_path):
    """bigdataviewer-core#118: its HDF5 library had signed types only."""
    values = np.array([0, 1, 40000, 65535] * 60, "u2").reshape(3, 8, 10)
    path = h5(tmp_path / "a.h5", values.view("i2"), name="t00000/s00/0/cells")
    np.testing.assert_array_equal(voxels(open_source(path, IngestOptions())), values)
    other = h5(tmp_path / "b.h5", values.view("i2"), name="raw")
    assert open_source(other, IngestOptions()).dtype == "int16"


def ome(folder, steps, *, values=VALUES, axes="zyx", units=("nanometer",) * 3, **more):
    group = zarr.open_group(str(folder), mode="w", zarr_format=2)
    group.create_array("0", data=values, chunks=values.shape)
    named = [{"name": a, "type": "space", "unit": u} for a, u in zip(axes, units, strict=True)]
    dataset = {"path": "0", "coordinateTransformations": steps}
    multiscale = {"version": "0.4", "axes": named, "datasets": [dataset]}
    group.attrs.update({"multiscales": [multiscale], **more})
    return str(folder)


def scale(*values):
    return {"type": "scale", "scale": list(values)}


def shift(*values):
    return {"type": "translation", "translation": list(values)}


OME_SIZES = [
    (scale(0.05, 10, 10), ("micrometer", "nanometer", "nanometer"), "mobie-viewer-fiji#583"),
    (scale(0.05, 0.01, 0.01), ("micron", "µm", "micron"), "saalfeldlab/n5-ij#73, #125"),
    (scale(0.05, 0.01, 0.01), ("um", "μm", "Micrometers"), "bioformats2raw#134"),
    (scale(5e-8, 1e-8, 1e-8), ("m", "meter", "metre"), "ome/bioformats#4253"),
    (scale(500, 100, 100), ("Å", "angstrom", "Ångström"), "crystallographers"),
    (scale(5e4, 1e4, 1e4), ("pm", "picometer", "picometre"), "IMBalENce/EM-tool#1"),
]


@pytest.mark.parametrize(("step", "units", "report"), OME_SIZES)
def test_units_of_ome_zarr_are_read_for_each_axis(tmp_path, step, units, report):
    source = open_source(ome(tmp_path / "a.zarr", [step], units=units), IngestOptions())
    assert source.voxel_nm == pytest.approx(NM), report


def test_a_scale_by_path_is_read(tmp_path):
    path = ome(tmp_path / "a.zarr", [{"type": "scale", "path": "sizes"}])
    with pytest.raises(VolumeError, match="a scale without its numbers in sizes"):
        open_source(path, IngestOptions())
    zarr.open_group(path, mode="a").create_array("sizes", data=np.array([50.0, 10, 10]))
    assert open_source(path, IngestOptions()).voxel_nm == NM


@pytest.mark.parametrize("voxel_nm", [None, NM])
def test_a_rotation_is_refused_in_one_line(tmp_path, voxel_nm):
    turn = {"type": "rotation", "rotation": [[1, 0, 0], [0, 0, -1], [0, 1, 0]]}
    path = ome(tmp_path / "a.zarr", [scale(*NM), turn])
    with pytest.raises(VolumeError, match="rotation that turns or shears") as told:
        open_source(path, IngestOptions(voxel_nm=voxel_nm))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("inner", ["", "/0"])
def test_an_ome_zarr_of_other_axes_is_turned(tmp_path, inner):
    """saalfeldlab/n5-ij#99: x, y, z; opened whole and as its array."""
    steps = [scale(10, 10, 50), shift(3000, 2000, 1000)]
    path = ome(tmp_path / "a.zarr", steps, values=VALUES.T, axes="xyz") + inner
    source = open_source(path, IngestOptions())
    np.testing.assert_array_equal(voxels(source), VALUES)
    assert (source.voxel_nm, source.stated.centre) == (NM, (1000, 2000, 3000))


ZARR_NAMES = [
    (["X", "Y", "Z"], VALUES.T, "AllenCell/vole-core#352"),
    (["x", "y", "z"], VALUES.T, "saalfeldlab/n5-ij#99"),
    (["channel", "Z", "Y", "X"], VALUES[None], "a channel axis of one"),
    (["plane", "row", "column"], VALUES, "words"),
]


@pytest.mark.parametrize(("names", "values", "report"), ZARR_NAMES)
def test_axes_of_zarr_are_read_by_name(tmp_path, names, values, report):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=values.shape,
        dtype="u1",
        chunks=values.shape,
        dimension_names=names,
    )
    array[:] = values
    source = open_source(str(tmp_path / "a.zarr"), IngestOptions())
    np.testing.assert_array_equal(voxels(source), VALUES, err_msg=report)


def imagej(path, values=VALUES, **metadata):
    tifffile.imwrite(
        path, values, imagej=True, resolution=(0.1, 0.1), metadata={"axes": "ZYX", **metadata}
    )
    return str(path)


IMAGEJ = [
    ({"unit": "nm", "spacing": 50}, NM, "ilastik/ilastik#3091: one unit for all"),
    ({"unit": "nm", "spacing": 0.05, "zunit": "um"}, NM, "ilastik/ilastik#3094"),
    ({"unit": "nm", "spacing": 0.05, "zunit": "\\u00B5m"}, NM, "cgohlke/tifffile#152"),
    ({"unit": "nm", "yunit": "nm", "zunit": "micron", "spacing": 0.05}, NM, "every unit"),
    ({"unit": "nm", "spacing": 50, "zunit": "pixel"}, None, "no unit along z"),
    ({"unit": "inch", "spacing": 1}, None, "dots per inch are of the screen"),
    ({"unit": "nm"}, None, "no thickness"),
]


@pytest.mark.parametrize(("said", "nm", "report"), IMAGEJ)
def test_units_of_imagej_are_read_for_each_axis(tmp_path, said, nm, report):
    source = open_source(imagej(tmp_path / "a.tif", **said), IngestOptions())
    assert source.voxel_nm == (nm and pytest.approx(nm)), report


@pytest.mark.parametrize("changed", [range(3, 6), [2]], ids=["from the middle on", "once"])
def test_a_series_has_one_pixel_size(tmp_path, changed):
    """qurit/rt-utils#97, moloney/dcmstack#55: spacing that changes midway."""
    for z in range(6):
        per_um = 50 if z in changed else 100
        tifffile.imwrite(
            tmp_path / f"s{z}.tif",
            VALUES[:1],
            imagej=True,
            resolution=(per_um, per_um),
            metadata={"axes": "ZYX", "unit": "um", "spacing": 0.05},
        )
    with pytest.raises(IngestError, match=r"20 x 20 nm .* 10 x 10 nm; name the slices"):
        voxels(open_source(str(tmp_path), IngestOptions()))
    stated = open_source(str(tmp_path), IngestOptions(voxel_nm=NM))
    assert voxels(stated).shape == (6, 8, 10)


def test_an_mrc_image_stack_has_no_thickness(tmp_path):
    """I2PC/scipion#142, em-MRCZ/python-mrcz#13: MZ is 1 in image stacks (MRC2014)."""
    import mrcfile

    for name, stack in ("a", True), ("b", False):
        with mrcfile.new(tmp_path / f"{name}.mrc") as file:
            file.set_data(VALUES.astype("i2"))
            file.voxel_size = (100, 100, 500)
            if stack:
                file.set_image_stack()
    assert open_source(str(tmp_path / "b.mrc"), IngestOptions()).voxel_nm == NM
    with pytest.raises(IngestError, match="no voxel size but pixels of 10 x 10 nm"):
        plan_ingest(str(tmp_path / "a.mrc"), str(tmp_path / "o.zarr"), IngestOptions())


WHITE_IS_ZERO = [
    (VALUES, 255 - VALUES.astype(int), "darktable#18815"),
    (VALUES > 99, VALUES <= 99, "image-rs/image-tiff#296: one bit"),
    (
        VALUES.astype("u2") * 257,
        65535 - VALUES.astype(int) * 257,
        "InsightSoftwareConsortium/ITK#6636",
    ),
    (VALUES.astype("i2") - 99, -1 - (VALUES.astype(int) - 99), "xarray-spatial#2278: with a sign"),
]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("stored", "meant", "report"), WHITE_IS_ZERO)
def test_white_is_zero_is_turned_over(tmp_path, stored, meant, report, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="miniswhite", compression=compression)
    source = open_source(str(path), IngestOptions())
    np.testing.assert_array_equal(voxels(source), meant, err_msg=report)
    assert "0 is white" in source.note
    as_labels = open_source(str(path), IngestOptions(labels=True))
    np.testing.assert_array_equal(voxels(as_labels), stored)


def test_white_is_zero_in_floats_is_refused(tmp_path):
    """xarray-contrib/xarray-spatial#1836."""
    tifffile.imwrite(tmp_path / "a.tif", VALUES.astype("f4"), photometric="miniswhite")
    with pytest.raises(IngestError, match=r"0 is white .* --labels"):
        open_source(str(tmp_path / "a.tif"), IngestOptions())


RAMP = np.arange(256)


@pytest.mark.parametrize(
    ("greys", "meant"),
    [
        (RAMP * 257, VALUES),
        (RAMP * 256, VALUES),
        (65535 - RAMP * 257, 255 - VALUES.astype(int)),
        (RAMP // 2 * 257, VALUES // 2),
    ],
)
def test_a_grey_palette_gives_its_greys(tmp_path, greys, meant):
    palette = np.array([greys] * 3, "u2")
    tifffile.imwrite(tmp_path / "a.tif", VALUES, photometric="palette", colormap=palette)
    source = open_source(str(tmp_path / "a.tif"), IngestOptions())
    assert source.dtype == "uint8"
    np.testing.assert_array_equal(voxels(source), meant)


def test_a_palette_of_colours_is_refused_but_for_labels(tmp_path):
    palette = np.array([RAMP * 257, RAMP[::-1] * 257, RAMP * 0], "u2")
    tifffile.imwrite(tmp_path / "a.tif", VALUES, photometric="palette", colormap=palette)
    with pytest.raises(IngestError, match=r"palette of colours.*--labels if the values are ids"):
        open_source(str(tmp_path / "a.tif"), IngestOptions())
    np.testing.assert_array_equal(
        voxels(open_source(str(tmp_path / "a.tif"), IngestOptions(labels=True))), VALUES
    )


def test_what_is_marked_or_listed_as_labels_is_never_averaged(tmp_path):
    """czbiohub-sf/iohub#423, bigdataviewer-core#118."""
    marked = ome(tmp_path / "a.zarr", [scale(*NM)], **{"image-label": {}})
    group = zarr.open_group(str(tmp_path / "b.zarr/labels"), mode="w", zarr_format=2)
    group.attrs["labels"] = ["cells"]
    listed = ome(tmp_path / "b.zarr/labels/cells", [scale(*NM)])
    other = ome(tmp_path / "labels/image.zarr", [scale(*NM)])
    cremi = h5(tmp_path / "c.h5", VALUES, name="volumes/labels/ids", resolution=[50.0, 10, 10])
    for url, kind in (marked, "labels"), (listed, "labels"), (cremi, "labels"), (other, "image"):
        plan = plan_ingest(url, str(tmp_path / "o.zarr"), IngestOptions())
        assert plan.output.kind == kind, url


POSITIONS = [
    ([scale(*NM), shift(1000, 2000, 3000)], {}, (1000, 2000, 3000), "janelia heinrich-2021a#1"),
    ([scale(*NM), shift(1000, 2000, 3000)], {"voxel_nm": NM}, (1000, 2000, 3000), "size again"),
    ([scale(*NM), shift(1000, 2000, 3000)], {"voxel_nm": (40, 8, 8)}, (800, 1600, 2400), "other"),
    ([shift(20, 200, 300), scale(*NM)], {}, (1000, 2000, 3000), "czbiohub-sf/iohub#75: first"),
    ([scale(*NM), shift(-100, 0, 5)], {}, (-100, 0, 5), "odinsbane: ngff-zarr#133, negative"),
    ([scale(*NM)], {}, (0, 0, 0), "none"),
]


@pytest.mark.parametrize(("steps", "options", "place", "report"), POSITIONS)
def test_what_is_written_lies_where_its_source_does(tmp_path, steps, options, place, report):
    path = ome(tmp_path / "a.zarr", steps)
    plan = plan_ingest(path, str(tmp_path / "o.zarr"), IngestOptions(**options))
    assert plan.output.levels[0].translation_nm == place, report


@pytest.mark.parametrize("units", [("pixel",) * 3, (None,) * 3])
def test_a_place_without_a_unit_is_kept_in_voxels(tmp_path, units):
    path = ome(tmp_path / "a.zarr", [scale(5, 1, 1), shift(100, 200, 300)], units=units)
    plan = plan_ingest(path, str(tmp_path / "o.zarr"), IngestOptions(voxel_nm=NM))
    assert plan.output.levels[0].translation_nm == (1000, 2000, 3000)


@pytest.mark.parametrize("kind", ["cremi", "funlib", "cosem"])
def test_places_of_arrays_are_kept(tmp_path, kind):
    if kind == "cremi":
        path = h5(tmp_path / "a.h5", VALUES, resolution=[50.0, 10, 10], offset=[1e3, 2e3, 3e3])
    else:
        path = str(tmp_path / "a.zarr")
        array = zarr.create_array(path, data=VALUES)
        funlib = {"voxel_size": [50, 10, 10], "offset": [1000, 2000, 3000], "units": ["nm"] * 3}
        cosem = {
            "axes": ["x", "y", "z"],
            "scale": [0.01, 0.01, 0.05],
            "translate": [3, 2, 1],
            "units": ["um"] * 3,
        }
        array.attrs.update(funlib if kind == "funlib" else {"transform": cosem})
    plan = plan_ingest(path, str(tmp_path / "o.zarr"), IngestOptions())
    assert plan.output.levels[0].translation_nm == pytest.approx((1000, 2000, 3000))


@pytest.mark.parametrize("kind", ["tif", "png"])
def test_files_without_a_known_place_lie_at_0(tmp_path, kind):
    """XPosition and YPosition of a TIFF are those of a page on paper."""
    from PIL import Image

    path = tmp_path / f"a.{kind}"
    if kind == "png":
        Image.fromarray(VALUES[0]).save(path)
    else:
        tags = [(286, "2I", 1, (3, 1), True), (287, "2I", 1, (2, 1), True)]
        tifffile.imwrite(path, VALUES, photometric="minisblack", extratags=tags)
    assert finest(path, tmp_path, voxel_nm=NM).translation_nm == (0, 0, 0)


def finest(path, tmp_path, **options):
    """The finest level that an ingest would write."""
    return plan_ingest(str(path), str(tmp_path / "o.zarr"), IngestOptions(**options)).output.levels[
        0
    ]


def test_an_origin_of_imagej_is_where_0_is(tmp_path):
    path = imagej(tmp_path / "a.tif", unit="nm", spacing=50, xorigin=3, yorigin=-2, zorigin=1)
    stated = open_source(path, IngestOptions()).voxel_nm
    assert finest(path, tmp_path).translation_nm == pytest.approx(
        (-stated[0], 2 * stated[1], -3 * stated[2])
    )
    assert finest(path, tmp_path, voxel_nm=(5, 4, 3)).translation_nm == (-5, 8, -9)


PLACES_OF_PLANES = {
    "with units": ({"X": (3.0, "µm"), "Y": (-40.0, "nm"), "Z": (0.5, "µm")}, (500, -40, 3000)),
    "none for z": ({"X": (3.0, "µm"), "Y": (1.0, "mm"), "Z": (7.0, None)}, (0, 1e6, 3000)),
    "no lengths": ({"X": (3.0, None), "Y": (2.0, "reference frame")}, (0, 0, 0)),
}


@pytest.mark.parametrize("name", PLACES_OF_PLANES)
def test_a_position_of_ome_planes_counts_where_its_unit_is_a_length(tmp_path, name):
    """fideus-labs/ngff-zarr#636: stage positions; OME's default unit is a "reference frame"."""
    stated, place = PLACES_OF_PLANES[name]
    planes = {}
    for axis, (number, unit) in stated.items():
        # the first plane's counts: later ones lie deeper
        planes[f"Position{axis}"] = [number, number + 9, number + 18]
        if unit:
            planes[f"Position{axis}Unit"] = [unit] * 3
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.03, "PhysicalSizeY": 0.02, "Plane": planes}
    tifffile.imwrite(path, VALUES, ome=True, photometric="minisblack", metadata=metadata)
    # the size along z is not stated: the place is
    found = finest(path, tmp_path, voxel_nm=(50, 20, 30)).translation_nm
    assert found == pytest.approx(place)


def test_axes_are_no_option_of_files_whose_axes_are_fixed(tmp_path):
    path = imagej(tmp_path / "a.tif", unit="nm", spacing=50)
    with pytest.raises(IngestError, match="--axes names the axes of arrays"):
        open_source(path, IngestOptions(axes="xyz"))


@pytest.mark.parametrize("steps", [[scale(*NM), shift(1000, 2000, 3000)], [scale(*NM)]])
def test_a_position_may_be_given_and_taken_away(tmp_path, steps):
    """janelia heinrich-2021a#1: an image states its place, its ground truth none."""
    path = ome(tmp_path / "a.zarr", steps)
    assert finest(path, tmp_path, position_nm=(7, -8, 9)).translation_nm == (7, -8, 9)
    assert finest(path, tmp_path, position_nm=(0, 0, 0)).translation_nm == (0, 0, 0)
    cut = finest(path, tmp_path, position_nm=(0, 0, 20), box="1:3,2:8,0:10")
    assert cut.translation_nm == (50, 20, 20)


def test_a_position_changes_no_recipe_where_none_is_given(tmp_path):
    path = ome(tmp_path / "a.zarr", [scale(*NM)])

    def digest(**options):
        return plan_ingest(path, str(tmp_path / "o.zarr"), IngestOptions(**options)).digest

    kept = plan_ingest(path, str(tmp_path / "o.zarr"), IngestOptions()).recipe.record()
    assert "position_nm" not in json.dumps(kept)
    assert digest() != digest(position_nm=(1, 2, 3))


def test_a_ground_truth_without_a_place_is_given_that_of_its_image(tmp_path):
    from volproc.volume.sampling import overlap

    def info(name, steps, **options):
        path = ome(tmp_path / f"{name}.zarr", steps)
        options = IngestOptions(**options)
        return plan_ingest(path, str(tmp_path / f"{name}-o.zarr"), options).output

    image = info("image", [scale(*NM), shift(1000, 2000, 3000)])
    with pytest.raises(VolumeError, match=r"meet nowhere.*--position-nm Z Y X"):
        overlap(image, info("truth", [scale(*NM)]))
    truth = info("truth", [scale(*NM)], position_nm=(1000, 2000, 3000))
    _, both = overlap(image, truth)
    assert both == truth.box
