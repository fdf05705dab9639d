import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from uuid import uuid4

import fsspec
import pytest

from volproc import lease
from volproc.errors import LeaseError, LeaseLostError, VolprocError
from volproc.lease.lease_file import create, newest, overwrite
from volproc.lease.owner import parsed, this_process

ELSEWHERE = replace(this_process("other"), machine="another boot", host="node7", what="volproc run")


@pytest.fixture(params=["here", "there"])
def root(request, tmp_path):
    """The place of an output's records, on this machine and in a store of objects."""
    if request.param == "here":
        yield f"{tmp_path}/out.zarr.volproc"
        return
    folder = f"/{uuid4().hex}"
    yield f"memory:/{folder}/out.zarr.volproc"
    store = fsspec.filesystem("memory")
    if store.exists(folder):
        store.rm(folder, recursive=True)


def record(root):
    """Something that a step would leave among the records."""
    filesystem, folder = fsspec.core.url_to_fs(root)
    filesystem.pipe_file(f"{folder}/step.jsonl", b"x")


def state(root):
    epoch, text = newest(root)
    return epoch, parsed(text).state


@pytest.fixture
def watched(monkeypatch):
    """watched(happens): what happens each time that a lease of another machine is watched."""

    def during(happens):
        monkeypatch.setattr(lease, "sleep", lambda seconds: happens())

    return during


def test_one_after_the_other_counts_up(root):
    for epoch in (1, 2, 3):
        with lease.holding(root):
            record(root)
            assert state(root) == (epoch, "held")
        assert state(root) == (epoch, "released")


def test_a_second_owner_is_refused_and_told_who_is_at_work(root, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with lease.holding(root):
        said = rf"out.zarr is being written by .*job 4711, process {os.getpid()}.* since 20\d\d"
        with pytest.raises(LeaseError, match=said), lease.holding(root):
            pass
        lease.require()
    with lease.holding(root):
        lease.require()


def test_where_nothing_was_recorded_nothing_is_left(tmp_path):
    with lease.holding(f"{tmp_path}/a.volproc"):
        pass
    with pytest.raises(ZeroDivisionError), lease.holding(f"{tmp_path}/b.volproc"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_links_lead_to_the_one_owner(tmp_path):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "link.zarr").symlink_to("out.zarr")
    with (
        lease.holding(f"{tmp_path}/out.zarr.volproc"),
        pytest.raises(LeaseError, match=r"out.zarr is being written"),
        lease.holding(f"{tmp_path}/./link.zarr.volproc"),
    ):
        pass


@pytest.mark.parametrize("racers", [2, 8])
def test_exactly_one_of_racers_wins_each_time(root, racers):
    """Whoever is refused saw another at work; whoever was not was alone."""
    at_work, most, ends = [], [], []
    start = threading.Barrier(racers)

    def race():
        start.wait()
        try:
            with lease.holding(root):
                at_work.append(1)
                most.append(len(at_work))
                record(root)
                lease.require()
                at_work.pop()
            ends.append("done")
        except LeaseError:
            ends.append("refused")

    for _ in range(10):
        threads = [threading.Thread(target=race) for _ in range(racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ends) == 10 * racers
    assert ends.count("done") >= 10
    assert set(most) == {1}


def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path):
    root = f"{tmp_path}/out.zarr.volproc"
    code = f"""
import os, signal
from volproc import lease
with lease.holding({root!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert state(root) == (1, "held")
    with lease.holding(root):
        assert state(root) == (2, "held")
        assert lease.left_by_dead()
        assert sorted(os.listdir(root)) == ["lease-000002.json"]


def test_an_owner_that_gave_it_back_leaves_nothing_to_tidy(root):
    with lease.holding(root):
        record(root)
        assert lease.left_by_dead()  # nobody knows what was before the first
    with lease.holding(root):
        assert not lease.left_by_dead()
    create(root, 3, ELSEWHERE.text())
    overwrite(root, 3, replace(ELSEWHERE, state="died").text())
    with pytest.raises(ZeroDivisionError), lease.holding(root):
        raise ZeroDivisionError  # perhaps before it was tidy
    with lease.holding(root):
        assert lease.left_by_dead()


def test_an_owner_elsewhere_that_beats_is_alive(root, watched):
    other = lease.Lease(root, 1, "other")
    create(root, 1, ELSEWHERE.text())
    watched(lambda: lease.beat(other))
    said = "is being written by `volproc run` on node7"
    with pytest.raises(LeaseError, match=said), lease.holding(root):
        pass
    assert parsed(newest(root)[1]).beats == 1
    assert other.is_held()


def test_an_owner_elsewhere_that_is_silent_for_three_beats_is_dead(root, monkeypatch):
    """By this machine's clock alone: what the other's says does not count."""
    create(root, 1, replace(ELSEWHERE, heard=ELSEWHERE.heard + 1e6).text())
    waited = []
    monkeypatch.setattr(lease, "sleep", waited.append)
    with lease.holding(root):
        assert state(root) == (2, "held")
        assert lease.left_by_dead()
    assert sum(waited) == pytest.approx(lease.PATIENCE_BEATS * lease.BEAT_S)


def test_an_owner_elsewhere_that_gives_it_back_meanwhile_is_followed(root, watched):
    create(root, 1, ELSEWHERE.text())
    watched(lambda: overwrite(root, 1, replace(ELSEWHERE, state="released").text()))
    with lease.holding(root):
        assert state(root) == (2, "held")
        assert not lease.left_by_dead()


def test_a_lease_cut_short_belongs_to_nobody_if_it_stays_so(root, watched):
    create(root, 1, b'{"owner": ')
    watched(lambda: overwrite(root, 1, ELSEWHERE.text()))
    with pytest.raises(LeaseError, match="node7"), lease.holding(root):
        pass
    overwrite(root, 1, b"")
    watched(lambda: None)
    with lease.holding(root):
        lease.require()


def test_who_was_taken_for_dead_writes_no_more_and_does_not_come_back(root):
    with lease.holding(root):
        (mine,) = lease.current()
        there = pickle.loads(pickle.dumps(mine))  # as it comes to a worker
        there.require()
        create(root, 2, ELSEWHERE.text())
        with pytest.raises(LeaseLostError, match=r"taken over by `volproc run` on node7.*again"):
            lease.require()
        with pytest.raises(LeaseLostError):
            there.require()
        lease.beat(mine)
    assert newest(root) == (2, ELSEWHERE.text())


def test_work_that_outlives_its_owner_writes_nothing_once_that_has_ended(root):
    """As a block that was tried on two workers, of which the slower one is still at it."""
    with lease.holding(root):
        (ghost,) = lease.current()
        record(root)
        ghost.require()
    with pytest.raises(LeaseLostError, match="was released by the process that sent this work"):
        ghost.require()


def test_records_removed_and_begun_again_are_another_owners(tmp_path):
    """The number is the same then; the owner is not."""
    root = f"{tmp_path}/out.volproc"
    with lease.holding(root):
        (ghost,) = lease.current()
        os.remove(f"{root}/lease-000001.json")
        with pytest.raises(LeaseLostError, match="lost its records"):
            ghost.require()
        with lease.holding(root):
            assert lease.current()[0].epoch == ghost.epoch
            with pytest.raises(LeaseLostError):
                ghost.require()


def test_the_owner_is_heard_of_while_it_works(root, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.001)
    heard = threading.Event()
    beat = lease.beat

    def told(one):
        beat(one)
        heard.set()

    monkeypatch.setattr(lease, "beat", told)
    with lease.holding(root):
        assert heard.wait(60)
        assert parsed(newest(root)[1]).beats >= 1


INSIDE = [
    ("run/ledger", "run/p.zarr.volproc"),
    ("run/ledger", "run/i.zarr/labels/n.volproc"),
    ("i.zarr.volproc", "i.zarr/labels/n.volproc"),
    ("many.volproc", "many/i.zarr/labels/n.volproc"),
]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("outer", "inner"), INSIDE)
def test_a_folder_and_what_lies_in_it_have_one_owner(tmp_path, root, outer, inner, there):
    place = root.rpartition("/")[0] if there else str(tmp_path)
    pairs = [(outer, inner)]
    if not outer.startswith("many"):  # a folder of anything is not searched for owners
        pairs.append((inner, outer))
    for first, second in pairs:
        with lease.holding(f"{place}/{first}"):
            said = f"{place}/{first}".removesuffix(".volproc").removesuffix("/ledger")
            with pytest.raises(LeaseError, match=f"{said} is being"):  # noqa: SIM117
                with lease.holding(f"{place}/{second}"):
                    pass
            lease.require()
        assert newest(f"{place}/{second}") == (0, b"")


def test_labels_in_an_image_elsewhere(root):
    inner = f"{root.removesuffix('.volproc')}/labels/n.volproc"
    for first, second in [(root, inner), (inner, root)]:
        with lease.holding(first), pytest.raises(LeaseError), lease.holding(second):
            pass


@pytest.mark.parametrize(("outer", "inner"), INSIDE[:3])
def test_ghosts_of_a_dead_neighbour_write_nothing(tmp_path, outer, inner, watched):
    watched(lambda: None)
    for first, second in [(outer, inner), (inner, outer)]:
        create(f"{tmp_path}/{first}", 1, ELSEWHERE.text())
        ghost = lease.Lease(f"{tmp_path}/{first}", 1, "other")
        ghost.require()
        with lease.holding(f"{tmp_path}/{second}"):
            assert lease.left_by_dead()
            with pytest.raises(LeaseLostError):
                ghost.require()
            lease.require()
        assert state(f"{tmp_path}/{first}") == (2, "died")
        os.remove(f"{tmp_path}/{first}/lease-000001.json")
        os.remove(f"{tmp_path}/{first}/lease-000002.json")


def test_several_outputs_of_one_owner_may_lie_in_one_another(tmp_path):
    image, labels = f"{tmp_path}/i.zarr.volproc", f"{tmp_path}/i.zarr/labels/n.volproc"
    with lease.holding(image, labels, image):
        assert [one.root for one in lease.current()] == [image, labels]
        lease.require()
        create(labels, 2, ELSEWHERE.text())
        with pytest.raises(LeaseLostError, match="labels/n"):
            lease.require()


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(VolprocError, match=r"cannot write the record of who writes .*file/out"),
        lease.holding(f"{tmp_path}/file/out.volproc"),
    ):
        pass


def test_what_is_written_without_an_owner_is_not_asked(tmp_path):
    assert lease.current() == ()
    lease.require()
    assert not lease.left_by_dead()


def test_the_file_tells_all_that_the_message_does(root):
    with lease.holding(root):
        found = json.loads(newest(root)[1])
    assert found["pid"] == os.getpid()
    assert {"host", "machine", "started", "job", "user", "what", "since", "heard"} < set(found)
