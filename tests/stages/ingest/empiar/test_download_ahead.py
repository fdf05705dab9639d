"""Files that come while others are worked on."""

import threading

import pytest
from tests.stages.ingest.empiar.servers import ROOT, Fault, HttpArchive

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.download_ahead import DownloadAhead
from volproc.stages.ingest.empiar.listing import listing

PATHS = [f"data/{number:02}.tif" for number in range(12)]
FILES = {path: path.encode() * 500 for path in PATHS}


@pytest.fixture
def archive(quick):
    with HttpArchive(FILES) as archive:
        yield archive


@pytest.fixture
def downloads(archive, tmp_path):
    def make(**more):
        options = archive.options(connections=2)
        return DownloadAhead(listing("EMPIAR-10094", options), str(tmp_path), options, **more)

    return make


def came(archive):
    return [path for method, path, _ in archive.asked if method == "GET" and path.endswith(".tif")]


def here(folder):
    return sorted(f"data/{path.name}" for path in folder.glob("data/*.tif"))


def test_all_come_and_none_twice(downloads, archive, tmp_path):
    with downloads(ahead=3) as coming:
        coming.request(PATHS)
        for path in PATHS:
            (file,) = coming.wait([path])
            assert file.path == path
            assert (tmp_path / path).read_bytes() == FILES[path]
            coming.drop([path])
        assert here(tmp_path) == []
    assert len(came(archive)) == len(set(came(archive))) == len(PATHS)


def test_no_more_come_ahead_than_there_is_room(downloads, tmp_path):
    most = []
    done = threading.Event()

    def watch(progress):
        most.append(len(here(tmp_path)))
        if progress.files == 3:
            done.set()

    with downloads(ahead=3, watch=watch) as coming:
        coming.request(PATHS)
        assert done.wait(30)
        coming.wait(PATHS[:3])
        assert here(tmp_path) == PATHS[:3]
        coming.drop(PATHS[:1])
        coming.wait(PATHS[3:4])
        assert here(tmp_path) == PATHS[1:4]
    assert max(most) <= 3


def test_what_one_waits_for_comes_though_there_is_no_room(downloads, archive, tmp_path):
    with downloads(ahead=2) as coming:
        coming.request(PATHS)
        coming.wait(PATHS[-5:])
        assert set(PATHS[-5:]) <= set(here(tmp_path))
        coming.drop(PATHS[-5:])
        for path in PATHS[:-5]:
            coming.wait([path])
            coming.drop([path])
    assert len(came(archive)) == len(PATHS)  # those waited for do not come a second time


def test_files_come_in_the_order_wanted(archive, tmp_path):
    options = archive.options(connections=1)
    order = PATHS[::-1]
    with DownloadAhead(listing("EMPIAR-10094", options), str(tmp_path), options) as coming:
        coming.request(order)
        coming.wait(order)
    assert [path.removeprefix(f"{ROOT}10094/") for path in came(archive)] == order


def test_a_failure_reaches_who_waits_and_may_be_tried_again(downloads, archive):
    archive.faults[f"{ROOT}10094/{PATHS[1]}"] = [Fault(status=404)]
    with downloads() as coming:
        coming.request(PATHS)
        coming.wait(PATHS[2:])
        with pytest.raises(IngestError, match=r"01.tif: the server responds 404"):
            coming.wait(PATHS[:2])
        coming.request(PATHS[:2])
        coming.wait(PATHS[:2])


def test_another_run_fetches_only_what_it_wants(downloads, archive, tmp_path):
    with downloads() as coming:
        coming.request(PATHS[:4])
        coming.wait(PATHS[:4])
        coming.drop(PATHS[:2])
    with downloads() as coming:
        coming.request(PATHS[2:6])
        coming.wait(PATHS[2:6])
    assert len(came(archive)) == 6
    assert here(tmp_path) == PATHS[2:6]


def test_an_unknown_file_is_refused(downloads):
    with downloads() as coming, pytest.raises(IngestError, match=r"data/x.tif is not among the 12"):
        coming.request(["data/x.tif"])


def test_the_end_does_not_wait_for_a_slow_server(downloads, archive, tmp_path):
    slow = threading.Event()
    fault = Fault(after=1000, stall=True, then=slow.set)
    archive.faults[f"{ROOT}10094/{PATHS[0]}"] = [fault]
    errors = []

    def wait(coming):
        try:
            coming.wait(PATHS[:1])
        except IngestError as error:
            errors.append(str(error))

    with downloads() as coming:
        waiter = threading.Thread(target=wait, args=(coming,))
        waiter.start()
        assert slow.wait(30)
    waiter.join(30)
    assert errors == ["the transfer was ended; run the same command again"]
    assert not archive.over.is_set()  # the server still stalls: it was not waited for
    with downloads() as coming:
        coming.wait(PATHS[:1])
    assert (tmp_path / PATHS[0]).read_bytes() == FILES[PATHS[0]]
