"""HDF5: any data set of grey values is read as it was written, and the right one is found."""

import fcntl

import fsspec
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.hdf5 import is_hdf5, open_hdf5, split_hdf5

DTYPES = ["bool", "float16", "float32", "float64"]
DTYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]

LAYOUTS = [
    {},
    {"chunks": True},
    {"chunks": True, "compression": "gzip", "shuffle": True},
    {"chunks": True, "compression": "lzf"},
    {"chunks": True, "fletcher32": True},
]


def everything(source):
    return source.read(whole_box(source.shape))


@pytest.fixture
def hdf5(tmp_path):
    """A path to a file of these data sets, by their names: hdf5(raw=array, ...)."""

    def write(attrs=None, **datasets):
        path = tmp_path / "made.h5"
        with h5py.File(path, "w") as file:
            for name, values in datasets.items():
                dataset = file.create_dataset(name.replace("__", "/"), data=values)
                dataset.attrs.update(attrs or {})
        return str(path)

    return write


@st.composite
def volumes(draw):
    """Voxels of any type in two or three dimensions, the volume they are, and a box in it."""
    shape = draw(npst.array_shapes(min_dims=2, max_dims=3, max_side=5))
    values = draw(npst.arrays(draw(st.sampled_from(DTYPES)), shape))
    volume = values.reshape((1,) * (3 - len(shape)) + shape)
    corners = [sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for n in volume.shape]
    return values, volume, Box(*[tuple(corner[i] for corner in corners) for i in (0, 1)])


@given(volumes(), st.sampled_from("<>"), st.sampled_from(LAYOUTS))
def test_what_is_written_is_read(tmp_path_factory, made, order, layout):
    values, volume, box = made
    path = tmp_path_factory.getbasetemp() / "round.h5"
    with h5py.File(path, "w") as file:
        stored = values if values.dtype == bool else values.astype(values.dtype.newbyteorder(order))
        file.create_dataset("some/where", data=stored, **layout)
    source = open_hdf5(str(path))
    assert is_hdf5(path.read_bytes()[:512])
    assert (source.inner, source.shape) == ("some/where", volume.shape)
    assert source.dtype == str(values.dtype)
    found = source.read(box)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, volume[box.slices])


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("a/b.h5", ("a/b.h5", "")),
        ("a/b.h5/", ("a/b.h5", "")),
        ("a/b.HDF5/c/d", ("a/b.HDF5", "c/d")),
        ("https://x.org/h5/b.hdf/c.h5", ("https://x.org/h5/b.hdf", "c.h5")),
        ("a.h5s/b", ("a.h5s/b", "")),
    ],
)
def test_a_url_goes_on_inside_the_file(url, parts):
    assert split_hdf5(url) == parts


def test_the_largest_volume_is_read_unless_another_is_named(hdf5):
    small, large = np.zeros((2, 3, 4), np.uint8), np.ones((3, 3, 4), np.uint8)
    many = np.zeros((100, 100), np.uint8)
    path = hdf5(
        small=small, volumes__large=large, table=many, text=["a"], scalar=1, none=h5py.Empty("f")
    )
    assert open_hdf5(path).inner == "volumes/large"
    np.testing.assert_array_equal(everything(open_hdf5(path)), large)
    np.testing.assert_array_equal(everything(open_hdf5(f"{path}/small")), small)
    assert open_hdf5(f"{path}/table").shape == (1, 100, 100)


def test_data_sets_of_one_file_have_an_identity_each(hdf5):
    path = hdf5(a=np.zeros((2, 3, 4), np.uint8), b=np.zeros((2, 3, 4), np.uint8))
    assert open_hdf5(f"{path}/a").identity != open_hdf5(f"{path}/b").identity


def test_two_dimensions_count_where_there_are_no_three(hdf5):
    path = hdf5(plane=np.zeros((3, 4), np.uint8), line=np.zeros(100, np.uint8))
    assert (open_hdf5(path).inner, open_hdf5(path).shape) == ("plane", (1, 3, 4))


def test_equal_volumes_are_listed(hdf5):
    same = np.zeros((2, 3, 4), np.uint16)
    path = hdf5(raw=same, labels__ids=same)
    with pytest.raises(IngestError, match=r"2 data sets of one size; name one, such as") as told:
        open_hdf5(path)
    assert "labels/ids (2, 3, 4) uint16; raw (2, 3, 4) uint16" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_long_list_is_cut(hdf5):
    path = hdf5(**{f"d{n}": np.zeros((2, 3, 4), np.uint8) for n in range(12)})
    with pytest.raises(IngestError, match=r"and 4 more$"):
        open_hdf5(path)


@pytest.mark.parametrize(
    "shape", [(1, 2, 3, 4), (2, 3, 4, 1), (1, 2, 3, 4, 1), (2, 1, 3, 4), (1, 2, 1, 3, 4)]
)
def test_dimensions_of_one_voxel_are_left_out_beyond_three(hdf5, shape):
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    source = open_hdf5(hdf5(values=values))
    np.testing.assert_array_equal(everything(source), values.reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("attrs", "voxel_nm"),
    [
        ({"resolution": [40, 4, 4]}, (40, 4, 4)),
        ({"element_size_um": [0.05, 0.011, 0.01]}, (50, 11, 10)),
        ({"element_size_um": np.float32([0.05, 0.011, 0.01])}, (50, 11, 10)),
        ({"resolution": [0.0, 4, 4]}, None),
        ({"resolution": [4, 4]}, None),
        ({"resolution": 4}, None),
        ({"resolution": "fine", "element_size_um": [0.05, 0.01, 0.01]}, (50, 10, 10)),
        ({}, None),
    ],
)
def test_voxel_sizes_of_known_conventions(hdf5, attrs, voxel_nm):
    assert open_hdf5(hdf5(attrs, raw=np.zeros((2, 3, 4), np.uint8))).voxel_nm == voxel_nm


def test_a_voxel_size_with_an_entry_for_each_dimension(hdf5):
    values = np.zeros((1, 2, 3, 4), np.uint8)
    assert open_hdf5(hdf5({"resolution": [7, 40, 5, 4]}, raw=values)).voxel_nm == (40, 5, 4)


@pytest.mark.parametrize(
    ("chunks", "by_rows"),
    [(None, True), ((4, 16, 64), True), ((1, 17, 8), False), ((1, 64, 64), False)],
)
def test_rows_are_cheap_where_chunks_are_low(tmp_path, chunks, by_rows):
    with h5py.File(tmp_path / "made.h5", "w") as file:
        file.create_dataset("raw", data=np.zeros((4, 64, 64), np.uint8), chunks=chunks)
    assert open_hdf5(str(tmp_path / "made.h5")).by_rows == by_rows


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((2, 3, 4), np.complex64), "raw .* complex64 is not a volume; expected whole or"),
        (np.zeros((2, 3, 4), [("r", "u1"), ("g", "u1")]), "raw .* compound is not a volume"),
        (np.full((2, 3, 4), b"abc"), "raw .* is not a volume"),
        (np.zeros(5, np.uint8), "raw .* is not a volume"),
        (np.zeros((0, 3, 4), np.uint8), "raw .* is not a volume"),
        (np.uint8(3), "raw .* is not a volume"),
        (h5py.Empty("f"), "raw .* is not a volume"),
    ],
)
def test_what_is_no_grey_volume_is_refused(hdf5, values, said):
    path = hdf5(raw=values)
    with pytest.raises(IngestError, match=said):
        open_hdf5(f"{path}/raw")
    with pytest.raises(IngestError, match=r"holds no volume, expected .*: raw"):
        open_hdf5(path)


@pytest.mark.parametrize("inner", ["", "/raw"])
def test_four_dimensions_without_names_are_refused_with_the_option(hdf5, inner):
    path = hdf5(raw=np.zeros((2, 2, 3, 4), np.uint8))
    with pytest.raises(IngestError, match="say which they are with --axes"):
        open_hdf5(path + inner)


def test_names_that_do_not_exist_are_told_with_those_that_do(hdf5):
    path = hdf5(volumes__raw=np.zeros((2, 3, 4), np.uint8))
    for inner in "volumes", "volumes/rew":
        with pytest.raises(
            IngestError, match=rf"no data set '{inner}'; it has volumes/raw \(2, 3, 4"
        ):
            open_hdf5(f"{path}/{inner}")


def test_compression_without_its_filter_is_refused(tmp_path):
    with h5py.File(tmp_path / "made.h5", "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2, 3, 4))
        settings.set_filter(31999, h5py.h5z.FLAG_OPTIONAL)  # a number for testing only
        space = h5py.h5s.create_simple((2, 3, 4))
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, space, settings).close()
    with pytest.raises(IngestError, match=r"filter 31999 .* not installed; set HDF5_PLUGIN_PATH"):
        open_hdf5(str(tmp_path / "made.h5"))


def test_a_virtual_data_set_is_read_while_its_parts_are_there(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    layout = h5py.VirtualLayout((2, 3, 4), np.uint8)
    for z, plane in enumerate(values):
        with h5py.File(tmp_path / f"part{z}.h5", "w") as file:
            file["plane"] = plane
        layout[z] = h5py.VirtualSource(f"part{z}.h5", "plane", (3, 4))
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    source = open_hdf5(str(tmp_path / "whole.h5"))
    np.testing.assert_array_equal(everything(source), values)
    assert [name for name, _, _ in source.identity] == ["whole.h5/raw", "part0.h5", "part1.h5"]
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(
        IngestError, match=r"has parts in part1\.h5, which is not in the same folder"
    ):
        open_hdf5(str(tmp_path / "whole.h5"))


def test_a_file_that_another_program_has_locked_is_read(hdf5):
    path = hdf5(raw=np.zeros((2, 3, 4), np.uint8))
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)
        assert everything(open_hdf5(path)).shape == (2, 3, 4)


@pytest.mark.parametrize("remote", [False, True])
def test_a_file_cut_short_is_refused_in_one_line(hdf5, remote):
    path = hdf5(raw=np.arange(3000, dtype=np.uint16).reshape(3, 20, 50))
    with open(path, "rb") as file:
        whole = file.read()
    for length in range(0, len(whole), 101):
        url = "memory://cut.h5" if remote else path
        with fsspec.open(url, "wb") as file:
            file.write(whole[:length])
        with pytest.raises(IngestError) as told:
            open_hdf5(url)
        assert "\n" not in str(told.value)


def test_other_files_and_none_are_refused(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("a text called .h5\n" * 50)
    assert not is_hdf5(path.read_bytes())
    with pytest.raises(IngestError, match=r"cannot read .*text\.h5"):
        open_hdf5(str(path))
    with pytest.raises(IngestError, match=r"cannot read .*none\.h5"):
        open_hdf5(str(tmp_path / "none.h5"))


def test_a_url_of_any_file_system_is_read(hdf5):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with open(hdf5(raw=values), "rb") as file, fsspec.open("memory://some/one.h5", "wb") as copy:
        copy.write(file.read())
    np.testing.assert_array_equal(everything(open_hdf5("memory://some/one.h5/raw")), values)
    np.testing.assert_array_equal(everything(open_hdf5("memory://some/one.h5")), values)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("train-image", "uint8"),
        ("test-image", "uint8"),
        ("train-gt.lzf", "int32"),
        ("test-gt.lzf", "int32"),
    ],
)
def test_fib_sem_crops(real_data, name, dtype):
    path = real_data / "gala-fibsem" / f"{name}.h5"
    source = open_hdf5(str(path))
    assert (source.inner, source.shape, source.dtype) == ("stack", (50, 100, 200), dtype)
    assert source.voxel_nm is None
    with h5py.File(path, locking=False) as file:
        np.testing.assert_array_equal(everything(source), file["stack"][:])
