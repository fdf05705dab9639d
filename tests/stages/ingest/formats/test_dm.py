"""DM3 and DM4: what is written into a file is read from it, and damage is told in one line."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.dm import is_dm, open_dm
from volproc.stages.ingest.formats.dm_tags import find, read_tags
from volproc.stages.ingest.voxel_source import opened

IMAGE_TYPES = {
    "int16": (1, 2),
    "float32": (2, 6),
    "uint8": (6, 10),
    "int32": (7, 3),
    "int8": (9, 9),
    "uint16": (10, 4),
    "uint32": (11, 5),
    "float64": (12, 7),
    "int64": (39, 11),
    "uint64": (40, 12),
}
"""DataType of an image, and code of the array's elements."""

FORMATS = [(version, order) for version in (3, 4) for order in "<>"]


class Writer:
    """Tags as DigitalMicrograph writes them; a value is (code, number), text, an array, a dict."""

    def __init__(self, version, order):
        self.version, self.order = version, order

    def count(self, *numbers):
        return struct.pack(f">{len(numbers)}{'I' if self.version == 3 else 'Q'}", *numbers)

    def file(self, tags):
        root = self.group(tags)
        order = struct.pack(">I", self.order == "<")
        return struct.pack(">I", self.version) + self.count(len(root)) + order + root + bytes(8)

    def group(self, tags):
        # names that begin with "#" only keep entries apart: such entries have no name in the file
        entries = [self.entry("" if name[0] == "#" else name, tags[name]) for name in tags]
        return b"\1\0" + self.count(len(entries)) + b"".join(entries)

    def entry(self, name, value):
        body = self.group(value) if isinstance(value, dict) else b"%%%%" + self.data(value)
        label = name.encode()
        kind = struct.pack(">BH", 20 if isinstance(value, dict) else 21, len(label))
        return kind + label + (self.count(len(body)) if self.version == 4 else b"") + body

    def data(self, value):
        if isinstance(value, str):
            packed = value.encode("utf-16-le" if self.order == "<" else "utf-16-be")
            return self.count(3, 20, 4, len(packed) // 2) + packed
        if isinstance(value, np.ndarray):
            code = IMAGE_TYPES[str(value.dtype)][1]
            ordered = value.astype(value.dtype.newbyteorder(self.order)).tobytes()
            return self.count(3, 20, code, value.size) + ordered
        if isinstance(value, bytes):  # as it is
            return value
        code, number = value
        letter = dict(zip(range(2, 13), "hiHIfdbbbqQ"))[code]
        return self.count(1, code) + struct.pack(self.order + letter, number)


def listed(*values):
    """Entries without names."""
    return {f"#{number}": value for number, value in enumerate(values)}


def image(values, scales=(), *, data_type=None, tags=None):
    """An entry of the ImageList; scales are (Scale, Units) or (Scale, Units, Origin), x first."""
    found = IMAGE_TYPES[str(values.dtype)][0] if data_type is None else data_type
    calibrations = [
        {"Origin": (6, *(origin or [0.0])), "Scale": (6, s), "Units": u} for s, u, *origin in scales
    ]
    return {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Scale": (6, 7.0), "Units": "nm"},
                "Dimension": listed(*calibrations),
            },
            "Data": values,
            "DataType": (3, found),
            "Dimensions": listed(*[(5, n) for n in values.shape[::-1]]),
            "PixelDepth": (5, values.itemsize),
        },
        "ImageTags": tags or {},
        "Name": "µ slice",
    }


def odd_tags(writer):
    """Tags of every composed type, for a reader to pass over."""
    fields = [0, 3, 0, 2, 0, 6, 0, 8]
    size = 2 + 4 + 1
    return {
        "struct": writer.count(9, 15, *fields) + bytes(size),
        "structs": writer.count(11, 20, 15, *fields, 4) + bytes(4 * size),
        "string": writer.count(2, 18, 3) + bytes(6),
        "nothing": {},
        "#1": {"#2": {"#3": (12, 1)}},
    }


@pytest.fixture
def dm_file(tmp_path):
    """A path to a DM file of these tags: dm_file(tags) or dm_file(tags, version=3, order=">")."""

    def write(tags, *, version=4, order="<", cut=None):
        path = tmp_path / f"made.dm{version}"
        path.write_bytes(Writer(version, order).file(tags)[:cut])
        return str(path)

    return write


def everything(source):
    return source.read(whole_box(source.shape))


def test_an_origin_is_where_0_is_in_voxels(dm_file):
    """As Gatan's own software and HyperSpy have it: position = (i - Origin) * Scale."""
    scales = [(8.0, "nm", 100.0), (0.008, "µm", -3.0), (50.0, "nm", 2.5)]
    source = open_dm(dm_file({"ImageList": listed(image(np.zeros((2, 3, 4), np.uint8), scales))}))
    assert source.stated.corner_nm(source.voxel_nm) == (-2.5 * 50 - 25, 24 - 4, -800 - 4)
    assert source.stated.corner_nm((25, 4, 4)) == (-2.5 * 25 - 12.5, 12 - 2, -400 - 2)
    slice_ = image(np.zeros((3, 4), np.uint8), [(8.0, "nm"), (8.0, "nm")])
    unplaced = open_dm(dm_file({"ImageList": listed(slice_)}))
    assert unplaced.stated.corner_nm((50, 8, 8)) is None


@pytest.mark.parametrize(("origin", "corner"), [(0.5, None), (-0.5, None), (0.75, -0.75 * 8 - 4)])
def test_half_a_voxel_is_no_place(dm_file, origin, corner):
    """Files of DigitalMicrograph 3 have Origin = -0.5 on every axis: centres, not corners."""
    scales = [(8.0, "nm", origin), (8.0, "nm", -0.5), (50.0, "nm", 0.5)]
    source = open_dm(dm_file({"ImageList": listed(image(np.zeros((2, 3, 4), np.uint8), scales))}))
    found = source.stated.corner_nm(source.voxel_nm)
    assert found == (None if corner is None else (-25, -4, corner))


@st.composite
def volumes(draw):
    """An array of two or three dimensions in any type a file can hold, and a box in it."""
    shape = draw(npst.array_shapes(min_dims=2, max_dims=3, max_side=5))
    values = draw(npst.arrays(draw(st.sampled_from(sorted(IMAGE_TYPES))), shape))
    volume = values.reshape((1,) * (3 - len(shape)) + shape)
    corners = [sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for n in volume.shape]
    return values, volume, Box(*[tuple(corner[i] for corner in corners) for i in (0, 1)])


@given(volumes(), st.sampled_from(FORMATS), st.booleans())
def test_what_is_written_is_read(tmp_path_factory, made, form, thumbnail):
    values, volume, box = made
    writer = Writer(*form)
    small = [image(np.zeros((2, 2), np.int32), data_type=23)] if thumbnail else []
    tags = {
        "odd": {**odd_tags(writer), "long text": "x" * 3000},
        "ImageList": listed(*small, image(values)),
        "ImageSourceList": listed({"ImageRef": (5, len(small))}),
        "Thumbnails": listed({"ImageIndex": (5, 0)}) if small else {},
    }
    path = tmp_path_factory.getbasetemp() / "round.dm"
    path.write_bytes(writer.file(tags))
    source = open_dm(str(path))
    assert is_dm(path.read_bytes()[:512])
    assert (source.shape, source.dtype) == (volume.shape, str(values.dtype))
    np.testing.assert_array_equal(source.read(box), volume[box.slices])


def test_the_image_the_document_shows_is_read_and_else_the_largest(dm_file):
    small, shown, large = (np.full((n, n), n, np.uint8) for n in (2, 4, 6))
    images = listed(image(small), image(shown), image(large))
    sources = listed({"ImageRef": (5, 1)})
    url = dm_file({"ImageList": images, "ImageSourceList": sources})
    assert open_dm(url).shape == (1, 4, 4)
    url = dm_file({"ImageList": images})
    assert open_dm(url).shape == (1, 6, 6)
    url = dm_file({"ImageList": images, "Thumbnails": listed({"ImageIndex": (5, 2)})})
    assert open_dm(url).shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("unit", "nm"),
    [("nm", 12.5), ("µm", 12500), ("um", 12500), ("Å", 1.25), ("1/nm", None), ("", None)],
)
def test_voxel_sizes_are_taken_in_their_unit(dm_file, unit, nm):
    stack = image(np.zeros((2, 3, 4), np.uint8), [(12.5, unit)] * 2 + [(50, "nm")])
    url = dm_file({"ImageList": listed(stack)})
    assert open_dm(url).voxel_nm == (None if nm is None else pytest.approx((50, nm, nm)))
    assert open_dm(url).pixel_nm == (None if nm is None else pytest.approx((nm, nm)))


def test_a_scale_is_the_decimal_number_it_was_typed_as(dm_file):
    stack = image(np.zeros((2, 3, 4), np.uint8), [(0.01, "µm"), (0.011, "µm"), (0.05, "µm")])
    assert open_dm(dm_file({"ImageList": listed(stack)})).voxel_nm == (50, 11, 10)


@pytest.mark.parametrize("noted", [(6, 50.0), (5, 50), "50"])
def test_the_thickness_of_a_slice_is_where_3view_notes_it(dm_file, noted):
    note = {"SBFSEM": {"Record": {"Slice thickness": noted}}}
    plane = image(np.zeros((3, 4), np.uint8), [(0.01, "µm")] * 2, tags=note)
    assert open_dm(dm_file({"ImageList": listed(plane)})).voxel_nm == (50, 10, 10)


@pytest.mark.parametrize("record", [{}, {"Slice thickness": "thin"}, {"Slice thickness": (6, 0.0)}])
def test_a_slice_without_thickness_has_a_pixel_size_only(dm_file, record):
    tags = {"SBFSEM": {"Record": record}}
    plane = image(np.zeros((3, 4), np.uint8), [(0.01, "µm")] * 2, tags=tags)
    url = dm_file({"ImageList": listed(plane)})
    assert open_dm(url).voxel_nm is None
    assert open_dm(url).pixel_nm == (10, 10)


def test_axes_of_one_voxel_are_dropped_beyond_three(dm_file):
    values = np.arange(24, dtype=np.uint8).reshape(1, 2, 1, 3, 4)
    source = open_dm(dm_file({"ImageList": listed(image(values))}))
    np.testing.assert_array_equal(everything(source), values.reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (image(np.zeros((2, 2), np.float32), data_type=3), "is complex; expected grey"),
        (image(np.zeros((2, 2), np.int32), data_type=23), "is RGB; expected grey"),
        (image(np.zeros((2, 2), np.int32), data_type=99), "is of data type 99"),
        (image(np.zeros((2, 2), np.int32), data_type=1), "has 16 bytes, its size and type say 8"),
        (image(np.zeros((2, 2, 2, 2), np.uint8)), "4 dimensions"),
        (image(np.zeros((0, 2), np.uint8)), "dimensions"),
        ({}, "dimensions"),
    ],
)
def test_what_is_no_grey_volume_is_refused(dm_file, made, said):
    with pytest.raises(IngestError, match=said):
        open_dm(dm_file({"ImageList": listed(made)}))


def test_a_file_without_image_is_refused(dm_file):
    with pytest.raises(IngestError, match="holds no image"):
        open_dm(dm_file({"ImageList": {}}))


@pytest.mark.parametrize(
    "content", [b"", b"a text that was called .dm4\n" * 50, b"II*\0" + bytes(600), b"\0\0\0\4"]
)
def test_other_files_are_told_apart(tmp_path, content):
    path = tmp_path / "text.dm4"
    path.write_bytes(content)
    assert not is_dm(content[:512])
    with pytest.raises(IngestError, match="does not begin as a DM3 or DM4 file does"):
        open_dm(str(path))


def test_an_unknown_byte_order_is_refused(tmp_path):
    (tmp_path / "order.dm3").write_bytes(struct.pack(">III", 3, 0, 2) + bytes(20))
    with pytest.raises(IngestError, match="byte order 00000002 is unknown"):
        open_dm(str(tmp_path / "order.dm3"))


def small_file(version, order):
    planes = image(np.arange(12, dtype=np.uint16).reshape(1, 3, 4), [(0.01, "µm")] * 3)
    writer = Writer(version, order)
    tags = {"ImageList": listed(planes), "odd": odd_tags(writer)}
    return writer.file({**tags, "ImageSourceList": listed({"ImageRef": (5, 0)})})


@pytest.mark.parametrize(("version", "order"), FORMATS)
def test_a_file_cut_anywhere_is_refused_in_one_line(tmp_path, version, order):
    whole = small_file(version, order)
    path = tmp_path / "cut.dm"
    for length in range(len(whole) - 8):  # eight zeros at the end mean nothing
        path.write_bytes(whole[:length])
        with pytest.raises(IngestError) as told:
            open_dm(str(path))
        assert "\n" not in str(told.value)


@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, form, data):
    damaged = bytearray(small_file(*form))
    places = st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.dm"
    path.write_bytes(damaged)
    # nothing but an IngestError, and no memory for what a damaged number claims
    with contextlib.suppress(IngestError):
        assert everything(open_dm(str(path))).nbytes < 1000


def test_claims_beyond_the_file_are_not_believed(tmp_path):
    writer = Writer(4, "<")
    for value, said in [
        (writer.count(3, 20, 4, 2**63), "would end at byte"),
        (writer.count(2**40), "is described by 1099511627776 numbers"),
        (writer.count(3, 15, 0, 2**40), "a struct is described by"),
        (writer.count(7, 15, 0, 2, 0, 2, 0, 77), r"a struct is described by \[0, 2, 0, 2, 0, 77\]"),
        (writer.count(5, 15, 0, 2, 0, 2), r"a struct is described by \[0, 2, 0, 2\]"),
        (writer.count(2, 15, 0), r"a struct is described by \[0\]"),
        (writer.count(1, 77), "unknown type"),
    ]:
        path = tmp_path / "claims.dm4"
        path.write_bytes(writer.file({"claim": value}))
        with pytest.raises(IngestError, match=said):
            open_dm(str(path))


def test_a_group_of_many_or_deep_tags_is_refused(tmp_path):
    path = tmp_path / "deep.dm4"
    deep = {}
    for _ in range(70):
        deep = {"in": deep}
    path.write_bytes(Writer(4, "<").file(deep))
    with pytest.raises(IngestError, match="deeper than 64"):
        open_dm(str(path))
    path.write_bytes(struct.pack(">IQI", 4, 0, 1) + b"\1\0" + struct.pack(">Q", 2**40))
    with pytest.raises(IngestError, match="claims 1099511627776 tags"):
        open_dm(str(path))


def test_entries_of_a_newer_kind_are_passed_over_in_version_4(tmp_path):
    writer = Writer(4, "<")
    newer = struct.pack(">BH", 23, 0) + writer.count(5) + b"12345"
    path = tmp_path / "newer.dm4"
    root = b"\1\0" + writer.count(2) + newer + writer.entry("after", (5, 7))
    path.write_bytes(struct.pack(">IQI", 4, len(root), 1) + root)
    with opened(str(path)) as file:
        tags, order = read_tags(file, size=path.stat().st_size)
    assert (find(tags, "after"), order) == (7, "<")


def test_voxels_stay_in_the_file_while_tags_are_read(tmp_path):
    values = np.zeros((64, 256, 256), np.uint16)
    path = tmp_path / "large.dm4"
    path.write_bytes(Writer(4, "<").file({"ImageList": listed(image(values))}))

    class Counting:
        taken = 0

        def __init__(self, file):
            self.file, self.seek = file, file.seek

        def read(self, count):
            self.taken += count
            return self.file.read(count)

    with opened(str(path)) as file:
        counting = Counting(file)
        tags, _ = read_tags(counting, size=path.stat().st_size)
    assert find(tags, "ImageList/0/ImageData/Data").nbytes == values.nbytes
    assert counting.taken < 2000


def test_a_url_of_any_file_system_is_read():
    import fsspec

    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    with fsspec.open("memory://slices/one.dm3", "wb") as file:
        file.write(Writer(3, ">").file({"ImageList": listed(image(values))}))
    np.testing.assert_array_equal(everything(open_dm("memory://slices/one.dm3"))[0], values)


REAL = {"F_0_1": (1, 1, 3), "F_0_2": (1, 3, 2), "F_1_1": (2, 1, 3), "F_1_2": (4, 3, 2)}
REAL |= {"F_2_1": (5, 3, 4), "T_0_1": (2, 1, 3), "T_0_2": (3, 4, 5)}


@pytest.mark.real
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("name", REAL)
def test_files_of_nion_swift(real_data, name, version):
    path = real_data / "dm" / f"ref_{name}.dm{version}"
    source = open_dm(str(path))
    assert (source.shape, source.dtype) == (REAL[name], "float32")
    assert source.voxel_nm is None  # its units, such as µnn, are no lengths
    # the files count up, in the order of the axes Swift shows, so none is lost or read twice
    values = everything(source)
    assert sorted(values.ravel()) == list(range(values.size))


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_dm4_reads_the_same(real_data, name):
    dm4 = pytest.importorskip("dm4")
    path = Path(real_data / "dm" / f"ref_{name}.dm4")
    with dm4.DM4File.open(str(path)) as file:
        data = file.read_directory().named_subdirs["ImageList"].unnamed_subdirs[0]
        data = data.named_subdirs["ImageData"]
        sizes = [file.read_tag_data(t) for t in data.named_subdirs["Dimensions"].unnamed_tags]
        voxels = np.frombuffer(file.read_tag_data(data.named_tags["Data"]), np.float32)
    source = open_dm(str(path))
    assert list(source.shape[::-1])[: len(sizes)] == sizes
    np.testing.assert_array_equal(everything(source).ravel(), voxels)
