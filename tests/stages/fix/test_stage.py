"""The edited volume: labels relabelled block by block, and nothing else written."""

import csv
import os
import random
import signal
import sys
import warnings
from itertools import count

import numpy as np
import pytest
from tests.stages.fix.conftest import CUBE, VOXEL_NM, blobs
from tests.stages.fix.test_law import SMALL, Model, edit_once

from volproc.errors import ConfigError
from volproc.stages.edits.edit_log import read_edit_log
from volproc.stages.edits.history import history_of, touched_by
from volproc.stages.edits.requests import EditRequest
from volproc.stages.fix.options import FixOptions
from volproc.stages.fix.stage import plan_fix
from volproc.volume.store import open_volume


def test_a_merge_a_delete_and_a_split(edited_run):
    run = edited_run(blobs())
    base = run.values("objects")
    at = [tuple((np.argwhere(base == 4)[k] + 0.5) * VOXEL_NM) for k in (0, -1)]
    run.session.append(
        [
            EditRequest(do="merge", objects=(2, 1)),
            EditRequest(do="delete", objects=3),
            EditRequest(do="split", objects=4, parts=[[at[0]], [at[1]]]),
        ]
    )
    result = run.fix()
    found = run.values()
    assert (found[base == 2] == 1).all()
    assert (found[base == 3] == 0).all()
    assert set(np.unique(found[base == 4])) == {4, base.max() + 1}
    others = ~np.isin(base, [1, 2, 3, 4])
    assert (found[others] == base[others]).all()
    assert (result.objects, result.edits) == (len(np.unique(found)) - 1, 3)
    history = history_of(open_volume(run.folder / "edited.zarr").info)
    assert touched_by(history.log.active) == {1, 2, 3, 4, int(base.max()) + 1}


@pytest.mark.parametrize(
    ("column", "words"), [("class", ("nucleus", "mito, small")), ("value", ("7", "3"))]
)
def test_objects_keep_their_class(edited_run, column, words):
    """Parts of a split are of its object's class, merged ones of that of the smallest id."""
    run = edited_run(blobs())
    base = run.values("objects")
    table = run.folder / "objects.csv"
    head, *rows = table.read_text().splitlines()
    said = [f'{row},"{words[int(row.split(",")[0]) % 2]}"' for row in rows]
    table.write_text("\n".join([f"{head},{column}", *said]) + "\n")
    at = [tuple((np.argwhere(base == 4)[k] + 0.5) * VOXEL_NM) for k in (0, -1)]
    run.session.append(
        [
            EditRequest(do="merge", objects=(2, 1)),
            EditRequest(do="split", objects=4, parts=[[at[0]], [at[1]]]),
        ]
    )
    run.fix()
    with open(run.folder / "edited.csv") as file:
        found = {int(row["id"]): row[column] for row in csv.DictReader(file)}
    assert found[1] == words[1]
    assert found[4] == found[int(base.max()) + 1] == words[0]
    assert all(found[n] == words[n % 2] for n in found if 4 < n <= base.max())


def blocks_of(mask):
    """Blocks with a voxel of a mask."""
    return set(map(tuple, (np.argwhere(mask) // CUBE).tolist()))


def dates(run):
    """When each block was written, by its place."""
    files = (run.folder / "edited.zarr" / "0" / "c").rglob("*/*/*")
    return {tuple(map(int, f.parts[-3:])): f.stat().st_mtime_ns for f in files if f.is_file()}


def test_only_blocks_that_change_are_written_and_only_their_rows(edited_run):
    run = edited_run(blobs())
    run.session.append([EditRequest(do="delete", objects=3)])
    assert run.fix().written == len(dates(run))
    assert run.fix().written == 0
    for what in (EditRequest(do="merge", objects=(1, 5)), None):
        before, was, rows = dates(run), run.values(), table(run)
        if what:
            run.session.append([what])
        else:
            run.session.undo()
        result = run.fix()
        now, after = run.values(), dates(run)
        changed = {place for place in after if after[place] != before[place]}
        assert changed == blocks_of(was != now)
        assert result.written == len(changed) > 0
        touched = {1, 5}
        assert {k: v for k, v in table(run).items() if k not in touched} == {
            k: v for k, v in rows.items() if k not in touched
        }


def table(run, name="edited"):
    lines = (run.folder / f"{name}.csv").read_text().splitlines()
    return {int(line.partition(",")[0]): line for line in lines[1:]}


def test_a_block_that_is_lost_is_made_again(edited_run):
    run = edited_run(blobs())
    run.session.append([EditRequest(do="merge", objects=(1, 5))])
    run.fix()
    whole = run.values()
    next(f for f in (run.folder / "edited.zarr" / "0" / "c").rglob("0") if f.is_file()).unlink()
    run.fix()
    assert (run.values() == whole).all()


def killed_before_write(run, number):
    """Apply the edits in a process that dies before its `number`th write; whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fork in a process with threads
        child = os.fork()
    if not child:
        changes = count(1)

        def watch(event, arguments):
            writes = event in ("os.mkdir", "os.rename", "os.remove", "os.truncate") or (
                event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
            )
            if writes and str(run.folder) in str(arguments[0]) and next(changes) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            run.fix()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_random_and_edited_in_between_it_ends_the_same(edited_run):
    base = blobs(seed=5, **SMALL)
    run, model = edited_run(base, cube=(8, 8, 8)), Model(base)
    session, rng, moments = run.session, np.random.default_rng(11), random.Random(3)
    deaths = 0
    for round_ in range(12):
        for _ in range(2):
            edit_once(rng, session, model)
        deaths += killed_before_write(run, moments.randint(1, 60))
        if round_ % 3 == 2:
            run.fix()
            assert (run.values() == model.now).all()
    run.fix()
    run.fix(name="afresh")
    assert (run.values() == model.now).all()
    assert table(run) == table(run, "afresh")
    assert deaths >= 6


def test_what_cannot_be_edited_is_one_line(edited_run):
    run = edited_run(blobs())
    log = read_edit_log(run.log_url)
    with pytest.raises(ConfigError, match="has no edits; `volproc fix RUN --edits FILE`"):
        plan_fix(run.labels, str(run.folder / "edited.zarr"), log, FixOptions())
