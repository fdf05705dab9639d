import functools
import http.server
import io
import sys
import threading

import fsspec
import numpy as np
import pytest
import tifffile
from PIL import Image
from RangeHTTPServer import RangeRequestHandler

from volproc import IngestOptions
from volproc.errors import IngestError, LocationError, VolprocError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.file_formats import FORMATS
from volproc.stages.ingest.reader import open_source

STACK = np.random.default_rng(8).integers(1, 250, (6, 20, 30), dtype="uint8")


def read(url, **options):
    source = open_source(str(url), IngestOptions(**options))
    return source.read(whole_box(source.shape))


@pytest.fixture
def folder(tmp_path):
    """Six slices as TIFF, beside files that are no slices."""
    path = tmp_path / "slices"
    path.mkdir()
    for n, plane in enumerate(STACK):
        tifffile.imwrite(path / f"z{n}.tif", plane)
    for name in ("Thumbs.db", "notes.txt", ".z9.tif", "._z1.tif"):
        (path / name).write_text("no image")
    (path / "z7.tif").mkdir()
    return path


@pytest.fixture
def web(folder):
    """The folder on a web server that lists it and gives ranges of bytes."""

    class Quiet(RangeRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_folder_is_the_series_of_its_slices(folder):
    assert np.array_equal(read(folder), STACK)
    assert np.array_equal(read(f"{folder}/"), STACK)
    assert np.array_equal(read(folder / "z[0-3]*.tif"), STACK[:4])


def test_a_web_server_is_read_like_a_disk(web):
    assert np.array_equal(read(f"{web}/slices/z2.tif"), STACK[2:3])
    assert np.array_equal(read(f"{web}/slices/*.tif"), STACK)
    with pytest.raises(IngestError, match=r"z9\.tif does not exist"):
        read(f"{web}/slices/z9.tif")
    (stamp, *_) = open_source(f"{web}/slices/z2.tif", IngestOptions()).identity
    assert stamp[:1] == ("z2.tif",)
    assert stamp[1] > STACK[0].size


ON_THE_WEB = {
    # Kitware/dive#494, skshetry/webdav4#198, fsspec/filesystem_spec#1713
    "spaces": "img {}.tif",
    "parentheses": "img ({}).tif",
    "a percent sign": "100%_{}.tif",
    "what looks quoted": "100%20_{}.tif",
    "a hash": "#{}.tif",
    "a question mark": "which?_{}.tif",
    "an ampersand": "a&b_{}.tif",
    "brackets": "roi[1]_{}.tif",
    "a plus": "a+b_{}.tif",
    "letters": "Präparat_{}.tif",
    "colons": "a::b_{}.tif",
    "a quote": "it's_{}.tif",
}


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_names_on_a_web_server_are_those_of_the_files(web, folder, name):
    place = folder.parent / "my slices"
    place.mkdir()
    for n, plane in enumerate(STACK):
        tifffile.imwrite(place / ON_THE_WEB[name].format(n + 7), plane)
    assert np.array_equal(read(place), STACK)
    for url in (f"{web}/my%20slices", f"{web}/my slices"):
        source = open_source(url, IngestOptions())
        assert np.array_equal(source.read(whole_box(source.shape)), STACK)
        assert [one[0] for one in source.identity] == [
            ON_THE_WEB[name].format(n + 7) for n in range(6)
        ]
    assert read(f"{web}/my%20slices/*8*.tif").shape[0] == 1


def test_a_folder_on_a_web_server_is_listed(web, folder):
    """Its listing does not tell folders from files: one with the name of a slice is in the way."""
    (folder / "z7.tif").rmdir()
    assert np.array_equal(read(f"{web}/slices"), STACK)


def test_what_a_file_holds_counts_not_its_name(tmp_path):
    tifffile.imwrite(tmp_path / "volume.png", STACK)
    Image.fromarray(STACK[0]).save(tmp_path / "plane.tif", "PNG")
    Image.fromarray(STACK[0]).save(tmp_path / "plane", "PNG")
    assert np.array_equal(read(tmp_path / "volume.png"), STACK)
    assert np.array_equal(read(tmp_path / "plane.tif"), STACK[:1])
    assert np.array_equal(read(tmp_path / "plane"), STACK[:1])


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_of_the_table_has_its_module(known):
    assert callable(known.opener(IngestOptions()))
    assert not known.recognises(b"no image at all")
    assert known.named(f"s3://bucket/A.B{known.suffixes[0].upper()}")


def png(folder, name):
    Image.fromarray(STACK[0]).save(folder / name, name.rpartition(".")[2])


WRONG = {
    "nothing": (lambda folder: None, "does not exist"),
    "empty file": (lambda folder: (folder / "empty file").touch(), "is empty"),
    "text": (lambda folder: (folder / "text").write_text("hello"), "of no format .* read are TIFF"),
    "text.tif": (lambda folder: (folder / "text.tif").write_text("hello"), "is not a TIFF file"),
    "text.png": (
        lambda folder: (folder / "text.png").write_text("hello"),
        "is not a PNG or JPEG file",
    ),
    "empty": (lambda folder: (folder / "empty").mkdir(), "holds no image file among 0 files"),
    "notes": (
        lambda folder: ((folder / "notes").mkdir(), (folder / "notes" / "a.txt").touch()),
        "holds no image file among 1 files; read are TIFF, PNG",
    ),
    "mixed": (
        lambda folder: (
            (folder / "mixed").mkdir(),
            [png(folder / "mixed", name) for name in ("1.png", "2.png", "3.tiff")],
        ),
        r"PNG \(2 files\) and TIFF \(1 files\); a series is of one format",
    ),
    "*.tif": (lambda folder: None, "holds no image file"),
    "there.tif/inside": (
        lambda folder: tifffile.imwrite(folder / "there.tif", STACK),
        "inside does not exist",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, name):
    make, message = WRONG[name]
    make(tmp_path)
    with pytest.raises(IngestError, match=message) as caught:
        open_source(str(tmp_path / name), IngestOptions())
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_one_bad_slice_is_named(folder):
    (folder / "z3.tif").write_text("no image")
    with pytest.raises(IngestError, match=r"z3\.tif is not a TIFF file"):
        read(folder)


def test_a_file_system_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(LocationError, match=r"gs://b/a\.tif: .*pip install '\.\[gs\]'"):
        open_source("gs://b/a.tif", IngestOptions())
    with pytest.raises(LocationError, match="nowhere:// is not known; a path, or s3://"):
        open_source("nowhere://b/a.tif", IngestOptions())


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(IngestError, match=r"cannot reach http://127\.0\.0\.1:9/a\.tif"):
        open_source("http://127.0.0.1:9/a.tif", IngestOptions())


def test_a_zarr_is_known_by_its_files_and_goes_on_inside(tmp_path):
    import zarr

    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("deep/raw", data=STACK, chunks=(2, 20, 30))
    assert np.array_equal(read(tmp_path / "a.zarr" / "deep" / "raw"), STACK)
    with pytest.raises(VolprocError, match="nothing does not exist"):
        read(tmp_path / "a.zarr" / "nothing")


def test_an_hdf5_goes_on_inside(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/raw"] = STACK
        file["deep/labels"] = STACK.astype("uint32")
    found = read(tmp_path / "a.h5" / "deep" / "raw")
    assert np.array_equal(found, STACK)
    source = open_source(str(tmp_path / "a.h5" / "deep" / "labels"), IngestOptions())
    assert source.dtype == "uint32"
    with pytest.raises(IngestError):
        read(tmp_path / "a.h5" / "nothing")


def test_any_file_system_will_do():
    file = io.BytesIO()
    tifffile.imwrite(file, STACK)
    fsspec.filesystem("memory").pipe({"memory://reader/a.tif": file.getvalue()})
    source = open_source("memory://reader/a.tif", IngestOptions())
    box = Box((1, 2, 3), (4, 5, 6))
    assert np.array_equal(source.read(box), STACK[box.slices])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "options", "shape", "dtype"),
    [
        ("hela-slices", {"missing": "blank"}, (4, 2000, 2000), "uint8"),
        ("hela-roi329/raw_40nm.tif", {}, (300, 500, 500), "uint8"),
        ("fib25/bodies.tif", {}, (160, 250, 250), "uint16"),
        ("drosophila-vnc/raw", {}, (14, 1024, 1024), "uint8"),
        ("drosophila-vnc/membranes", {}, (14, 1024, 1024), "uint8"),
        ("drosophila-vnc/mitochondria/*.png", {}, (14, 1024, 1024), "uint8"),
        ("mrc/EMD-3197.map", {}, (20, 20, 20), "float32"),
        ("gala-fibsem/test-image.h5", {}, (50, 100, 200), "uint8"),
        ("ome-zarr/6001240_labels_v0.5.zarr/labels/0", {}, (236, 275, 271), "int8"),
    ],
)
def test_real_files_get_the_right_reader(real_data, name, options, shape, dtype):
    source = open_source(str(real_data / name), IngestOptions(**options))
    assert (source.shape, source.dtype) == (shape, dtype)
