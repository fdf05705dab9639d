import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc import PredictOptions
from volproc.engine.ledger import Ledger, digest
from volproc.errors import LedgerError
from volproc.grid.box import Box

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(thing=plain)
def test_a_record_reads_back_as_it_was_given(thing, tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "a.jsonl"
    Ledger(path, digest="d", blocks=1).add(0, thing)
    assert Ledger(path, digest="d", blocks=1).records == {0: thing}


def test_another_digest_or_another_number_of_blocks_starts_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    Ledger(path, digest="d", blocks=3).add(0, 1)
    assert Ledger(path, digest="d", blocks=3).records == {0: 1}
    assert Ledger(path, digest="e", blocks=3).records == {}
    assert Ledger(path, digest="e", blocks=4).records == {}


def test_a_damaged_record_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    ledger = Ledger(path, digest="d", blocks=3)
    ledger.add(0, 1)
    path.write_text(path.read_text().replace("record", 'rec"ord'))
    with pytest.raises(LedgerError, match=r"is damaged \(Expecting .*\); remove it"):
        Ledger(path, digest="d", blocks=3)


def test_a_record_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "a").write_text("a file where a folder is needed")
    with pytest.raises(LedgerError, match="cannot write the run's record"):
        Ledger(tmp_path / "a" / "b.jsonl", digest="d", blocks=1)


def test_a_digest_is_the_same_in_every_process():
    things = 'digest({"b": 1, "a": (2, 3)}, Box((0, 0, 0), (1, 2, 3)), PredictOptions(axes="zy"))'
    setup = "from volproc.engine.ledger import digest\nfrom volproc.grid.box import Box\n"
    setup += "from volproc import PredictOptions\n"
    found = subprocess.run(
        [sys.executable, "-c", f"{setup}print({things})"],
        capture_output=True,
        text=True,
        check=True,
    )
    here = digest({"a": [2, 3], "b": 1}, Box((0, 0, 0), (1, 2, 3)), PredictOptions(axes="zy"))
    assert found.stdout.strip() == here
    assert here != digest({"a": [2, 3], "b": 1}, Box((0, 0, 0), (1, 2, 3)), PredictOptions())


def test_what_has_no_digest_is_refused():
    with pytest.raises(TypeError, match="no digest of a object"):
        digest(object())
    assert digest(Path("a")) == digest("a")
