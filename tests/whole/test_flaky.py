"""A run on a disk where every fifth call fails ends as on a sound one, byte by byte."""

import re
import sys

import pytest
from tests.flaky import LISTS, READS, WRITES, flaky_disk
from tests.whole.conftest import RESULTS, files_of

from volproc import cli

MORE = "[measure]\n[interior]\n"


def run_in(here, *, rate, seed=0):
    with pytest.MonkeyPatch.context() as patch, flaky_disk(here.folder, rate, seed=seed) as faults:
        patch.chdir(here.folder)
        patch.setattr(sys, "argv", ["volproc", "run", "workflow.toml", "--quiet"])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return faults


def test_a_run_whose_disk_fails_every_fifth_time(place):
    sound, flaky = place("sound", more=MORE), place("flaky", more=MORE)
    run_in(sound, rate=0)
    faults = run_in(flaky, rate=0.2)
    assert all(faults.count[kind] > 20 for kind in (READS, WRITES, LISTS))
    for name in RESULTS:
        wanted, found = (without_digests(here.run / name) for here in (sound, flaky))
        assert wanted == found


def without_digests(folder):
    """Every file below a folder; records of what it was made from differ with the inputs' dates."""
    return {
        name: re.sub(rb'"volproc": {.*?"finished"', b"", content, flags=re.DOTALL)
        for name, content in files_of(folder).items()
        if not name.endswith(".partial")
    }
