"""Which files an entry has."""

import hashlib

import pytest
from tests.stages.ingest.empiar.servers import ROOT, Fault, FtpArchive, HttpArchive

from volproc import FetchOptions
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.index import parse_index
from volproc.stages.ingest.empiar.listing import listing

FILES = {
    "10094.xml": b"<entry/>",
    "data/ROI_00/slice 1.dm4": bytes(70_000),
    "data/ROI_00/slice#2.dm4": bytes(70_001),
    "data/ROI_01/a.dm4": bytes(3),
    "data/deep/er/b.tif": b"",
}


@pytest.fixture
def archive():
    with HttpArchive(FILES) as archive:
        yield archive


def sizes(files):
    return {file.path: file.bytes for file in files}


def test_all_files_are_found_with_exact_sizes(archive):
    files = listing("EMPIAR-10094", archive.options())
    assert sizes(files) == {path: len(content) for path, content in FILES.items()}
    assert all(file.slack == 0 and file.date == "2017-05-16T10:32:11Z" for file in files)
    assert archive.most_at_once <= 3


def test_sizes_of_the_pages_are_near_and_cost_no_request_per_file(archive):
    files = listing("EMPIAR-10094", archive.options(), exact=False)
    assert {method for method, _, _ in archive.asked} == {"GET"}
    assert len(archive.asked) == 6  # folders
    for file in files:
        assert abs(file.bytes - len(FILES[file.path])) <= file.slack


def test_a_server_without_head_leaves_the_sizes_of_its_pages(archive):
    archive.knows_head = False
    by_page = listing("EMPIAR-10094", archive.options(), exact=False)
    assert listing("EMPIAR-10094", archive.options()) == by_page


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket/empiar/", "none of https://, http://, ftp://"),
        ("ftp:///empiar/", "names no server"),
        ("ftp://127.0.0.1:9/", r"the connection broke off \(ConnectionRefusedError\); tried 2"),
        ("http://127.0.0.1:9/", "no connection: is there a network"),
    ],
)
def test_an_archive_that_cannot_be_reached_is_one_line(quick, url, words):
    with pytest.raises(IngestError, match=words):
        listing("EMPIAR-10094", FetchOptions(archive=url, tries=2))


def test_patterns_choose_files_and_spare_folders(archive):
    options = archive.options(pattern=("data/ROI_0?/*.dm4", "*.xml"))
    assert len(listing("EMPIAR-10094", options)) == 4
    archive.asked.clear()
    found = listing("EMPIAR-10094", archive.options(pattern=("data/ROI_01/*.dm4",)))
    assert [file.path for file in found] == ["data/ROI_01/a.dm4"]
    assert f"{ROOT}10094/data/ROI_00/" not in {path for _, path, _ in archive.asked}


def test_no_match_is_one_line(archive):
    with pytest.raises(IngestError, match=r"no file like \*\.mrc; it has 10094.xml"):
        listing("EMPIAR-10094", archive.options(pattern=("*.mrc",)))


def test_an_entry_that_is_not_there_is_one_line(archive):
    with pytest.raises(IngestError, match="EMPIAR-99999 is not a released entry"):
        listing("EMPIAR-99999", archive.options())


def test_a_size_unlike_the_page_s_is_a_lie(archive):
    archive.heads[f"{ROOT}10094/data/ROI_00/slice 1.dm4"] = {"Content-Length": "10"}
    with pytest.raises(IngestError, match="says 10 bytes, but its listing about"):
        listing("EMPIAR-10094", archive.options())


def test_lists_of_md5_are_used():
    content = b"voxels"
    md5 = hashlib.md5(content).hexdigest()
    files = {
        "data/a.tif": content,
        "data/b.tif": content,
        "data/sub/c.tif": content,
        "data/sub/d.tif": content,
        "data/md5sums.txt": f"{md5}  ./a.tif\n{md5.upper()} *data/b.tif\nnonsense\n".encode(),
        "data/sub/c.tif.md5": f"{md5}\n".encode(),
    }
    with HttpArchive(files) as archive:
        found = listing("EMPIAR-10094", archive.options(pattern=("*.tif",)))
    assert [file.md5 for file in found] == [md5, md5, md5, None]


def test_ftp_lists_the_same(tmp_path):
    for path, content in FILES.items():
        place = tmp_path / "10094" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    with FtpArchive(tmp_path) as archive:
        files = listing("EMPIAR-10094", archive.options())
        assert sizes(files) == {path: len(content) for path, content in FILES.items()}
        assert all(file.date for file in files)
        with pytest.raises(IngestError, match="EMPIAR-99999 is not a released entry"):
            listing("EMPIAR-99999", archive.options())


def test_a_page_that_breaks_off_is_asked_for_again(quick):
    with HttpArchive(FILES) as archive:
        page = archive.index(f"{ROOT}10094/")
        archive.files[f"{ROOT}10094/"] = archive_page = type(archive.served("10094.xml"))(page)
        archive.faults[f"{ROOT}10094/"] = [Fault(after=50), Fault(status=503)]
        assert archive_page.content == page
        assert len(listing("EMPIAR-10094", archive.options(pattern=("*.xml",)))) == 1


APACHE_TABLE = """<table><tr><th><a href="?C=N;O=D">Name</a></th></tr>
<tr><td><a href="/empiar/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td></tr>
<tr><td><a href="data/">data/</a></td><td align="right">2017-05-16 10:32  </td><td>  - </td></tr>
<tr><td><a href="a%20b.dm4">a b.dm4</a></td><td align="right">2017-05-16 10:32  </td>
<td align="right"> 64M</td></tr></table>"""
NGINX = """<pre><a href="../">../</a>
<a href="data/">data/</a>                16-May-2017 10:32       -
<a href="a%20b.dm4">a b.dm4</a>         16-May-2017 10:32       67109500
<a href="https://elsewhere.org/c.dm4">c.dm4</a> <a href="../../etc/passwd">x</a></pre>"""


@pytest.mark.parametrize(
    ("page", "nbytes", "slack"),
    [(APACHE_TABLE, 64 * 2**20, 2**20), (NGINX, 67109500, 0)],
)
def test_pages_of_other_servers(page, nbytes, slack):
    root = "https://host/empiar/10094/"
    links = list(parse_index(page, root))
    assert [(f.path, is_folder) for f, is_folder in links] == [("data", True), ("a b.dm4", False)]
    assert [f.url for f, _ in links] == [f"{root}data/", f"{root}a%20b.dm4"]
    assert (links[1][0].bytes, links[1][0].slack) == (nbytes, slack)
