"""MRC files of every mode, both byte orders and all axis orders; mrcfile writes and is compared."""

import contextlib
import gzip
import struct
from itertools import permutations

import mrcfile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.mrc import is_mrc, open_mrc

MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}


def mrc_bytes(
    values,
    *,
    order="<",
    mode=None,
    cell=None,
    sampling=None,
    axes=(1, 2, 3),
    extended=0,
    ends=(0, -1),
    imod=None,
    mapped=True,
    sizes=None,
    start=(0, 0, 0),
    origin=(0, 0, 0),
    version=0,
):
    """A file of `values` (section, row, column), written field by field after the specification."""
    sizes = sizes or values.shape[::-1]
    sampling = sampling or sizes
    head = bytearray(1024)
    found = MODES[str(values.dtype)] if mode is None else mode
    struct.pack_into(order + "7i", head, 0, *sizes, found, *start)
    struct.pack_into(order + "3i3f", head, 28, *sampling, *(cell or [0, 0, 0]))
    struct.pack_into(order + "3i2f", head, 64, *axes, *ends)
    struct.pack_into(order + "i", head, 92, extended)
    struct.pack_into(order + "i", head, 108, version)
    struct.pack_into(order + "3f", head, 196, *origin)
    if imod is not None:
        struct.pack_into(order + "2i", head, 152, 1146047817, imod)
    if mapped:
        head[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    voxels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    return bytes(head) + b"x" * extended + voxels


@pytest.fixture
def mrc(tmp_path):
    """A source: mrc(values, ...), with the arguments of `mrc_bytes`."""

    def make(values, **fields):
        path = tmp_path / "made.mrc"
        path.write_bytes(mrc_bytes(values, **fields))
        return open_mrc(str(path))

    return make


def everything(source):
    return source.read(whole_box(source.shape))


@st.composite
def boxes(draw, shape):
    corners = [sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
    return Box(*[tuple(corner[i] for corner in corners) for i in (0, 1)])


@st.composite
def volumes(draw):
    """Voxels in any type MRC can hold, and a box in them."""
    shape = draw(npst.array_shapes(min_dims=3, max_dims=3, max_side=5))
    values = draw(npst.arrays(draw(st.sampled_from(sorted(MODES))), shape))
    return values, draw(boxes(shape))


@given(
    volumes(), st.sampled_from("<>"), st.sampled_from([0, 80, 1000]), st.booleans(), st.booleans()
)
def test_what_is_written_is_read(tmp_path_factory, made, order, extended, mapped, zipped):
    values, box = made
    whole = mrc_bytes(values, order=order, extended=extended, mapped=mapped)
    path = tmp_path_factory.getbasetemp() / "round.mrc"
    path.write_bytes(gzip.compress(whole, 1) if zipped else whole)
    source = open_mrc(str(path))
    assert is_mrc(whole[:512]) == mapped
    assert (source.shape, source.dtype) == (values.shape, str(values.dtype))
    assert source.by_rows != zipped
    np.testing.assert_array_equal(source.read(box), values[box.slices])


@given(st.data(), st.sampled_from(list(permutations((1, 2, 3)))))
def test_axes_in_any_order_come_out_as_z_y_x(tmp_path_factory, data, axes):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)  # (z, y, x), as it is meant
    box = data.draw(boxes(values.shape))
    # sections, rows and columns of the file are the axes 3 - z, 2 - y, 1 - x that it names
    stored = values.transpose([3 - name for name in axes[::-1]])
    path = tmp_path_factory.getbasetemp() / "turned.mrc"
    path.write_bytes(mrc_bytes(stored, axes=axes, cell=[50, 80, 90], sampling=[5, 4, 3]))
    source = open_mrc(str(path))
    assert (source.shape, source.dtype) == ((3, 4, 5), "int16")
    assert source.voxel_nm == pytest.approx((3, 2, 1))
    assert source.by_rows == (axes == (1, 2, 3))
    assert source.identity[0][:2] == ("turned.mrc", path.stat().st_size)
    np.testing.assert_array_equal(source.read(box), values[box.slices])


@given(st.data(), st.integers(1, 7), st.booleans())
def test_half_bytes_are_unpacked(tmp_path_factory, data, columns, zipped):
    values = data.draw(npst.arrays(np.uint8, (2, 3, columns), elements=st.integers(0, 15)))
    box = data.draw(boxes(values.shape))
    padded = np.pad(values, ((0, 0), (0, 0), (0, columns % 2)))
    packed = padded[:, :, ::2] | padded[:, :, 1::2] << 4
    whole = mrc_bytes(packed, mode=101, sizes=(columns, 3, 2), cell=[20 * columns, 30, 20])
    path = tmp_path_factory.getbasetemp() / "half.mrc"
    path.write_bytes(gzip.compress(whole, 1) if zipped else whole)
    source = open_mrc(str(path))
    assert (source.shape, source.dtype) == (values.shape, "uint8")
    assert (source.voxel_nm, source.by_rows) == ((1, 1, 2), not zipped)
    assert source.identity[0][:2] == ("half.mrc", path.stat().st_size)
    np.testing.assert_array_equal(source.read(box), values[box.slices])


@pytest.mark.parametrize(
    ("fields", "dtype"),
    [
        ({"imod": 0}, "uint8"),
        ({"imod": 1}, "int8"),
        ({"imod": 4}, "uint8"),
        ({"imod": 5}, "int8"),
        ({}, "int8"),
        ({"ends": (-3, 100)}, "int8"),
        ({"ends": (0, 100)}, "int8"),
        ({"ends": (0, 127)}, "int8"),
        ({"ends": (0, 128)}, "uint8"),
        ({"ends": (0, 200)}, "uint8"),
        ({"ends": (0, 200), "imod": 1}, "int8"),
        ({"ends": (0, 300)}, "int8"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_whether_bytes_are_signed(mrc, fields, dtype, order):
    values = np.array([[[-1, 0, 7]]], np.int8)
    source = mrc(values, order=order, **fields)
    assert source.dtype == dtype
    np.testing.assert_array_equal(everything(source), values.astype(dtype))


@pytest.mark.parametrize(
    ("cell", "sampling", "voxel_nm"),
    [
        ((300, 160, 5400), (3, 2, 6), (90, 8, 10)),
        ((300, 160, 900), (3, 2, 3), (30, 8, 10)),  # several volumes of 3 sections in one file
        ((0.33, 0.22, 0.66), (3, 2, 6), (0.011, 0.011, 0.011)),
        ((3, 2, 1), (3, 2, 1), None),  # 1 Å
        ((3, 2, 30), (3, 2, 6), (0.5, 0.1, 0.1)),
        ((300, 160, 0), (3, 2, 1), None),
        ((300, 160, float("nan")), (3, 2, 1), None),
        ((300, -160, 5), (3, 2, 1), None),
        ((300, 160, 900), (0, 2, 1), None),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_voxel_size_is_cell_by_sampling(mrc, cell, sampling, voxel_nm, order):
    values = np.zeros((6, 2, 3), np.uint16)
    source = mrc(values, cell=cell, sampling=sampling, order=order)
    assert source.voxel_nm == (None if voxel_nm is None else pytest.approx(voxel_nm, rel=1e-12))


@pytest.mark.parametrize(
    ("fields", "centre"),
    [
        ({}, (0, 0, 0)),
        ({"origin": (300, 16, -5)}, (-0.5, 1.6, 30)),  # MRC2014, and programs before it
        ({"origin": (300, 16, -5), "version": 20140}, (-0.5, 1.6, 30)),
        ({"origin": (300, 16, -5), "imod": 0}, (0.5, -1.6, -30)),  # IMOD's own sign
        ({"origin": (300, 16, -5), "imod": 3}, (0.5, -1.6, -30)),
        ({"origin": (300, 16, -5), "imod": 4}, (-0.5, 1.6, 30)),  # and where it says otherwise
        ({"origin": (300, 16, -5), "imod": 0, "version": 20141}, (-0.5, 1.6, 30)),
        ({"origin": (300, 16, -5), "mapped": False}, (0, 0, 0)),  # other fields lie there
        ({"origin": (float("nan"), 16, 5)}, (0.5, 1.6, 0)),
        ({"start": (2, 3, -4)}, (-4 * 90, 3 * 8, 2 * 10)),
        ({"start": (2, 3, -4), "origin": (0, 16, 0)}, (0, 1.6, 0)),  # the origin counts
        ({"start": (2, 3, -4), "axes": (3, 1, 2)}, (2 * 90, -4 * 8, 3 * 10)),
    ],
)
def test_the_place_is_the_origin_or_the_start_in_voxels(mrc, fields, centre):
    source = mrc(np.zeros((2, 2, 2), np.int16), cell=(300, 160, 5400), sampling=(3, 2, 6), **fields)
    corner = source.stated.corner_nm(source.voxel_nm)
    assert source.voxel_nm == (90, 8, 10)
    expected = pytest.approx((centre[0] - 45, centre[1] - 4, centre[2] - 5))
    assert corner == (expected if any(centre) else None)


def test_axes_that_are_not_named_are_x_y_z(mrc):
    values = np.arange(6, dtype=np.int16).reshape(1, 2, 3)
    np.testing.assert_array_equal(everything(mrc(values, axes=(0, 0, 0))), values)


@pytest.mark.parametrize("dtype", sorted(MODES))
@pytest.mark.parametrize("ending", ["mrc", "mrc.gz"])
def test_what_mrcfile_writes_is_read(tmp_path, dtype, ending):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 100, (4, 5, 6)).astype(dtype)
    path = tmp_path / f"made.{ending}"
    compression = "gzip" if ending.endswith("gz") else None
    with mrcfile.new(path, values, compression=compression) as file:
        file.voxel_size = (100, 110, 500)
    source = open_mrc(str(path))
    assert (source.dtype, source.voxel_nm) == (dtype, (50, 11, 10))
    np.testing.assert_array_equal(everything(source), values)


def test_volume_stacks_are_one_volume_along_z(tmp_path):
    values = np.arange(48, dtype=np.int16).reshape(2, 2, 3, 4)
    with mrcfile.new(tmp_path / "stack.mrc", values) as file:
        file.voxel_size = 20
    source = open_mrc(str(tmp_path / "stack.mrc"))
    assert source.voxel_nm == (2, 2, 2)
    np.testing.assert_array_equal(everything(source), values.reshape(4, 3, 4))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": 3}, r"mode 3 \(complex\); expected grey"),
        ({"mode": 4}, r"mode 4 \(complex\); expected grey"),
        ({"mode": 16}, r"mode 16 \(RGB\); expected grey"),
        ({"mode": 7}, r"mode 7 \(unknown\); expected grey"),
        ({"axes": (1, 1, 3)}, r"axes \(1, 1, 3\); expected 1, 2 and 3"),
        ({"extended": 8, "sizes": (4, 3, 3)}, "cut short: 1056 bytes, expected at least 1068"),
        ({"sizes": (4, 3, -2)}, "not the header of an MRC file"),
        ({"axes": (1, 2, 4)}, "not the header of an MRC file"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_what_is_no_grey_volume_is_refused(mrc, fields, said, order):
    with pytest.raises(IngestError, match=said):
        mrc(np.zeros((2, 3, 4), np.int8), order=order, **fields)


@pytest.mark.parametrize("content", [b"", b"a text called .mrc\n" * 100, b"II*\0" + bytes(2000)])
def test_other_files_are_told_apart(tmp_path, content):
    path = tmp_path / "text.mrc"
    path.write_bytes(content)
    assert not is_mrc(content[:512])
    with pytest.raises(IngestError, match="not the header of an MRC file"):
        open_mrc(str(path))


def test_a_file_cut_anywhere_is_refused_in_one_line(tmp_path):
    whole = mrc_bytes(np.arange(24, dtype=np.int16).reshape(2, 3, 4), extended=16)
    path = tmp_path / "cut.mrc"
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(IngestError) as told:
            open_mrc(str(path))
        assert "\n" not in str(told.value)


def test_a_gzipped_file_cut_anywhere_is_refused_when_it_is_read(tmp_path):
    rng = np.random.default_rng(2)
    whole = gzip.compress(mrc_bytes(rng.integers(0, 99, (2, 3, 4)).astype(np.int16)))
    path = tmp_path / "cut.mrc.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IngestError) as told:
            everything(open_mrc(str(path)))
        assert "\n" not in str(told.value)


def test_a_file_that_was_short_before_it_was_gzipped_is_refused(tmp_path):
    path = tmp_path / "short.mrc.gz"
    path.write_bytes(gzip.compress(mrc_bytes(np.zeros((2, 3, 4), np.int16))[:-5]))
    with pytest.raises(IngestError, match="5 bytes are missing at its end"):
        everything(open_mrc(str(path)))


def test_a_gzipped_file_with_a_wrong_checksum_is_refused(tmp_path):
    whole = bytearray(gzip.compress(mrc_bytes(np.zeros((2, 3, 4), np.int16))))
    whole[-8] ^= 1
    path = tmp_path / "wrong.mrc.gz"
    path.write_bytes(whole)
    with pytest.raises(IngestError, match="CRC check failed"):
        everything(open_mrc(str(path)))


@given(st.data(), st.sampled_from("<>"))
def test_damaged_headers_are_read_or_refused(tmp_path_factory, data, order):
    damaged = bytearray(mrc_bytes(np.zeros((2, 3, 4), np.int16), order=order, cell=[40, 30, 20]))
    for place in data.draw(st.lists(st.integers(0, 220), min_size=1, max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mrc"
    path.write_bytes(damaged)
    # nothing but an IngestError, and no memory for what a damaged number claims
    with contextlib.suppress(IngestError):
        assert everything(open_mrc(str(path))).nbytes <= 2 * len(damaged)


def test_a_url_of_any_file_system_is_read():
    import fsspec

    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with fsspec.open("memory://maps/one.mrc", "wb") as file:
        file.write(mrc_bytes(values))
    np.testing.assert_array_equal(everything(open_mrc("memory://maps/one.mrc")), values)


@pytest.mark.real
def test_a_map_of_the_emdb(real_data):
    path = str(real_data / "mrc" / "EMD-3197.map")
    source = open_mrc(path)
    assert (source.shape, source.dtype) == ((20, 20, 20), "float32")
    assert source.voxel_nm == pytest.approx((1.14, 1.14, 1.14), rel=1e-12)
    np.testing.assert_array_equal(everything(source), mrcfile.read(path))
