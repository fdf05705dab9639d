"""volproc run --until: a run in pieces is the run in one."""

import time
from functools import partial

import pytest

from volproc.engine.run import Runner


class Clock:
    """Goes on by a quarter of an hour each time it is read."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        self.now += 900
        return self.now


@pytest.fixture
def piece(volproc, monkeypatch):
    """piece(place): the exit code and the line of a run of an hour, in which little is done."""

    def run(place):
        monkeypatch.chdir(place.folder)
        monkeypatch.setattr("volproc.workflow.work.Runner", partial(Runner, clock=Clock()))
        return volproc("run", "workflow.toml", "--quiet", "--until", "1h")

    return run


def test_a_run_in_pieces_is_the_run_in_one(place, volproc, piece, same_results, monkeypatch):
    whole, pieces, counts = place("whole"), place("pieces"), [0]
    monkeypatch.chdir(whole.folder)
    assert volproc("run", "workflow.toml", "--quiet", "--until", "9d")[0] == 0
    while (ended := piece(pieces))[0] != 0:
        code, said = ended
        assert code == 75, said
        assert said.startswith("volproc: stopped at ")
        assert said.endswith("are recorded; the same command goes on from here\n")
        counts.append(sum(pieces.blocks_done().values()))
        assert counts[-1] > counts[-2]
    assert len(counts) > 5
    assert pieces.blocks_done() == whole.blocks_done()
    same_results(whole.run, pieces.run)


def test_a_time_that_is_none_is_refused(place, refused, monkeypatch):
    monkeypatch.chdir(place("refused").folder)
    refused("--until 'soon'", "08:00", by=("run", "workflow.toml", "--until", "soon"))
