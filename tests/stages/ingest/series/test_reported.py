"""Series of slices that public reports tell of; each test names its report."""

import unicodedata

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.reader import open_source

STACK = np.random.default_rng(5).integers(1, 250, (12, 6, 9), dtype="u1")


def opened(url, **options):
    return open_source(str(url), IngestOptions(**options))


def voxels(source):
    return source.read(whole_box(source.shape))


def write(folder, names, planes=STACK, **how):
    for name, plane in zip(names, planes):
        tifffile.imwrite(folder / name, plane, photometric="minisblack", **how)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "{}.tif",  # abria/TeraStitcher#30: 0, 1, 10, 11, ..., 2
        "Section{}.tif",  # lahammond/BrainJ#8
        "slice {} of 12.tif",  # ilastik/ilastik#1718
        "img_{}.TIFF",  # usnistgov/imppy3d#12
    ],
)
def test_numbers_without_zeros_count_as_numbers(tmp_path, name):
    write(tmp_path, [name.format(n) for n in range(12)])
    np.testing.assert_array_equal(voxels(opened(tmp_path)), STACK)


def test_numbers_whose_width_changes_are_one_series(tmp_path):
    """SlicerMorph/SlicerMorph#453: 0998, 0999, 1000 beside 998."""
    names = [f"s{n:03}.tif" for n in range(995, 1007)]
    np.testing.assert_array_equal(voxels(opened(write(tmp_path, names))), STACK)


def test_a_series_is_complete_or_refused(tmp_path):
    """SlicerMorph/SlicerMorph#453: no check whether some slices are missing."""
    write(tmp_path, [f"{n}.tif" for n in range(12)])
    (tmp_path / "7.tif").unlink()
    with pytest.raises(IngestError, match=r"1 slices are missing before 8\.tif"):
        opened(tmp_path)


def test_a_slice_of_another_size_is_named(tmp_path):
    """rordenlab/dcm2niix#351: 436 slices made one volume, the 437th another one."""
    write(tmp_path, [f"s{n}.tif" for n in range(12)])
    tifffile.imwrite(tmp_path / "s5.tif", STACK[5, :4, :7])
    with pytest.raises(IngestError, match=r"s5\.tif is uint8 of \(1, 4, 7\).*unequal = \"pad\""):
        opened(tmp_path)
    padded = voxels(opened(tmp_path, unequal="pad"))
    np.testing.assert_array_equal(padded[5], np.pad(STACK[5, :4, :7], ((0, 2), (0, 2))))


@pytest.mark.parametrize("values", [STACK[5].astype("u2"), STACK[5].astype("i1"), STACK[5] > 9])
def test_a_slice_of_another_type_is_named(tmp_path, values):
    """rordenlab/dcm2niix#239: slices not stacked where the bit depth varies."""
    write(tmp_path, [f"s{n}.tif" for n in range(12)])
    tifffile.imwrite(tmp_path / "s5.tif", values, photometric="minisblack")
    with pytest.raises(IngestError, match=r"s5\.tif is \w+ of .*all slices need one size and type"):
        voxels(opened(tmp_path))


def test_a_slice_that_cannot_be_read_is_named(tmp_path):
    """nci/drishti#78: a file that a virus scanner held was skipped with its slice."""
    write(tmp_path, [f"s{n}.tif" for n in range(12)])
    (tmp_path / "s5.tif").write_bytes(b"")
    with pytest.raises(IngestError, match=r"s5\.tif"):
        opened(tmp_path)


def test_all_planes_of_each_file_are_taken(tmp_path):
    """imagej/ImageJ#242: of files with several planes only one each was included."""
    write(tmp_path, ["test-0.tif", "test-1.tif"], [STACK[:6], STACK[6:]])
    np.testing.assert_array_equal(voxels(opened(tmp_path)), STACK)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (1, 9), (9, 1)])
def test_slices_that_are_no_squares_keep_their_rows(tmp_path, shape):
    """nci/drishti#54: width and height were exchanged."""
    planes = np.arange(4 * shape[0] * shape[1], dtype="f4").reshape(4, *shape)
    write(tmp_path, [f"slice_{n:05}.tif" for n in range(4)], planes)
    np.testing.assert_array_equal(voxels(opened(tmp_path)), planes)


@pytest.mark.parametrize("word", ["Müller_", "tranché-", "パピプペポ", "Å"])
def test_names_written_by_a_mac_and_by_others_are_one_series(tmp_path, word):
    """uewepuep/FPVTracksideCore#75, microsoft/winfile#86: accents are letters of their own there.

    The numbers may be those of the Japanese keyboard.
    """
    forms = ["NFC" if n % 3 else "NFD" for n in range(12)]
    names = [unicodedata.normalize(form, word) + f"{n}.tif" for n, form in enumerate(forms)]
    np.testing.assert_array_equal(voxels(opened(write(tmp_path, names))), STACK)


def test_a_name_that_is_there_in_both_forms_is_refused(tmp_path):
    """doublecmd/doublecmd#2747: on Linux they are two files."""
    names = [unicodedata.normalize(form, "é1.tif") for form in ("NFC", "NFD")]
    write(tmp_path, [*names, "é2.tif"])
    with pytest.raises(IngestError, match=r"two slices of number 1"):
        opened(tmp_path)


def test_numbers_of_other_scripts_count(tmp_path):
    """microsoft/winfile#86: full-width digits of Japanese keyboards."""
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    names = [f"s{n}.tif".translate(wide) for n in range(12)]
    np.testing.assert_array_equal(voxels(opened(write(tmp_path, names))), STACK)


TURNED = {
    2: lambda plane: plane[:, ::-1],
    3: lambda plane: plane[::-1, ::-1],
    4: lambda plane: plane[::-1],
    5: lambda plane: plane.T,
    6: lambda plane: np.rot90(plane, -1),
    7: lambda plane: plane[::-1, ::-1].T,
    8: lambda plane: np.rot90(plane),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["tif", "packed tif", "jpg", "png"])
def test_planes_are_turned_as_their_orientation_says(tmp_path, orientation, kind):
    """xarray-spatial#1503, python-pillow/Pillow#4053, facebookresearch/detectron2#788."""
    path = tmp_path / f"a.{kind[-3:]}"
    if path.suffix == ".tif":
        tags = [(274, "H", 1, orientation, True)]
        packed = "zlib" if kind == "packed tif" else None
        write(tmp_path, [path.name], [STACK[:4]], extratags=tags, compression=packed)
        stored = STACK[:4]
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(STACK[0]).save(path, exif=exif.tobytes())
        stored = np.asarray(Image.open(path))[None]
    meant = np.array([TURNED[orientation](plane) for plane in stored])
    source = opened(path)
    np.testing.assert_array_equal(voxels(source), meant)
    assert f"its orientation tag is {orientation}" in source.note
    box = Box((0, 1, 2), (1, 5, 4))
    np.testing.assert_array_equal(source.read(box), meant[box.slices])


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_the_usual_orientation_and_none_change_nothing(tmp_path, orientation):
    """tlnagy/TiffImages.jl#3: nearly all files state 1, some numbers that mean nothing."""
    tifffile.imwrite(tmp_path / "a.tif", STACK, extratags=[(274, "H", 1, orientation, True)])
    source = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(voxels(source), STACK)
    assert source.note == ""


def test_one_turned_slice_is_turned_alone(tmp_path):
    """coralnet/coralnet#107: some images of a set are stored turned."""
    square = STACK[:, :6, :6]
    write(tmp_path, [f"s{n}.tif" for n in range(12)], square)
    tags = [(274, "H", 1, 3, True)]
    tifffile.imwrite(tmp_path / "s4.tif", square[4, ::-1, ::-1], extratags=tags)
    np.testing.assert_array_equal(voxels(opened(tmp_path)), square)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_series_of_pngs_saved_in_several_ways_is_one(tmp_path, depth):
    """imageio/imageio#204, python-pillow/Pillow#7723: some saved as grey, others as grey colour."""
    planes = STACK[:4].astype(f"u{depth // 8}") * (1 if depth == 8 else 257)
    ways = [lambda p: p, lambda p: np.stack([p] * 3, -1), lambda p: with_opacity(p), lambda p: p]
    for n, (way, plane) in enumerate(zip(ways, planes)):
        (tmp_path / f"s{n}.png").write_bytes(imagecodecs.png_encode(way(plane)))
    np.testing.assert_array_equal(voxels(opened(tmp_path)), planes)


def with_opacity(plane):
    return np.stack([plane, np.full_like(plane, np.iinfo(plane.dtype).max)], -1)
