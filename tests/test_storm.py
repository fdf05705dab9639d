"""Kills at random on a cluster: the loop of scripts/clusters, on runs that are none."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts/clusters/storm.py"


@pytest.fixture
def storm(monkeypatch):
    spec = importlib.util.spec_from_file_location("storm", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "storm", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(module, "PAUSES_S", (0, 0))
    return module


class Run:
    """A client that ends with these codes, one after the other, once it was looked at so often."""

    def __init__(self, *codes, looks=3):
        self.codes, self.looks, self.left = list(codes), looks, looks
        self.starts, self.judged, self.killed = 0, 0, []

    def start(self):
        self.starts, self.left = self.starts + 1, self.looks

    def code(self):
        self.left -= 1
        return None if self.left > 0 else self.codes[min(self.starts, len(self.codes) - 1)]

    def said(self):
        return "no such file"

    def is_at_work(self):
        return True

    def judge(self):
        self.judged += 1


def axe(run, rng):
    """axe"""
    run.killed.append(rng.random())
    return True


def saw(run, rng):
    """saw"""
    return False


def raging(storm, codes, *, kills=(axe,), count=7, seed=1, looks=50):
    runs = []

    def begin(rng):
        runs.append(Run(*codes, looks=looks))
        return runs[-1]

    return storm.Storm(begin, kills, seed).rage(count), runs


def test_there_are_so_many_kills_and_every_run_is_judged(storm):
    done, runs = raging(storm, [0])
    assert done == {"axe": 7}
    assert sum(len(run.killed) for run in runs) == 7
    assert [run.judged for run in runs] == [1] * len(runs)
    assert max(len(run.killed) for run in runs) > 1


def test_a_seed_draws_the_same(storm):
    once, again, other = (
        [run.killed for run in raging(storm, [0], seed=seed)[1]] for seed in (1, 1, 2)
    )
    assert once == again != other


def test_what_is_not_there_to_kill_does_not_count(storm):
    done, runs = raging(storm, [0], kills=(axe, saw), looks=5)
    assert done == {"axe": 7}
    assert len(runs) > 1


def test_a_client_that_says_run_it_again_is_run_again(storm):
    _, runs = raging(storm, [1, 1, 0], count=1)
    assert [run.starts for run in runs] == [2]


def test_any_other_end_is_wrong(storm):
    with pytest.raises(storm.Wrong, match="exit code 2: no such file"):
        raging(storm, [2])


def test_a_run_that_hangs_is_wrong(storm, monkeypatch):
    monkeypatch.setattr(storm, "LIMIT_S", 0)
    with pytest.raises(storm.Wrong, match="no end in 0 s"):
        raging(storm, [None], count=1)
