"""Attempts, pauses, and when two looks at a file see one state of it."""

import threading
import time
from dataclasses import replace

import pytest

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.remote_file import RemoteFile
from volproc.stages.ingest.empiar.retries import ConnectionBroken, Retries, Stopped

FILE = RemoteFile("data/a.tif", "https://host/a.tif", 100, 0, "2017-05-16T10:32:11Z", '"1"')


def failing(*failures):
    left = list(failures)

    def attempt():
        if left:
            raise left.pop(0)
        return "came"

    return attempt


def test_dates_count_before_etags_and_both_before_sizes():
    assert FILE.same(replace(FILE, etag='"2"'))
    assert not FILE.same(replace(FILE, date="2018-01-01T00:00:00Z"))
    assert not FILE.same(replace(FILE, date="", etag='"2"'))
    assert FILE.same(replace(FILE, date="", etag="", bytes=None))
    assert not FILE.same(replace(FILE, bytes=101))


def test_rounded_sizes_agree_within_their_rounding():
    rounded = replace(FILE, bytes=64 * 2**20, slack=2**20)
    assert rounded.agrees(replace(FILE, bytes=64 * 2**20 - 900_000))
    assert not rounded.agrees(replace(FILE, bytes=62 * 2**20))


def test_a_stamp_has_name_size_and_date():
    assert FILE.stamp == ("a.tif", 100, "2017-05-16T10:32:11Z")
    assert replace(FILE, date="").stamp == ("a.tif", 100, '"1"')


def test_attempts_are_counted(quick):
    assert Retries(3).run("it", failing(ConnectionBroken("no"), ConnectionBroken("no"))) == "came"
    with pytest.raises(IngestError, match=r"^it: no; tried 3 times; run the same command again"):
        Retries(3).run("it", failing(*[ConnectionBroken("no")] * 3))


def test_the_pause_a_server_asks_for_is_made_by_all_connections():
    retries = Retries(1)
    began = time.monotonic()
    assert Retries(2).run("it", failing(ConnectionBroken("busy", pause_s=0.1))) == "came"
    assert time.monotonic() >= began + 0.1  # never earlier; how much later is no matter
    began = time.monotonic()
    with pytest.raises(IngestError, match="busy"):
        retries.run("one", failing(ConnectionBroken("busy", pause_s=0.1)))
    assert retries.run("another", failing()) == "came"
    assert time.monotonic() >= began + 0.1


def test_a_server_that_asks_for_hours_is_not_asked_again():
    retries = Retries(3)
    with pytest.raises(IngestError, match="one: the server asks for a pause of 7200 s"):
        retries.run("one", failing(ConnectionBroken("busy", pause_s=7200)))
    with pytest.raises(IngestError, match="two: the server asks for a pause"):
        retries.run("two", lambda: pytest.fail("asked"))


def test_the_end_comes_in_the_middle_of_a_pause():
    retries = Retries(3)
    ended = []

    def wait():
        try:
            retries.run("it", failing(ConnectionBroken("busy", pause_s=500)))
        except Stopped:
            ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    retries.stop()
    thread.join(30)
    assert ended == [True]
    with pytest.raises(Stopped):
        retries.run("it", failing())
