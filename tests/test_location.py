"""Names, links, patterns and addresses that can be read in two ways."""

import os

import pytest

from volproc.errors import LocationError
from volproc.location import entries, filesystem_of, matching, name_of


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        # fsspec/filesystem_spec#1713 and others: names with a meaning in URLs are names on a disk
        ("/data/a::b.tif", "LocalFileSystem", "/data/a::b.tif"),
        ("/data/zip::b.tif", "LocalFileSystem", "/data/zip::b.tif"),
        ("memory://bucket/a::b.tif", "MemoryFileSystem", "bucket/a::b.tif"),
        ("/data/what?.tif", "LocalFileSystem", "/data/what?.tif"),
        ("/data/100%20.tif", "LocalFileSystem", "/data/100%20.tif"),
        ("/data/#1.tif", "LocalFileSystem", "/data/#1.tif"),
        ("file:///data/a::b.tif", "LocalFileSystem", "/data/a::b.tif"),
    ],
)
def test_an_address_means_one_place(url, kind, path):
    filesystem, found = filesystem_of(url)
    assert (type(filesystem).__name__, found) == (kind, path)


def test_chains_are_still_chains(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside.tif", b"x")
    filesystem, path = filesystem_of(f"zip://inside.tif::{tmp_path}/a.zip")
    assert filesystem.cat_file(path) == b"x"
    with pytest.raises(LocationError, match=r"cannot reach zip://inside\.tif::/no\.zip"):
        filesystem_of("zip://inside.tif::/no.zip")


def test_home_is_home(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert filesystem_of("~/a.tif")[1] == "/somewhere/a.tif"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/my%20slices/img%201.tif", "img 1.tif"),
        ("https://host/100%25.tif", "100%.tif"),
        ("https://host/%2301.tif/", "#01.tif"),
        ("/data/img%201.tif", "img%201.tif"),
        ("s3://bucket/img%201.tif", "img%201.tif"),
    ],
)
def test_names_are_read_as_people_read_them(url, name):
    """Kitware/dive#494, skshetry/webdav4#198: quoted names of web servers."""
    assert name_of(url) == name


NAMES = [
    "roi[1]_0.tif",
    "roi[1]_1.tif",
    "roi[2]_0.tif",
    "roi1_0.tif",
    "s1.tif",
    "s2.tif",
    "s10.tif",
]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("s?.tif", ["s1.tif", "s2.tif"]),
        ("s*.tif", ["s1.tif", "s2.tif", "s10.tif"]),
        ("s[12].tif", ["s1.tif", "s2.tif"]),
        ("s[!1].tif", ["s2.tif"]),
        ("roi[2]_*.tif", ["roi[2]_0.tif"]),  # ilastik/ilastik#2391, TomographicImaging/CIL#1207
        ("roi[[]1]_*.tif", ["roi[1]_0.tif", "roi[1]_1.tif"]),  # hyperspy/hyperspy#1757
        ("roi[*]_0.tif", ["roi[1]_0.tif", "roi[2]_0.tif"]),  # hyperspy/hyperspy#1757
        ("roi[3]_*.tif", []),
        ("S1.tif", []),
        ("roi1_?.tif", ["roi1_0.tif"]),
    ],
)
def test_a_pattern_means_names_with_brackets_as_letters_or_as_a_choice(pattern, found):
    """hyperspy/hyperspy#1325: names with brackets that no pattern found."""
    assert matching(NAMES, pattern) == found


def test_a_pattern_that_means_both_is_refused():
    """CNES/MAJA#16: only escaping tells roi[1] from roi1."""
    with pytest.raises(LocationError, match=r"means roi\[1\]_0\.tif, and roi1_0\.tif as well"):
        matching(NAMES, "roi[1]_*.tif")


def test_links_count_as_what_they_lead_to(tmp_path):
    """justinfx/gofileseq#4, facebook/facebook360_dep#13, JaneliaSciComp/fileglancer#102."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store/file").write_bytes(b"12345")
    os.symlink("../store/file", folder / "link")
    os.symlink("link", folder / "link to link")
    os.symlink("../store", folder / "linked folder")
    os.symlink("../nothing", folder / "lost")
    os.symlink("round", folder / "round")
    (folder / "plain").write_bytes(b"1")
    found = {name_of(url): (facts["type"], facts["size"]) for url, facts in entries(str(folder))}
    assert found.pop("linked folder")[0] == "directory"
    assert {found.pop(name)[0] for name in ("lost", "round")} == {"lost"}
    assert found == {"link": ("file", 5), "link to link": ("file", 5), "plain": ("file", 1)}
