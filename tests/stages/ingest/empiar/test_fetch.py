"""What a transfer would take."""

from collections import namedtuple

import pytest
from tests.stages.ingest.empiar.servers import HttpArchive

from volproc.stages.ingest.empiar import fetch as module
from volproc.stages.ingest.empiar.download_ahead import fetch_files
from volproc.stages.ingest.empiar.fetch import BYTES_PER_S, Group, estimate
from volproc.stages.ingest.empiar.listing import listing

FILES = {
    "10094.xml": b"x" * 10,
    "data/a/1.dm4": bytes(2000),
    "data/a/2.dm4": bytes(3000),
    "data/b/3.tif": bytes(5000),
}


@pytest.fixture
def archive():
    with HttpArchive(FILES) as archive:
        yield archive


def test_files_bytes_and_seconds_by_folder(archive, tmp_path):
    options = archive.options(connections=2)
    found = estimate(listing("EMPIAR-10094", options), str(tmp_path / "new" / "one"), options)
    assert (found.files, found.bytes, found.here_bytes) == (4, 10_010, 0)
    assert found.exact
    assert found.seconds == pytest.approx(10_010 / (2 * BYTES_PER_S))
    assert found.groups == (Group(".", 1, 10), Group("data/a", 2, 5000), Group("data/b", 1, 5000))
    assert not (tmp_path / "new").exists()


def test_patterns_make_the_groups(archive, tmp_path):
    options = archive.options(pattern=("*.dm4", "*.tif"))
    found = estimate(listing("EMPIAR-10094", options), str(tmp_path), options)
    assert found.groups == (Group("*.dm4", 2, 5000), Group("*.tif", 1, 5000))


def test_rounded_sizes_are_told(archive, tmp_path):
    options = archive.options()
    found = estimate(listing("EMPIAR-10094", options, exact=False), str(tmp_path), options)
    assert not found.exact
    assert found.bytes == pytest.approx(10_010, rel=0.02)


def test_what_is_here_needs_no_time(archive, tmp_path):
    options = archive.options()
    files = listing("EMPIAR-10094", options)
    fetch_files(files[:2], str(tmp_path), options)
    found = estimate(files, str(tmp_path), options)
    assert (found.bytes, found.here_bytes) == (10_010, 2010)
    assert found.seconds == pytest.approx(8000 / (3 * BYTES_PER_S))
    rounded = listing("EMPIAR-10094", options, exact=False)
    assert estimate(rounded, str(tmp_path), options).here_bytes == 2010


@pytest.mark.parametrize(("free", "fits"), [(10_009, False), (10_010, True)])
def test_whether_it_fits(archive, tmp_path, monkeypatch, free, fits):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: usage(free))
    options = archive.options()
    assert estimate(listing("EMPIAR-10094", options), str(tmp_path), options).fits is fits
