import pickle

import fsspec
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.location import name_of
from volproc.stages.ingest.formats.image import open_image
from volproc.stages.ingest.formats.tiff import open_tiff
from volproc.stages.ingest.series.folder import list_folder
from volproc.stages.ingest.series.series import open_series
from volproc.stages.ingest.series.slice_numbers import number_names

STACK = np.random.default_rng(8).integers(1, 250, (6, 20, 30), dtype="uint8")


def write_slices(folder, names, planes=STACK, **writing):
    """One TIFF per name."""
    folder.mkdir(exist_ok=True)
    for name, plane in zip(names, planes):
        tifffile.imwrite(folder / name, plane, photometric="minisblack", **writing)
    return str(folder)


def series(folder, opener=open_tiff, **options):
    return open_series(list_folder(folder).files, opener, IngestOptions(**options))


def all_of(source):
    return source.read(whole_box(source.shape))


@given(names=st.permutations([f"ROI_01_z{n}_10nm.tif" for n in (8, 9, 10, 11, 99, 100)]))
def test_the_last_number_that_varies_sorts_the_names(names):
    found = number_names(names)
    assert found.names == tuple(f"ROI_01_z{n}_10nm.tif" for n in (8, 9, 10, 11, 99, 100))
    assert found.numbers == (8, 9, 10, 11, 99, 100)
    assert found.gaps == ((4, 87),)


@pytest.mark.parametrize(
    ("names", "numbers", "step", "missing"),
    [
        (["z1_170403.tif", "z2_170405.tif", "z4_170411.tif"], (1, 2, 4), 1, 1),  # a time behind
        (["s1_z=0.75um.tif", "s2_z=1.00um.tif", "s3_z=1.25um.tif"], (1, 2, 3), 1, 0),
        (["a000nm.tif", "a025nm.tif", "a050nm.tif", "a100nm.tif"], (0, 25, 50, 100), 25, 1),
        (["a1.tif", "a3.tif"], (1, 3), 1, 1),  # two numbers make no step
        (["A01.TIF", "a2.tif"], (1, 2), 1, 0),
        (["12.tif", "011.tif"], (11, 12), 1, 0),
    ],
)
def test_which_number_counts_and_in_which_steps(names, numbers, step, missing):
    found = number_names(names)
    assert (found.numbers, found.step, found.missing) == (numbers, step, missing)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.tif", "b.tif"], r"a\.tif has no number in its name"),
        (["slice_1.tif", "slice_x.tif"], r"slice_x\.tif has no number"),
        (["01.tif", "1.tif"], r"two slices of number 1: 01\.tif and 1\.tif"),
        (
            ["a1_5.tif", "a2_5.tif", "a1_6.tif"],
            r"2 numbers differ .*none of them .*a1_5\.tif and a2_5\.tif.* several series",
        ),
        (["a_1.tif", "b_2.tif"], r"a_1\.tif and b_2\.tif differ in more than numbers"),
        (["a1_9.tif", "a2_8.tif"], r"2 numbers that could count its slices.* different orders"),
    ],
)
def test_an_order_that_is_not_plain_is_refused(names, message):
    with pytest.raises(IngestError, match=message) as caught:
        number_names(names)
    assert "\n" not in str(caught.value)


@given(
    held=st.sets(st.integers(0, 14), min_size=4),
    missing=st.sampled_from(["repeat", "blank"]),
    z=st.tuples(st.integers(0, 14), st.integers(0, 14)),
)
def test_gaps_are_filled_as_said_and_reported(tmp_path_factory, held, missing, z):
    folder = tmp_path_factory.mktemp("gaps")
    numbers = [0, *sorted(held - {0, 14}), 14]
    if len(numbers) < 8:
        numbers = sorted({*numbers, *range(0, 15, 2), 1})
    planes = {n: np.full((3, 4), n + 1, "uint8") for n in numbers}
    source = series(
        write_slices(folder, [f"z{n}.tif" for n in planes], planes.values()), missing=missing
    )
    expected, last = [], 0
    for n in range(15):
        last = n if n in planes else last
        expected.append(planes[last] if n == last or missing == "repeat" else planes[0] * 0)
    assert source.filled == tuple(n for n in range(15) if n not in planes)
    assert np.array_equal(all_of(source), expected)
    box = Box((min(z), 1, 1), (max(z) + 1, 3, 4))
    assert np.array_equal(source.read(box), np.array(expected)[box.slices])


def test_gaps_are_refused_by_default(tmp_path):
    folder = write_slices(tmp_path / "s", ["z1.tif", "z2.tif", "z5.tif"])
    with pytest.raises(
        IngestError, match=r"2 slices are missing before z5\.tif \(expected number 3\).*\"repeat\""
    ):
        series(folder)


def test_numbers_that_are_hardly_slices_are_not_filled(tmp_path):
    folder = write_slices(tmp_path / "s", ["z1.tif", "z2.tif", "z2000000.tif"])
    with pytest.raises(IngestError, match="1999997 in all, for 3 files: these hardly are numbers"):
        series(folder, missing="repeat")


@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_a_series_of_any_format_is_one_volume(tmp_path, kind):
    names = [f"z{n}.{kind}" for n in range(6)]
    if kind == "png":
        for name, plane in zip(names, STACK):
            Image.fromarray(plane).save(tmp_path / name)
        source = series(str(tmp_path), open_image)
    else:
        source = series(write_slices(tmp_path, names))
    assert (source.shape, source.dtype) == (STACK.shape, "uint8")
    assert source.by_rows is (kind == "tiff")
    box = Box((1, 3, 4), (5, 20, 29))
    assert np.array_equal(source.read(box), STACK[box.slices])


def test_a_series_of_stacks_is_concatenated(tmp_path):
    parts = [STACK[:1], STACK[1:4], STACK[4:]]
    for compression in (None, "zlib"):
        source = series(
            write_slices(
                tmp_path / str(compression),
                [f"part{n}.tif" for n in (1, 2, 3)],
                parts,
                compression=compression,
            )
        )
        assert source.shape == STACK.shape
        assert np.array_equal(all_of(source), STACK)
        for start in range(6):
            box = Box((start, 2, 0), (6, 20, 30))
            assert np.array_equal(source.read(box), STACK[box.slices])
    folder = write_slices(tmp_path / "gap", ["part1.tif", "part2.tif", "part4.tif"], parts)
    with pytest.raises(IngestError, match=r"missing before .*part4\.tif.*not known"):
        series(folder, missing="repeat")


def test_one_file_is_a_series_of_one(tmp_path):
    source = series(write_slices(tmp_path / "s", ["slice.tif"], [STACK]))
    assert np.array_equal(all_of(source), STACK)


UNEQUAL = [STACK[0, :15], STACK[1, :, :21], STACK[2], STACK[3, :7, :9]]


def test_slices_of_unequal_size_are_padded_below_and_right(tmp_path):
    folder = write_slices(tmp_path / "s", [f"{n}.tif" for n in range(4)], UNEQUAL)
    expected = np.zeros((4, 20, 30), "uint8")
    for out, plane in zip(expected, UNEQUAL):
        out[: plane.shape[0], : plane.shape[1]] = plane
    source = series(folder, unequal="pad")
    assert np.array_equal(all_of(source), expected)
    for box in (Box((1, 10, 8), (4, 18, 30)), Box((0, 16, 0), (2, 20, 30))):
        assert np.array_equal(source.read(box), expected[box.slices])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (STACK[1, :, :21], r"uint8 of \(1, 20, 21\), others .* \(1, 20, 30\); .*unequal = \"pad\""),
        (STACK[1].astype("uint16"), r"uint16 .* all slices need one size and type$"),
        (STACK[:2], r"uint8 of \(2, 20, 30\), others"),
    ],
)
@pytest.mark.parametrize("seen", [True, False])
def test_an_unequal_slice_is_refused_early_or_when_it_is_read(tmp_path, odd, message, seen):
    """Its size in bytes gives it away; a listing that has no sizes does not."""
    names = [f"{n}.tif" for n in range(5)]
    folder = write_slices(tmp_path / "s", names)
    tifffile.imwrite(tmp_path / "s" / "3.tif", odd)
    files = list_folder(folder).files
    if not seen:
        files = {url: (name, 500, date) for url, (name, _, date) in files.items()}
    if seen and odd.ndim == 3:  # a longer file is no fault
        assert open_series(files, open_tiff, IngestOptions()).shape == (6, 20, 30)
        return
    with pytest.raises(IngestError, match=message) as caught:
        all_of(open_series(files, open_tiff, IngestOptions()))
    assert "3.tif" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_types_that_differ_are_not_padded(tmp_path):
    planes = [STACK[0], STACK[1].astype("uint16")]
    with pytest.raises(IngestError, match=r"2\.tif is uint16 .* all slices need one size and type"):
        series(write_slices(tmp_path / "s", ["1.tif", "2.tif"], planes), unequal="pad")


def test_only_the_files_under_the_box_are_opened(tmp_path):
    folder = write_slices(tmp_path / "s", [f"{n}.tif" for n in range(6)])
    source = series(folder)
    for n in (0, 1, 4, 5):
        (tmp_path / "s" / f"{n}.tif").write_bytes(b"spoilt")
    box = Box((2, 0, 0), (4, 20, 30))
    assert np.array_equal(source.read(box), STACK[box.slices])
    with pytest.raises(IngestError, match=r"4\.tif is not a TIFF"):
        source.read(Box((2, 0, 0), (5, 20, 30)))


def test_a_changed_file_changes_the_identity(tmp_path):
    folder = write_slices(tmp_path / "s", [f"{n}.tif" for n in range(3)])
    before = series(folder)
    assert before.identity == series(folder).identity
    assert [name for name, _, _ in before.identity] == ["0.tif", "1.tif", "2.tif"]
    tifffile.imwrite(tmp_path / "s" / "1.tif", STACK[1], compression="zlib")
    assert series(folder).identity != before.identity


def test_a_long_series_is_small_when_it_travels():
    """It goes to the workers with every block."""
    stamps = {
        f"memory://far/away/{n % 2}/ROI_01_z{n:05d}_10nm.tif": (f"{n}.tif", 500, "2026-01-01")
        for n in range(10_000)
    }
    fsspec.filesystem("memory").pipe(
        {url: tiff_bytes(STACK[0]) for url in list(stamps)[:1] + list(stamps)[-1:]}
    )
    source = open_series(stamps, open_tiff, IngestOptions())
    data = pickle.dumps(source)
    assert len(data) < 200_000
    back = pickle.loads(data)
    assert back.urls == list(stamps)
    assert back.identity == ()
    assert np.array_equal(back.read(Box((9_999, 0, 0), (10_000, 20, 30)))[0], STACK[0])


def tiff_bytes(plane):
    with fsspec.open("memory://one.tif", "wb") as file:
        tifffile.imwrite(file, plane)
    return fsspec.filesystem("memory").cat("/one.tif")


def test_far_files_are_read_together(tmp_path):
    """Several at once, and the volume is the same."""
    url = "memory://far/series"
    fsspec.filesystem("memory").pipe({f"{url}/{n}.tif": tiff_bytes(p) for n, p in enumerate(STACK)})
    source = series(url)
    assert np.array_equal(all_of(source), STACK)
    fsspec.filesystem("memory").pipe({f"{url}/3.tif": b"spoilt"})
    with pytest.raises(IngestError, match=r"3\.tif is not a TIFF"):
        all_of(source)


@pytest.mark.real
def test_a_real_series_with_a_gap(real_data):
    source = series(str(real_data / "hela-slices"), missing="repeat")
    assert (source.shape, source.dtype, source.filled) == ((4, 2000, 2000), "uint8", (2,))
    box = Box((0, 700, 900), (4, 900, 1100))
    planes = [
        tifffile.imread(real_data / "hela-slices" / f"ROI_6005_4739_81_z{n:04d}.tif")
        for n in (1, 2, 2, 4)
    ]
    assert np.array_equal(source.read(box), np.stack(planes)[box.slices])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "opener"),
    [("raw", open_tiff), ("membranes", open_image), ("mitochondria", open_image)],
)
def test_real_sections(real_data, name, opener):
    source = series(str(real_data / "drosophila-vnc" / name), opener)
    assert (source.shape, source.dtype) == ((14, 1024, 1024), "uint8")
    assert source.read(Box((3, 0, 0), (5, 200, 1024))).any()


@pytest.mark.parametrize(
    ("odd", "most", "headers"),
    [
        (0, 4, 2),
        (4, 4, 6),
        (5, 4, 5),
        (8, 4, 6),
        (10, 3, 5),
        (10, 1, 3),
        (10, 0, 2),
        (10, None, 12),
    ],
)
def test_headers_are_read_of_odd_sizes_evenly_spread_up_to_a_limit(tmp_path, odd, most, headers):
    """Always of the first and the last; with a limit of every second, third, ... that is odd."""
    names = [f"{n:02}.tif" for n in range(20)]
    folder = tmp_path / "s"
    write_slices(folder, names, [STACK[0]] * 20)
    for name in names[1 : 1 + odd]:
        with (folder / name).open("ab") as file:
            file.write(b"more")
    seen = []

    def opener(url):
        seen.append(url)
        return open_tiff(url)

    open_series(list_folder(str(folder)).files, opener, IngestOptions(), most_headers=most)
    assert len(seen) == len(set(seen)) == headers
    assert {name_of(url) for url in seen} >= {"00.tif", "19.tif"}
    assert {name_of(url) for url in seen} <= {"00.tif", "19.tif", *names[1 : 1 + odd]}


def test_a_slice_of_one_pixel_is_padded_around_it(tmp_path):
    planes = [STACK[0], STACK[1, :1, :1]]
    source = series(write_slices(tmp_path / "s", ["1.tif", "2.tif"], planes), unequal="pad")
    assert source.read(Box((1, 0, 0), (2, 1, 1))).tolist() == [[[STACK[1, 0, 0]]]]
    assert not source.read(Box((1, 1, 0), (2, 20, 30))).any()
