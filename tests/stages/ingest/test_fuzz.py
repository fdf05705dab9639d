"""A fixed sample of scripts/fuzz: damaged files end in one line or a right answer."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def loaded():
    sys.path.append(str(ROOT / "scripts"))  # it has files of its own there
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "scripts/fuzz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = loaded()

ONCE_WRONG = {
    "tiff": [5581, 6601],  # walked pages for ever; 8 GB for a tile
    "image": [6086],  # 4 GB for a chunk of a PNG
    "zarr": [215, 402, 675, 1394, 2548, 4950],
    "check": [48, 170, 612, 3064],
    "hdf5": [700, 2496, 4612, 6206],  # errors of a compiled module were taken for our own
    "card": [183, 226, 715, 3454, 3885],
}
"""Cases that ended in a traceback, a hang or too much memory."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", fuzz.READERS)
def test_damaged_files_are_one_line_or_an_answer(reader, monkeypatch):
    if reader == "n5":
        pytest.importorskip("tensorstore", reason="N5 needs the extra n5")
    monkeypatch.setattr(fuzz.hdf5, "refuse_deadly", lambda url: None)  # half a second each
    said = [said for _, said in fuzz.run_cases(reader, 0, 60)]
    said += [s for n in ONCE_WRONG.get(reader, []) for _, s in fuzz.run_cases(reader, n, 1)]
    assert [one for one in said if one.startswith("WRONG")] == []
    assert {one.partition(":")[0] for one in said} == {"read", "refused"}


def test_a_file_that_ends_the_process_is_refused(tmp_path):
    """Number 983 of HDF5: a segmentation fault while its groups are looked through."""
    files, _ = fuzz.one_case("hdf5", 983, list(fuzz.READERS["hdf5"]()))
    said = fuzz.judged("hdf5", files, None, tmp_path)
    assert said.startswith("refused: ")
