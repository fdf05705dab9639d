from uuid import uuid4

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.engine import records
from volproc.engine.ledger import Ledger
from volproc.engine.records import FileLog, ObjectLog, record_log
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolprocError


@pytest.fixture
def store():
    """The URL of a folder in a store that takes objects whole, and cannot append."""
    filesystem = fsspec.filesystem("memory")
    name = f"/{uuid4().hex}"
    yield f"memory:/{name}"
    if filesystem.exists(name):
        filesystem.rm(name, recursive=True)


@pytest.fixture(params=["here", "there"])
def place(request, tmp_path, store):
    """The same test on a local file and on objects."""
    return f"{tmp_path}/a.jsonl" if request.param == "here" else f"{store}/a.jsonl"


def objects(url):
    filesystem, folder = fsspec.core.url_to_fs(url.removesuffix(".jsonl"))
    return [name.rpartition("/")[2] for name in sorted(filesystem.ls(folder, detail=False))]


def test_the_place_says_how_lines_are_kept(tmp_path, store):
    assert isinstance(record_log(tmp_path / "a"), FileLog)
    assert isinstance(record_log(f"file://{tmp_path}/a"), FileLog)
    assert isinstance(record_log(f"{store}/a"), ObjectLog)


def test_lines_come_back_in_their_order(place):
    lines = record_log(place)
    assert lines.read() == []
    lines.begin("head")
    for number in range(20):
        lines.append(str(number))
    lines.flush()
    assert record_log(place).read() == ["head", *map(str, range(20))]


def test_the_first_lines_are_kept_and_others_follow(place):
    for run in range(3):
        lines = record_log(place)
        lines.append(f"{run}a")
        lines.append(f"{run}b")
        lines.flush()
    record_log(place).cut(3)
    assert record_log(place).read() == ["0a", "0b", "1a"]
    lines = record_log(place)
    lines.cut(2)
    lines.append("next")
    lines.flush()
    assert record_log(place).read() == ["0a", "0b", "next"]
    record_log(place).cut(0)
    assert record_log(place).read() == []


def test_killed_while_lines_are_cut_the_first_are_the_same(store):
    for run in range(3):
        lines = record_log(f"{store}/a.jsonl")
        lines.append(str(run))
        lines.flush()
    fsspec.filesystem("memory").pipe_file(f"{store}/a/000000.jsonl", b"0\n1\n")  # and no more
    record_log(f"{store}/a.jsonl").cut(2)
    assert record_log(f"{store}/a.jsonl").read() == ["0", "1"]


def test_a_second_writer_goes_on(place):
    for run in range(3):
        lines = record_log(place)
        lines.append(str(run))
        lines.flush()
    assert record_log(place).read() == ["0", "1", "2"]


def test_beginning_drops_everything_and_so_does_forgetting(place):
    for _ in range(2):
        record_log(place).append("old")
    lines = record_log(place)
    lines.begin("new")
    assert record_log(place).read() == ["new"]
    lines.forget()
    assert record_log(place).read() == []
    lines.forget()


@given(sizes=st.lists(st.integers(0, 40), max_size=30))
def test_objects_grow_to_their_size_and_hold_every_line(sizes):
    filesystem = fsspec.filesystem("memory")
    with pytest.MonkeyPatch.context() as small:
        small.setattr(records, "OBJECT_BYTES", 64)
        small.setattr(records, "PATIENCE_S", 0)
        lines = ObjectLog("memory://grow")
        wanted = [f"{n}{'x' * size}" for n, size in enumerate(sizes)]
        for line in wanted:
            lines.append(line)
        assert ObjectLog("memory://grow").read() == wanted
        stored = [filesystem.size(name) for name in filesystem.glob("/grow/*")]
    assert all(size < 64 + 44 for size in stored)
    assert all(size >= 64 for size in stored[:-1])
    ObjectLog("memory://grow").forget()


def test_a_burst_of_lines_is_one_writing(store, monkeypatch):
    monkeypatch.setattr(records, "PATIENCE_S", 1e9)
    lines = ObjectLog(store)
    for number in range(5):
        lines.append(str(number))
    assert ObjectLog(store).read() == ["0"]  # the first at once, the others wait
    lines.flush()
    assert ObjectLog(store).read() == list("01234")
    assert objects(store) == ["000000.jsonl"]


def test_what_a_killed_run_had_not_written_is_done_again(store, monkeypatch):
    monkeypatch.setattr(records, "PATIENCE_S", 1e9)
    ledger = Ledger(f"{store}/a.jsonl", digest="d", blocks=5)
    for block in range(3):
        ledger.add(block, {"n": block})
    assert Ledger(f"{store}/a.jsonl", digest="d", blocks=5).records == {}
    ledger.flush()
    again = Ledger(f"{store}/a.jsonl", digest="d", blocks=5)
    assert again.records == {n: {"n": n} for n in range(3)}
    again.add(3, None)
    again.flush()
    assert sorted(Ledger(f"{store}/a.jsonl", digest="d", blocks=5).records) == [0, 1, 2, 3]
    assert Ledger(f"{store}/a.jsonl", digest="other", blocks=5).records == {}
    assert objects(f"{store}/a") == ["000000.jsonl"]


def test_without_its_first_object_a_record_is_begun_anew(store):
    Ledger(f"{store}/a.jsonl", digest="d", blocks=5)
    second = Ledger(f"{store}/a.jsonl", digest="d", blocks=5)
    second.add(0, None)
    second.flush()
    filesystem, folder = fsspec.core.url_to_fs(f"{store}/a")
    filesystem.rm_file(f"{folder}/000000.jsonl")
    assert Ledger(f"{store}/a.jsonl", digest="d", blocks=5).records == {}


def test_an_interrupted_run_keeps_what_was_done(store, monkeypatch):
    """Ctrl-C flushes; the next runner, perhaps on another machine, goes on."""
    from volproc.engine.protocol import Step
    from volproc.grid.blocks import Tiling

    monkeypatch.setattr(records, "PATIENCE_S", 1e9)
    done = []

    class Stop:
        def load(self, block):
            if block.index == 3 and len(done) == 3:
                raise KeyboardInterrupt
            return block.index

        def compute(self, block, loaded):
            return loaded

        def store(self, block, result):
            done.append(result)
            return result

    step = Step("stop", Stop(), Tiling((6, 1, 1), (1, 1, 1)), "d")
    with pytest.raises(KeyboardInterrupt):
        Runner(SerialEngine(), store).run(step)
    done.append("again")
    assert Runner(SerialEngine(), store).run(step) == list(range(6))
    assert done == [0, 1, 2, "again", 3, 4, 5]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://a/b", "nonsense:// is not known"),
        ("http://127.0.0.1:9/a", r"Connect call failed .* \(tried 17 times, with pauses of"),
    ],
)
def test_a_place_that_takes_no_record_is_one_line(url, said):
    with pytest.raises(VolprocError, match=said) as caught:
        Ledger(url, digest="d", blocks=1)
    assert "\n" not in str(caught.value)
