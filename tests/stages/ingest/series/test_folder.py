"""Nothing that a folder holds is left out without a word, and no part of a series is missed."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.grid.box import whole_box
from volproc.stages.ingest.reader import open_source

STACK = np.random.default_rng(8).integers(1, 250, (6, 20, 30), dtype="uint8")


@pytest.fixture
def slices(tmp_path):
    """Six slices, s_0.tif to s_5.tif."""
    folder = tmp_path / "s"
    folder.mkdir()
    for n, plane in enumerate(STACK):
        tifffile.imwrite(folder / f"s_{n}.tif", plane)
    return folder


def opened(url, **options):
    return open_source(str(url), IngestOptions(**options))


def values(source):
    return source.read(whole_box(source.shape))


def linked(folder, names):
    store = folder.parent / "store"
    store.mkdir()
    for name in names:
        os.rename(folder / name, store / name)
        os.symlink(f"../store/{name}", folder / name)


@pytest.mark.parametrize(
    "names",
    [
        ["s_3.tif", "s_4.tif", "s_5.tif"],  # xiangruili/dicm2nii#57: a second disk
        ["s_0.tif", "s_2.tif", "s_4.tif"],  # the gaps would look like a step of 2
        [f"s_{n}.tif" for n in range(6)],  # datalad/datalad#4893: every file is a link
        ["s_0.tif"],
    ],
)
def test_linked_slices_are_slices(slices, names):
    """photoprism/photoprism#1723, richq/folders2flickr#33: links are followed."""
    linked(slices, names)
    source = opened(slices)
    assert np.array_equal(values(source), STACK)
    assert source.note == "6 slices of 6 files"


def test_a_linked_folder_is_a_folder(slices):
    """anufrievroman/waypaper#132."""
    os.symlink("s", slices.parent / "link")
    assert np.array_equal(values(opened(slices.parent / "link")), STACK)


def test_the_stamp_of_a_link_is_that_of_its_file(slices):
    """Slicer/Slicer#4675: what lies behind a link may change while the link stays."""
    linked(slices, ["s_3.tif"])
    before = opened(slices).identity
    tifffile.imwrite(slices.parent / "store/s_3.tif", STACK[3], compression="zlib")
    assert opened(slices).identity != before


def keep(name):
    return lambda folder: os.rename(folder / "s_5.tif", folder / name)


def lose_the_last(folder):
    os.remove(folder / "s_5.tif")
    os.symlink("../annex/objects/s_5", folder / "s_5.tif")


def move_the_last(folder):
    (folder / "rest").mkdir()
    os.rename(folder / "s_5.tif", folder / "rest/s_5.tif")


def link_the_rest(folder):
    move_the_last(folder)
    os.rename(folder / "rest", folder.parent / "elsewhere")
    os.symlink("../elsewhere", folder / "rest")


MISSING = {
    # iejMac/video2dataset#304, jpgill86/neurotic#280, ncbi/datasets#552: interrupted downloads
    "part": (keep("s_5.tif.part"), r"more of them: s_5\.tif\.part; wait for their transfer"),
    "partial": (keep("s_5.tif.partial"), r"s_5\.tif\.partial"),
    "chrome": (keep("s_5.tif.crdownload"), r"s_5\.tif\.crdownload"),
    "wget": (keep("s_5.tif.tmp"), r"s_5\.tif\.tmp"),
    "winscp": (keep("s_5.tif.filepart"), r"s_5\.tif\.filepart"),
    "rsync": (keep(".s_5.tif.Xy12Ab"), r"\.s_5\.tif\.Xy12Ab"),
    "upper": (keep("S_5.TIF.PART"), r"S_5\.TIF\.PART"),
    "no tif": (keep("s_5.part"), r"s_5\.part"),
    "gzip": (keep("s_5.tif.gz"), r"s_5\.tif\.gz; .*unpack"),
    "zip": (keep("s_5.zip"), r"s_5\.zip"),
    "another format": (keep("s_5.bmp"), r"s_5\.bmp; .*convert"),
    "a backup alone": (keep("s_5.tif~"), r"s_5\.tif~"),
    "annex": (lose_the_last, r"links to nothing: s_5\.tif; fetch their files"),
    "folder": (move_the_last, r"a folder rest that goes on: s_5\.tif; put all slices into one"),
    "linked folder": (link_the_rest, r"a folder rest that goes on: s_5\.tif"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_looks_like_a_missing_part_is_refused_unless_files_are_named(slices, name):
    make, message = MISSING[name]
    make(slices)
    with pytest.raises(IngestError, match=message) as caught:
        opened(slices)
    assert f"or name the files to take ({slices}/s_*.tif)" in str(caught.value)
    assert "\n" not in str(caught.value)
    source = opened(f"{slices}/s_*.tif")
    assert np.array_equal(values(source), STACK[:5])
    assert source.note.startswith("5 slices of ")


LEFT_OUT = {
    # scverse/spatialdata-io#260, OpenNeuroOrg/openneuro#2520: what macOS leaves behind
    "._s_1.tif": "6 slices of 7 files; left out: 1 hidden",
    "._s_9.tif": "6 slices of 7 files; left out: 1 hidden",
    # Rolf-Hempel/PlanetarySystemStacker#44
    ".DS_Store": "6 slices of 7 files; left out: 1 hidden",
    # arusanov/avatar-generator#9
    "Thumbs.db": "6 slices of 7 files; left out: 1 .db (Thumbs.db)",
    "notes.txt": "6 slices of 7 files; left out: 1 .txt (notes.txt)",
    "README": "6 slices of 7 files; left out: 1 without ending (README)",
    "s_2.tif.bak": "6 slices of 7 files; left out: 1 .bak (s_2.tif.bak)",
    "s_2.tif.gz": "6 slices of 7 files; left out: 1 .gz (s_2.tif.gz)",
    "log_2024.part": "6 slices of 7 files; left out: 1 .part (log_2024.part)",
    "s_2.txt": "6 slices of 7 files; left out: 1 .txt (s_2.txt)",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_said(slices, name):
    """soft-matter/pims#41: extraneous files beside the images."""
    (slices / name).write_text("no image")
    source = opened(slices)
    assert np.array_equal(values(source), STACK)
    assert source.note == LEFT_OUT[name]


def test_folders_and_links_beside_a_series_are_said(slices):
    (slices / "masks").mkdir()
    for n in range(6):
        tifffile.imwrite(slices / "masks" / f"s_{n}.tif", STACK[n])
    os.symlink("nowhere", slices / "old")
    assert opened(slices).note == (
        "6 slices of 7 files; left out: 1 links to nothing (old), 1 folders (masks)"
    )


def test_what_a_pattern_leaves_out_is_said(slices):
    assert opened(f"{slices}/s_[0-3].tif").note == "4 slices of 6 files; left out: 2 other names"


def test_the_step_of_the_numbers_is_said(tmp_path):
    for n, plane in enumerate(STACK):
        tifffile.imwrite(tmp_path / f"z={round(n * 0.05, 2)}um.tif", plane)
    assert opened(tmp_path).note == "6 slices of 6 files, numbered in steps of 0.05"


def test_stacks_are_counted_as_files(tmp_path):
    for n in range(3):
        tifffile.imwrite(tmp_path / f"s_{n}.tif", STACK[2 * n : 2 * n + 2])
    assert opened(tmp_path).note == "6 slices in 3 of 3 files"


def test_a_single_slice_beside_unfinished_ones_is_no_volume(tmp_path):
    tifffile.imwrite(tmp_path / "s_0.tif", STACK[0])
    (tmp_path / "s_1.tif.part").write_bytes(b"x")
    with pytest.raises(IngestError, match=r"1 slices, and what looks like more of them"):
        opened(tmp_path)


def test_a_folder_of_folders_names_them(tmp_path):
    for name in ("roi1", "roi2"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        IngestError, match=r"no image file among 0 files; folders: roi1, roi2; read"
    ):
        opened(tmp_path)


def test_a_folder_of_lost_links_names_them(tmp_path):
    """datalad/datalad#4893: a clone without content."""
    for n in range(5):
        os.symlink(f"../annex/{n}", tmp_path / f"s_{n}.tif")
    with pytest.raises(
        IngestError, match=r"links to nothing: s_0\.tif, s_1\.tif, s_2\.tif and 2 m"
    ):
        opened(tmp_path)


@pytest.mark.parametrize("ending", ["tif", "png"])
@pytest.mark.parametrize(
    "content",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "/annex/objects/MD5-s1\n",
    ],
)
def test_a_pointer_is_not_its_content(tmp_path, ending, content):
    """datalad/datalad#4893: where a file system has no links, git-annex writes small files."""
    for n, plane in enumerate(STACK):
        Image.fromarray(plane).save(tmp_path / f"s_{n}.{ending}")
    (tmp_path / f"s_3.{ending}").write_text(content)
    with pytest.raises(
        IngestError, match=r"s_3\.\w+ is only a pointer to its content; .*datalad get"
    ):
        opened(tmp_path)


def test_an_image_of_another_format_is_refused_as_before(slices):
    Image.fromarray(STACK[0]).save(slices / "preview.png")
    with pytest.raises(IngestError, match=r"PNG \(1 files\) and TIFF \(6 files\)"):
        opened(slices)
