"""Files that come whole, whatever happens on the way; or fail with one line."""

import base64
import hashlib
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from tests.stages.ingest.empiar.servers import ROOT, Fault, FtpArchive, HttpArchive, Served

from volproc.errors import IngestError
from volproc.stages.ingest.empiar import retries
from volproc.stages.ingest.empiar.download import PARTIAL
from volproc.stages.ingest.empiar.download_ahead import fetch_files
from volproc.stages.ingest.empiar.listing import listing
from volproc.stages.ingest.empiar.record import RECORD, Record

ONE = "data/one.dm4"
CONTENT = np.random.default_rng(1).bytes(300_000)
OTHER = np.random.default_rng(2).bytes(200_000)


@pytest.fixture
def archive(quick):
    with HttpArchive({ONE: CONTENT}) as archive:
        yield archive


def fail(archive, *faults):
    archive.faults[f"{ROOT}10094/{ONE}"] = list(faults)


def fetch(archive, folder, **options):
    chosen = archive.options(**options)
    return fetch_files(listing("EMPIAR-10094", chosen), str(folder), chosen)


def whole(folder, content=CONTENT, path=ONE):
    return (folder / path).read_bytes() == content and not (folder / (path + PARTIAL)).exists()


def test_files_come_in_parallel_never_more_than_allowed(tmp_path):
    files = {f"data/{number}.tif": bytes([number]) * 5000 for number in range(9)}
    with HttpArchive(files) as archive:
        archive.gate = threading.Barrier(3)  # opens only if three come at once
        came = fetch(archive, tmp_path)
        assert archive.most_at_once == 3
    assert [file.path for file in came] == sorted(files)
    assert all((tmp_path / path).read_bytes() == content for path, content in files.items())


def test_a_proxy_of_the_environment_is_used(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", archive.url)
    options = archive.options().model_copy(update={"archive": f"http://archive.invalid{ROOT}"})
    fetch_files(listing("EMPIAR-10094", options), str(tmp_path), options)
    assert whole(tmp_path)


def test_a_dropped_connection_goes_on_where_it_broke_off(archive, tmp_path):
    fail(archive, Fault(after=100_000), Fault(after=50_000), Fault(after=0))
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    parts = archive.gets(ONE)
    assert parts == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_slow_bytes_go_on_where_they_stopped(archive, tmp_path):
    fail(archive, Fault(after=100_000, stall=True))
    fetch(archive, tmp_path, timeout_s=0.3)
    assert whole(tmp_path)
    assert archive.gets(ONE) == [None, "bytes=100000-"]


def test_a_server_without_parts_begins_again(archive, tmp_path):
    archive.ranges = False
    fail(archive, Fault(after=100_000))
    fetch(archive, tmp_path)
    assert whole(tmp_path)


def test_another_run_goes_on(archive, tmp_path):
    fail(archive, *[Fault(after=10_000)] * 4)
    with pytest.raises(IngestError, match=r"one.dm4: .* at 40000 of 300000 bytes; tried 4 times"):
        fetch(archive, tmp_path)
    assert (tmp_path / (ONE + PARTIAL)).read_bytes() == CONTENT[:40_000]
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    assert archive.gets(ONE)[-1] == "bytes=40000-"


def test_complete_files_are_not_asked_for_again(archive, tmp_path):
    came = fetch(archive, tmp_path)
    assert fetch(archive, tmp_path) == came
    assert len(archive.gets(ONE)) == 1
    (tmp_path / RECORD).unlink()  # then size and date tell
    fetch(archive, tmp_path)
    assert len(archive.gets(ONE)) == 1


def test_a_file_of_another_size_is_fetched_again(archive, tmp_path):
    fetch(archive, tmp_path)
    (tmp_path / ONE).write_bytes(b"cut short")
    fetch(archive, tmp_path)
    assert whole(tmp_path)


def test_a_file_that_changes_on_the_way_begins_again(archive, tmp_path):
    def change():
        archive.files[f"{ROOT}10094/{ONE}"] = Served(OTHER, date=1_600_000_000, version=2)

    fail(archive, Fault(after=100_000, then=change), Fault(after=70_000))
    (came,) = fetch(archive, tmp_path)
    assert whole(tmp_path, OTHER)
    assert (came.bytes, came.date) == (len(OTHER), "2020-09-13T12:26:40Z")
    assert archive.gets(ONE) == [None, "bytes=100000-", "bytes=70000-"]


def test_a_file_that_changed_between_runs_is_noticed_and_fetched(archive, tmp_path):
    fetch(archive, tmp_path)
    archive.files[f"{ROOT}10094/{ONE}"] = Served(OTHER, date=1_600_000_000, version=2)
    files = listing("EMPIAR-10094", archive.options())
    assert Record(str(tmp_path)).changed(files) == (ONE,)
    fetch_files(files, str(tmp_path), archive.options())
    assert whole(tmp_path, OTHER)


def test_the_part_of_a_file_that_changed_between_runs_is_not_used(archive, tmp_path):
    fail(archive, *[Fault(after=10_000)] * 4)
    with pytest.raises(IngestError):
        fetch(archive, tmp_path)
    archive.files[f"{ROOT}10094/{ONE}"] = Served(CONTENT[::-1], date=1_600_000_000, version=2)
    fetch(archive, tmp_path)
    assert whole(tmp_path, CONTENT[::-1])


def test_machines_with_etags_of_their_own_are_one_server(archive, tmp_path):
    def another_machine():
        archive.files[f"{ROOT}10094/{ONE}"] = Served(CONTENT, version=2)

    fail(archive, Fault(after=100_000, then=another_machine))
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    assert archive.gets(ONE) == [None, "bytes=100000-", "bytes=100000-"]


def test_a_server_that_is_busy_is_given_the_time_it_asks_for(archive, tmp_path):
    fail(archive, Fault(status=429, headers={"Retry-After": "1"}), Fault(status=500))
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    fail(archive, Fault(status=503, headers={"Retry-After": "7200"}))
    (tmp_path / ONE).unlink()
    with pytest.raises(IngestError, match="asks for a pause of 7200 s; run the same command again"):
        fetch(archive, tmp_path)


def test_a_file_that_is_gone_is_one_line_and_the_others_come(tmp_path):
    with HttpArchive({ONE: CONTENT, "data/two.dm4": OTHER}) as archive:
        fail(archive, Fault(status=404))
        with pytest.raises(IngestError, match=r"one.dm4: the server responds 404 \(Not Found\)"):
            fetch(archive, tmp_path)
        assert len(archive.gets(ONE)) == 1
    assert whole(tmp_path, OTHER, "data/two.dm4")


def test_many_failures_are_one_line(tmp_path):
    files = {f"data/{number}.dm4": OTHER for number in range(3)}
    with HttpArchive(files) as archive:
        for path in files:
            archive.faults[f"{ROOT}10094/{path}"] = [Fault(status=403)]
        with pytest.raises(IngestError, match=r"responds 403 .*\(3 of 3 files failed\)$"):
            fetch(archive, tmp_path)


@pytest.mark.parametrize("length", [100, 400_000])
def test_a_size_unlike_the_listing_s_is_refused(archive, tmp_path, length):
    fail(archive, Fault(length=length))
    with pytest.raises(IngestError, match=f"sends {length} bytes, but its listing says 300000"):
        fetch(archive, tmp_path)
    assert not (tmp_path / ONE).exists()


def test_a_server_that_always_promises_more_than_it_has_is_refused(archive, tmp_path):
    archive.heads[f"{ROOT}10094/{ONE}"] = {"Content-Length": "300100"}
    fail(archive, *[Fault(length=300_100)] * 9)
    with pytest.raises(IngestError, match="stated 300100 bytes, but has no more than 300000"):
        fetch(archive, tmp_path)
    assert not (tmp_path / ONE).exists()


def test_a_body_longer_than_listed_is_refused(archive, tmp_path):
    archive.heads[f"{ROOT}10094/{ONE}"] = {"Content-Length": "299500"}  # the page says 293K
    fail(archive, Fault(length=-1))  # none at all: the body ends with the connection
    with pytest.raises(IngestError, match="more than the 299500 bytes it stated"):
        fetch(archive, tmp_path)
    assert not (tmp_path / ONE).exists()
    assert not (tmp_path / (ONE + PARTIAL)).exists()


def test_a_body_of_unknown_length_is_known_from_the_listing(archive, tmp_path):
    fail(archive, Fault(length=-1, after=100_000), Fault(length=-1, after=50_000))
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    assert archive.gets(ONE) == [None, "bytes=100000-", "bytes=150000-"]


def test_attempts_that_bring_much_do_not_count(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "GAIN_BYTES", 30_000)
    fail(archive, *[Fault(after=30_000)] * 9)
    fetch(archive, tmp_path, tries=2)
    assert whole(tmp_path)


def test_the_server_s_own_md5_is_checked(archive, tmp_path):
    md5 = base64.b64encode(hashlib.md5(OTHER).digest()).decode()
    archive.heads[f"{ROOT}10094/{ONE}"] = {"Content-MD5": md5}
    with pytest.raises(IngestError, match=f"expected {hashlib.md5(OTHER).hexdigest()}"):
        fetch(archive, tmp_path)
    assert not (tmp_path / ONE).exists()


def test_md5_is_checked(tmp_path):
    lies = {ONE: CONTENT, "data/md5sum.txt": f"{'0' * 32}  one.dm4\n".encode()}
    with HttpArchive(lies) as archive, pytest.raises(IngestError, match=f"expected {'0' * 32}"):
        fetch(archive, tmp_path)
    assert not (tmp_path / ONE).exists()
    md5 = hashlib.md5(CONTENT).hexdigest()
    with HttpArchive({ONE: CONTENT, "data/md5sum.txt": f"{md5}  one.dm4\n".encode()}) as archive:
        fetch(archive, tmp_path)
    assert whole(tmp_path)


def test_a_full_disk_is_one_line_and_keeps_what_came(archive, tmp_path, monkeypatch):
    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IngestError, match=r"one.dm4.partial: no space left on device; fix that"):
        fetch(archive, tmp_path)
    monkeypatch.undo()
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    assert len(archive.gets(ONE)) == 1  # all of it was there


def test_a_file_in_place_of_the_folder_is_one_line(archive, tmp_path):
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(IngestError, match=r"cannot write .*: (file exists|not a dir)"):
        fetch(archive, tmp_path / "folder")


def test_a_folder_in_use_is_refused(archive, tmp_path):
    with (
        Record(str(tmp_path)),
        pytest.raises(IngestError, match="another volproc is fetching into"),
    ):
        fetch(archive, tmp_path)


def test_a_torn_line_of_the_record_does_no_harm(archive, tmp_path):
    fetch(archive, tmp_path)
    with (tmp_path / RECORD).open("a") as file:
        file.write('{"state": "do')
    (tmp_path / ONE).unlink()
    for _ in range(2):  # the first adds lines after the torn one
        fetch(archive, tmp_path)
    assert len(archive.gets(ONE)) == 2
    (tmp_path / RECORD).write_text("something else\n")
    with pytest.raises(IngestError, match="is damaged; remove it"):
        fetch(archive, tmp_path)


def test_progress_ends_at_the_whole(archive, tmp_path):
    seen = []
    files = listing("EMPIAR-10094", archive.options())
    fetch_files(files, str(tmp_path), archive.options(), watch=seen.append)
    assert (seen[-1].files, seen[-1].files_total) == (1, 1)
    assert seen[-1].bytes == seen[-1].bytes_total == len(CONTENT)


KILLED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # though whoever runs the tests ignores it
from volproc import FetchOptions
from volproc.stages.ingest.empiar.listing import listing
from volproc.stages.ingest.empiar.download_ahead import fetch_files
options = FetchOptions(archive=sys.argv[1], timeout_s=30)
fetch_files(listing("EMPIAR-10094", options), sys.argv[2], options)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_fetch_that_is_killed_goes_on(archive, tmp_path, sent):
    out = threading.Event()
    fail(archive, Fault(after=100_000, stall=True, then=out.set))
    command = [sys.executable, "-c", KILLED, archive.url + ROOT, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert out.wait(60)
        partial = tmp_path / (ONE + PARTIAL)
        while process.poll() is None and not (partial.exists() and partial.stat().st_size):
            pass
        process.send_signal(sent)
        _, errors = process.communicate(timeout=20)
        assert process.returncode != 0
    assert partial.exists(), errors
    begun = partial.stat().st_size
    assert 0 < begun <= 100_000
    fetch(archive, tmp_path)
    assert whole(tmp_path)
    assert archive.gets(ONE)[-1] == f"bytes={begun}-"


@pytest.fixture
def ftp(tmp_path, quick):
    place = tmp_path / "served" / "10094" / ONE
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    with FtpArchive(tmp_path / "served") as archive:
        yield archive


def test_ftp_goes_on_where_it_broke_off(ftp, tmp_path):
    ftp.drops["one.dm4"] = [100_000, 0, 50_000]
    fetch(ftp, tmp_path / "here")
    assert whole(tmp_path / "here")
    assert ftp.asked == [("one.dm4", start) for start in (0, 100_000, 100_000, 150_000)]
    fetch(ftp, tmp_path / "here")
    assert len(ftp.asked) == 4


def test_md5_is_checked_over_ftp(ftp, tmp_path):
    md5 = tmp_path / "served" / "10094" / "data" / "one.dm4.md5"
    md5.write_text("0" * 32)
    with pytest.raises(IngestError, match=f"expected {'0' * 32}"):
        fetch(ftp, tmp_path / "here")
    md5.write_text(hashlib.md5(CONTENT).hexdigest())
    fetch(ftp, tmp_path / "here")
    assert whole(tmp_path / "here")


def test_ftp_gives_up_in_one_line(ftp, tmp_path):
    ftp.drops["one.dm4"] = [10_000, 0, 0, 0]
    with pytest.raises(IngestError, match="at 10000 of 300000 bytes; tried 4 times"):
        fetch(ftp, tmp_path / "here")
    fetch(ftp, tmp_path / "here")
    assert whole(tmp_path / "here")


def test_a_file_that_changes_on_an_ftp_server_begins_again(ftp, tmp_path):
    ftp.drops["one.dm4"] = [10_000] * 4
    with pytest.raises(IngestError):
        fetch(ftp, tmp_path / "here")
    (tmp_path / "served" / "10094" / ONE).write_bytes(OTHER)
    fetch(ftp, tmp_path / "here")
    assert whole(tmp_path / "here", OTHER)


def test_a_file_that_is_gone_from_an_ftp_server_is_one_line(ftp, tmp_path):
    options = ftp.options()
    files = listing("EMPIAR-10094", options)
    (tmp_path / "served" / "10094" / ONE).unlink()
    with pytest.raises(IngestError, match=r"one.dm4: the server responds '550"):
        fetch_files(files, str(tmp_path / "here"), options)
