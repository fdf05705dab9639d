"""Palettes, grey saved as colour, and display settings that public reports tell of."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.grid.box import whole_box
from volproc.stages.ingest.reader import open_source

VALUES = np.arange(256, dtype="u1").reshape(1, 16, 16)
RAMP = np.arange(256)


def opened(path, **options):
    return open_source(str(path), IngestOptions(**options))


def voxels(source):
    return source.read(whole_box(source.shape))


def with_palette(path, greys, **how):
    """A TIFF of indices; `greys` are a row, or three for red, green and blue."""
    colours = np.broadcast_to(np.asarray(greys), (3, 256)).astype("u2")
    tifffile.imwrite(path, VALUES, photometric="palette", colormap=colours, **how)
    return path


def png(path, indices, palette, *, transparency=b"", bits=8):
    """A PNG of indices, chunk by chunk: libraries write no palette that is too short."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    height, width = indices.shape
    rows = b"".join(b"\0" + row.tobytes() for row in indices.astype("u1"))
    head = struct.pack(">2I5B", width, height, bits, 3, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"PLTE", np.asarray(palette, "u1").tobytes())]
    chunks += [(b"tRNS", transparency)] if transparency else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))
    return path


@pytest.mark.parametrize(
    ("greys", "meant"),
    [
        (RAMP, RAMP),  # python-pillow/Pillow#2157, libvips/libvips#220: 0 to 255 in 16 bits
        (RAMP[::-1], RAMP[::-1]),
        (RAMP * 256, RAMP),  # OSGeo/gdal#10310: 256 times, where the standard has 257
        (RAMP * 257, RAMP),
        (RAMP // 16 * 16 * 257, RAMP // 16 * 16),
        (RAMP * 200 + 5, RAMP * 200 + 5),  # 16 bits that are of no eight
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_palette_of_greys_in_any_scale(tmp_path, greys, meant, compression):
    """The reports' images became black, or one grey too dark."""
    source = opened(with_palette(tmp_path / "a.tif", greys, compression=compression))
    np.testing.assert_array_equal(voxels(source).ravel(), meant)


def test_a_grey_image_with_a_palette_that_changes_nothing(tmp_path):
    """image-rs/image-tiff#202: a grey test image that is stored with a palette."""
    source = opened(with_palette(tmp_path / "a.tif", RAMP * 257))
    np.testing.assert_array_equal(voxels(source), VALUES)
    assert source.note == ""


def test_indices_are_not_taken_for_greys(tmp_path):
    """darktable-org/darktable#19089, opencv/opencv_extra#931: read as if they were greys."""
    colours = [RAMP * 257, RAMP[::-1] * 257, RAMP * 0]
    with pytest.raises(IngestError, match=r"palette of colours.*--labels if the values are ids"):
        opened(with_palette(tmp_path / "a.tif", colours))


def test_a_palette_beside_an_opacity_is_one_line(tmp_path):
    """SerenityOS/serenity#22397: indices with a second sample that says how opaque they are."""
    pairs = np.stack([VALUES[0], VALUES[0]], -1)
    path = tmp_path / "a.tif"
    # no writer does that: the tag is changed afterwards
    tifffile.imwrite(path, pairs, photometric="minisblack", extrasamples=[2], planarconfig=1)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(3)
    with pytest.raises(IngestError, match="a volume needs grey planes") as told:
        opened(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("greys", [[0, 50, 100, 150], [0, 1, 2, 3]])
def test_an_index_that_the_palette_lacks_is_one_line(tmp_path, greys):
    """pnggroup/libpng#653, #822, w3c/png#96: decoders show black, or white, for such an index."""
    path = png(tmp_path / "a.png", np.array([[0, 1], [2, 7]]), np.repeat(greys, 3))
    with pytest.raises(
        IngestError, match=r"a\.png holds the index 7 into a palette of 4; give --labels"
    ) as told:
        voxels(opened(path))
    assert "\n" not in str(told.value)
    np.testing.assert_array_equal(voxels(opened(path, labels=True))[0], [[0, 1], [2, 7]])


@pytest.mark.parametrize("opaque", [b"\xff\xff", b"", b"\xff" * 4])
def test_a_grey_palette_that_hides_nothing_is_grey(tmp_path, opaque):
    """imageio/imageio#475: palettes that state how opaque they are."""
    indices, greys = np.array([[0, 1], [2, 3]]), np.repeat([9, 50, 100, 150], 3)
    source = opened(png(tmp_path / "a.png", indices, greys, transparency=opaque))
    np.testing.assert_array_equal(voxels(source)[0], [[9, 50], [100, 150]])


@pytest.mark.parametrize("opaque", [b"\0", b"\xff\x80", b"\xff\xff\xff\0"])
def test_a_grey_palette_that_hides_some_is_refused(tmp_path, opaque):
    """imageio/imageio#475: it looked like grey, and parts of it were not to be seen."""
    indices, greys = np.array([[0, 1], [2, 3]]), np.repeat([9, 50, 100, 150], 3)
    path = png(tmp_path / "a.png", indices, greys, transparency=opaque)
    with pytest.raises(IngestError, match="palette of colours"):
        opened(path)


def test_a_palette_of_labels_gives_its_indices(tmp_path):
    """wkentaro/pytorch-fcn#114: masks of Pascal VOC, where 255 is the border."""
    colours = np.random.default_rng(0).integers(0, 256, 768).astype("u1")
    indices = np.array([[0, 1, 255], [20, 1, 0]])
    path = png(tmp_path / "a.png", indices, colours)
    np.testing.assert_array_equal(voxels(opened(path, labels=True))[0], indices)
    with pytest.raises(IngestError, match="--labels if the values are ids"):
        opened(path)


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_grey_saved_as_colour_of_16_bits_keeps_them(tmp_path, samples):
    """python-pillow/Pillow#7723, matplotlib/matplotlib#915, imageio/imageio#204: read as 8 bits."""
    grey = (np.arange(63, dtype="u2") * 1040 + 7).reshape(7, 9)
    colours = [grey] * (1 if samples == 2 else 3)
    opaque = [np.full_like(grey, 65535)] * (samples in (2, 4))
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.stack([*colours, *opaque], -1)))
    source = opened(path)
    assert source.dtype == "uint16"
    np.testing.assert_array_equal(voxels(source)[0], grey)


def test_colours_that_differ_in_the_lower_bits_are_colours(tmp_path):
    """python-pillow/Pillow#7723: equal in the eight bits that were read."""
    grey = np.full((4, 5), 1000, "u2")
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.stack([grey, grey, grey + 1], -1)))
    with pytest.raises(IngestError, match="has colour"):
        opened(path)


@pytest.mark.parametrize(("opaque", "refused"), [(255, False), (0, False), (None, True)])
def test_grey_with_an_opacity_is_grey_where_that_is_one_number(tmp_path, opaque, refused):
    """dmMaze/BallonsTranslator#1205: grey with opacity gave an array of two channels."""
    grey = np.arange(20, dtype="u1").reshape(4, 5)
    alpha = grey if opaque is None else np.full_like(grey, opaque)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.stack([grey, alpha], -1)))
    if refused:
        with pytest.raises(IngestError, match="has colour"):
            opened(tmp_path / "a.png")
    else:
        np.testing.assert_array_equal(voxels(opened(tmp_path / "a.png"))[0], grey)


def test_a_grey_that_is_called_clear_stays_a_number(tmp_path):
    """python-pillow/Pillow#3744: of a grey PNG one value may be stated as clear."""
    from PIL import Image

    grey = np.arange(20, dtype="u1").reshape(4, 5)
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=7)
    np.testing.assert_array_equal(voxels(opened(tmp_path / "a.png"))[0], grey)


@pytest.mark.parametrize(
    "omero",
    [
        {"channels": [{"color": "FF0000", "inverted": True, "window": {"start": 9, "end": 20}}]},
        {"channels": [{"lut": "cool.lut", "coefficient": 0.5}]},  # ome/ngff#36
        {"channels": []},
        {},
    ],
)
def test_display_settings_of_ome_change_no_voxel(tmp_path, omero):
    """ome/ngff#78: colours, windows, tables and inverted channels are for viewers."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=VALUES, chunks=VALUES.shape)
    step = {"type": "scale", "scale": [50, 10, 10]}
    multiscale = {
        "version": "0.4",
        "axes": [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    }
    group.attrs.update({"multiscales": [multiscale], "omero": omero})
    np.testing.assert_array_equal(voxels(opened(tmp_path / "a.zarr")), VALUES)


def test_a_table_beside_greys_changes_no_voxel(tmp_path):
    """imagej/imagej-omero#43: a lookup table for display beside values that are greys."""
    table = [np.array([RAMP, RAMP[::-1], RAMP // 2], "u1")]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VALUES.astype("u2"), imagej=True, metadata={"LUTs": table})
    np.testing.assert_array_equal(voxels(opened(path)), VALUES)
