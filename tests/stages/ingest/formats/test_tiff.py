import io
import pickle

import fsspec
import numpy as np
import pytest
import tifffile
from hypothesis import event, given
from hypothesis import strategies as st

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.raw import RawPlanes
from volproc.stages.ingest.formats.tiff import TiffPlanes, is_tiff, open_tiff
from volproc.stages.ingest.voxel_source import stamp

RNG = np.random.default_rng(8)
STACK = RNG.integers(1, 250, (5, 90, 70), dtype="uint8")
WHOLE = [f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)]
DTYPES = ["bool", *WHOLE, "float16", "float32", "float64"]
WRITINGS = [
    {},
    {"contiguous": False},  # a page after each plane
    {"rowsperstrip": 7},
    {"compression": "zlib", "rowsperstrip": 5},
    {"compression": "zlib"},
    {"compression": "lzw", "rowsperstrip": 3},
    {"compression": "lzw", "predictor": True, "rowsperstrip": 9},
    {"compression": "packbits", "rowsperstrip": 4},
    {"compression": "zstd", "tile": (16, 32)},
    {"compression": "lzma", "tile": (32, 16)},
    {"tile": (16, 16)},
]


def written(values, *, bigtiff=False, byteorder="<", contiguous=True, **writing):
    """The bytes of a TIFF; not `contiguous`, each plane is written by itself."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder=byteorder) as tiff:
        for part in [values] if contiguous else values:
            tiff.write(part, photometric="minisblack", contiguous=contiguous, **writing)
    return file.getvalue()


def saved(data, name="t.tif"):
    """Where these bytes lie: a file system in memory, as remote as any other."""
    url = f"memory://tiff/{name}"
    with fsspec.open(url, "wb") as file:
        file.write(data)
    return url


@st.composite
def volumes(draw):
    """A volume of any type a TIFF holds, and a box in it."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 45), st.integers(2, 45)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (*shape, 8))
    values = values.astype("uint8")[..., : dtype.itemsize].copy()
    if dtype.kind in "bf":
        values = values.astype("uint16").sum(axis=-1).astype(dtype)
    else:
        values = values.view(dtype)[..., 0]
    start = [draw(st.integers(0, n - 1)) for n in shape]
    stop = [draw(st.integers(a + 1, n)) for a, n in zip(start, shape)]
    return values, Box(tuple(start), tuple(stop))


@given(
    volume=volumes(),
    writing=st.sampled_from(WRITINGS),
    byteorder=st.sampled_from("<>"),
    bigtiff=st.booleans(),
)
def test_any_box_of_any_tiff_is_the_arrays_slice(volume, writing, byteorder, bigtiff):
    values, box = volume
    if values.dtype == bool or values.dtype.itemsize == 8 or values.dtype == "float16":
        writing = {k: v for k, v in writing.items() if k != "predictor"}
    data = written(values, byteorder=byteorder, bigtiff=bigtiff, **writing)
    source = pickle.loads(pickle.dumps(open_tiff(saved(data))))
    assert (source.shape, source.dtype) == (values.shape, str(values.dtype))
    found = source.read(box)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values[box.slices])


@pytest.mark.parametrize("kind", ["imagej", "ome"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej_and_ome_state_the_voxel_size(tmp_path, kind, compression):
    sizes = {"PhysicalSizeZ": 50, "PhysicalSizeY": 8, "PhysicalSizeX": 10}
    stated = {
        "imagej": {
            "imagej": True,
            "resolution": (100.0, 125.0),  # x, y: pixels per µm
            "metadata": {"spacing": 0.05, "unit": "um", "axes": "ZYX"},
        },
        "ome": {
            "ome": True,
            "metadata": {"axes": "ZYX", **sizes, **{f"{k}Unit": "nm" for k in sizes}},
        },
    }
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK, compression=compression, **stated[kind])
    source = open_tiff(path)
    assert source.voxel_nm == pytest.approx((50, 8, 10))
    assert np.array_equal(source.read(whole_box(source.shape)), STACK)
    assert isinstance(source, TiffPlanes if compression else RawPlanes)
    assert source.identity == (stamp(path),)


@pytest.mark.parametrize("unit", ["CENTIMETER", "INCH"])
def test_resolution_tags_alone_are_not_trusted(tmp_path, unit):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK, resolution=(1e6, 1e6), resolutionunit=unit)
    assert open_tiff(path).voxel_nm is None


def test_an_imagej_stack_may_describe_its_first_page_only(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    source = open_tiff(path)
    assert np.array_equal(source.read(whole_box(STACK.shape)), STACK)


def test_planes_of_their_own_strips_are_one_stack():
    """One `write` per plane: the pages differ in how they are stored."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for n, plane in enumerate(STACK):
            tiff.write(plane, compression="lzw" if n % 2 else "zlib", metadata=None)
    source = open_tiff(saved(file.getvalue()))
    assert np.array_equal(source.read(whole_box(STACK.shape)), STACK)


def test_uncompressed_planes_are_read_by_rows_wherever_they_lie():
    source = open_tiff(saved(written(STACK, contiguous=False)))
    assert isinstance(source, RawPlanes)
    assert len(source.offsets) == len(STACK)
    assert source.by_rows


def test_jpeg_is_right_within_its_loss():
    smooth = np.add.outer(np.arange(80), np.arange(96)).astype("uint8")[None].repeat(2, 0)
    source = open_tiff(saved(written(smooth, compression="jpeg", tile=(32, 32))))
    box = Box((1, 10, 20), (2, 70, 90))
    assert np.abs(source.read(box).astype(int) - smooth[box.slices]).max() < 8


def test_a_thumbnail_is_no_plane():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(STACK, photometric="minisblack")
        tiff.write(STACK[0, ::4, ::4], subfiletype=1)
    assert open_tiff(saved(file.getvalue())).shape == STACK.shape


@pytest.mark.parametrize("writing", WRITINGS[:4] + WRITINGS[5:6] + WRITINGS[8:])
def test_only_the_bytes_under_the_box_matter(writing):
    """Rows 32 to 48 of plane 2: whatever lies in other strips, tiles and planes is spoilt."""
    data = bytearray(written(STACK, **writing))
    box = Box((2, 32, 0), (3, 48, 70))
    assert open_tiff(saved(data)).by_rows
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for z, page in enumerate(file.pages):
            rows = page.tilelength or page.rowsperstrip
            if "compression" not in writing and "tile" not in writing:
                rows = 1  # a row is found in a strip
                row_bytes = STACK.shape[2]
                places = [(page.dataoffsets[0] + r * row_bytes, row_bytes) for r in range(90)]
            else:
                places = list(zip(page.dataoffsets, page.databytecounts))
            across = -(-70 // page.tilewidth) if page.tilewidth else 1
            for n, (offset, count) in enumerate(places):
                top = n // across * rows
                if z != 2 or top >= 48 or top + rows <= 32:
                    data[offset : offset + count] = b"\xff" * count
    source = open_tiff(saved(data))
    assert np.array_equal(source.read(box), STACK[box.slices])
    assert not np.array_equal(spoilt(source), STACK)


def spoilt(source):
    try:
        return source.read(whole_box(source.shape))
    except IngestError:
        return None


def test_a_strip_of_a_whole_plane_is_not_read_by_rows():
    assert not open_tiff(saved(written(STACK, compression="zlib"))).by_rows
    assert open_tiff(saved(written(STACK, compression="zlib", rowsperstrip=45))).by_rows


@given(
    writing=st.sampled_from([*WRITINGS, {"imagej": True}, {"ome": True}]),
    share=st.floats(0, 1, exclude_max=True),
)
def test_a_file_cut_short_is_refused_unless_no_voxel_is_lost(writing, share):
    kind = {k: True for k in ("imagej", "ome") if k in writing}
    if kind:
        file = io.BytesIO()
        tifffile.imwrite(file, STACK, metadata={"axes": "ZYX"}, **kind)
        data = file.getvalue()
    else:
        data = written(STACK, **writing)
    url = saved(data[: int(share * len(data))], "short.tif")
    try:
        found = open_tiff(url).read(whole_box(STACK.shape))
    except IngestError as error:
        found = STACK if url in str(error) else None
        event("refused")
    assert np.array_equal(found, STACK)


def test_bytes_missing_at_the_end_are_counted(tmp_path):
    data = written(STACK, compression="zlib")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[-1]
        end = last.dataoffsets[-1] + last.databytecounts[-1]
        pages = [page.offset for page in file.pages]
    if max(pages) > end:  # the descriptions lie behind the voxels: the cut is in them
        end = max(pages) + 10
    with pytest.raises(IngestError, match=r"cut short|cannot read"):
        open_tiff(saved(data[: end - 5]))


def ome_naming_another_file(size_c):
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint8" SizeX="70" SizeY="90" SizeZ="2" SizeC="{size_c}" SizeT="1" '
        'PhysicalSizeX="10" PhysicalSizeXUnit="nm" PhysicalSizeY="10" PhysicalSizeYUnit="nm" '
        'PhysicalSizeZ="50" PhysicalSizeZUnit="nm"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<TiffData FirstZ="0" PlaneCount="1" IFD="0"><UUID FileName="here.tif">urn:uuid:1</UUID>'
        '</TiffData><TiffData FirstZ="1" PlaneCount="1" IFD="0"><UUID FileName="there.tif">'
        "urn:uuid:2</UUID></TiffData></Pixels></Image></OME>"
    )
    file = io.BytesIO()
    tifffile.imwrite(file, STACK[0], description=xml.encode(), metadata=None)
    return file.getvalue()


def test_of_an_ome_tiff_in_several_files_this_file_is_read():
    source = open_tiff(saved(ome_naming_another_file(1), "here.tif"))
    assert source.shape == (1, 90, 70)
    assert source.voxel_nm == (50, 10, 10)
    assert np.array_equal(source.read(whole_box(source.shape)), STACK[:1])


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_saved_as_colour_is_grey(compression, samples, dtype):
    """saalfeldlab/render#151, SlicerMorph/SlicerMorph#172: exports with R = G = B."""
    pixels = STACK[..., None].repeat(samples, axis=-1).astype(dtype)
    pixels[..., 3:] = 255
    more = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    writing = {"photometric": "rgb", "compression": compression, "rowsperstrip": 16, **more}
    source = open_tiff(saved(with_writer((pixels, writing))))
    assert (source.shape, source.dtype) == (STACK.shape, dtype)
    assert np.array_equal(source.read(whole_box(STACK.shape)), STACK)
    box = Box((1, 20, 3), (4, 61, 50))
    assert np.array_equal(source.read(box), STACK[box.slices])


def test_colour_in_a_later_plane_is_refused_when_it_is_read():
    pixels = STACK[..., None].repeat(3, axis=-1)
    pixels[3, 50, 20, 1] += 1
    source = open_tiff(saved(with_writer((pixels, {"photometric": "rgb"}))))
    with pytest.raises(IngestError, match=r"has colour; .*mogrify"):
        source.read(whole_box(STACK.shape))


@pytest.mark.parametrize("kind", [{"imagej": True}, {"ome": True}, {}])
def test_frames_count_as_slices_where_one_says_so(tmp_path, kind):
    """scifio/scifio#316, ilastik/ilastik#103, trackmate-sc/TrackMate#1: stacks saved as times."""
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK, metadata={"axes": "TYX"}, photometric="minisblack", **kind)
    with pytest.raises(IngestError, match="--times slices"):
        open_tiff(path)
    assert np.array_equal(open_tiff(path, times="slices").read(whole_box(STACK.shape)), STACK)


def test_times_of_several_slices_are_no_slices(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK[:4].reshape(2, 2, 90, 70), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(IngestError, match="axes TZYX"):
        open_tiff(path, times="slices")


def test_a_plane_of_another_size_is_damage():
    """Its description is read again with the voxels: a run may last for days."""
    url = saved(written(STACK, compression="zlib", contiguous=False))
    source = open_tiff(url)
    with tifffile.TiffFile(io.BytesIO(fsspec.open(url).open().read())) as file:
        place = file.pages[2].tags["ImageLength"].valueoffset
    data = bytearray(fsspec.open(url).open().read())
    data[place] += 1
    saved(data)
    with pytest.raises(IngestError, match=r"a plane of \(91, 70\) is among those of \(90, 70\)"):
        source.read(Box((2, 0, 0), (3, 90, 70)))


def with_writer(*writes):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for values, writing in writes:
            tiff.write(values, **{"metadata": None, **writing})
    return file.getvalue()


GREY = {"photometric": "minisblack"}
WRONG = {
    "colour": (
        with_writer((STACK[0, :, :69].reshape(-1, 23, 3), {"photometric": "rgb"})),
        "colour",
    ),
    "colour apart": (
        with_writer((STACK[:3], {"photometric": "rgb", "planarconfig": "separate"})),
        "grey planes",
    ),
    "channels": (
        with_writer((STACK[:2], {"metadata": {"axes": "CYX"}, **GREY})),
        "axes CYX .* split channels",
    ),
    "times": (with_writer((STACK, {"metadata": {"axes": "TYX"}, **GREY})), "--times slices"),
    "four axes": (with_writer((STACK[None].repeat(2, 0), {"metadata": {}, **GREY})), "QQYX"),
    "complex": (with_writer((STACK.astype("complex64"), GREY)), "complex64 voxels"),
    "two sizes": (
        with_writer((STACK, GREY), (STACK[:, :50], GREY)),
        r"2 images \(uint8 of \(5, 90, 70\) and uint8 of \(5, 50, 70\)\)",
    ),
    "two types": (with_writer((STACK, GREY), (STACK.astype("u2"), GREY)), "one size and type"),
    "OME channels": (ome_naming_another_file(2), "split channels"),
    "text": (b"no image at all", "is not a TIFF file"),
    "nothing": (b"", "is not a TIFF file"),
    "head only": (b"II*\0", "cannot read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_volume_is_refused_in_one_line(name):
    data, message = WRONG[name]
    url = saved(data, "wrong.tif")
    with pytest.raises(IngestError, match=message) as caught:
        open_tiff(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tiff_is_known_by_its_first_bytes():
    for byteorder in "<>":
        for bigtiff in (False, True):
            assert is_tiff(written(STACK, byteorder=byteorder, bigtiff=bigtiff)[:512])
    assert not is_tiff(b"II")
    assert not is_tiff(b"\x89PNG\r\n\x1a\n")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "shape", "dtype", "by_rows"),
    [
        ("hela-roi329/raw_40nm.tif", (300, 500, 500), "uint8", False),
        ("hela-roi329/labels5_10nm.tif", (300, 2000, 2000), "uint8", True),
        ("hela-roi329/labels5_40nm.tif", (300, 500, 500), "uint8", False),
        ("hela-roi329/labels4_multinuclei_10nm.tif", (300, 2000, 2000), "uint8", True),
        ("hela-roi329/lost_mask.tif", (300, 500, 500), "uint8", False),
        ("fib25/raw.tif", (160, 250, 250), "uint8", False),
        ("fib25/bodies.tif", (160, 250, 250), "uint16", False),
        ("drosophila-vnc/raw/00.tif", (1, 1024, 1024), "uint8", True),
    ],
)
def test_real_stacks(real_data, name, shape, dtype, by_rows):
    path = real_data / name
    source = open_tiff(str(path))
    assert (source.shape, source.dtype, source.by_rows) == (shape, dtype, by_rows)
    z = shape[0] // 2
    box = Box((z, 100, 30), (z + 1, 233, 200))
    expected = tifffile.imread(path, key=z)[100:233, 30:200]
    assert np.array_equal(source.read(box)[0], expected)
