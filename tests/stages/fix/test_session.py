"""The log: ids that are never used twice, undos, all of a file's edits or none."""

import json

import numpy as np
import pytest
from tests.stages.fix.conftest import VOXEL_NM

from volproc.errors import ConfigError, VolumeError
from volproc.stages.edits.requests import EditRequest

VALUES = np.zeros((16, 32, 64), np.uint32)
VALUES[2:14, 4:28, 2:20] = 1
VALUES[2:14, 4:28, 20:40] = 2
VALUES[2:14, 4:28, 44:60] = 9


def at(z, y, x):
    return tuple((n + 0.5) * v for n, v in zip((z, y, x), VOXEL_NM, strict=True))


def halves(identifier, *xs):
    return EditRequest(do="split", objects=identifier, parts=[[at(8, 16, x)] for x in xs])


def test_new_ids_are_larger_than_any_that_ever_was(edited_run):
    session = edited_run(VALUES).session
    (first,) = session.append([halves(1, 4, 10, 18)])
    assert first.new_ids == (10, 11)
    session.undo()
    (second,) = session.append([halves(1, 4, 18)])
    assert second.new_ids == (12,)
    (third,) = session.append([EditRequest(do="delete", objects=12)])
    session.undo(third.number)
    assert session.append([halves(12, 17, 19)])[0].new_ids == (13,)


def test_a_merge_keeps_the_smallest_id_and_the_other_is_gone(edited_run):
    run = edited_run(VALUES)
    run.session.append([EditRequest(do="merge", objects=(9, 2))])
    assert run.session.label_at(at(8, 16, 50)) == 2
    with pytest.raises(ConfigError, match="no object 9: edit 1 merged it into 2"):
        run.session.append([EditRequest(do="delete", objects=9)])


def test_all_edits_of_a_file_are_recorded_or_none(edited_run):
    run = edited_run(VALUES)
    good, wrong = EditRequest(do="delete", objects=1), EditRequest(do="delete", objects=77)
    session = run.session
    with pytest.raises(ConfigError, match="no object 77"):
        session.append([good, wrong])
    assert run.session.log.lines == ()
    assert session.append([good, halves(2, 22, 38)])[1].new_ids == (10,)
    assert len(run.session.log.lines) == 1


def test_an_undo_waits_for_what_depends_on_it(edited_run):
    session = edited_run(VALUES).session
    ball = EditRequest(do="paint", objects=9, points=[at(8, 16, 62)], radius_nm=60, over=0)
    session.append([halves(1, 4, 18), halves(2, 22, 38), ball])
    session.append([EditRequest(do="delete", objects=10)])
    with pytest.raises(ConfigError, match=r"edit 4 \(delete 10\) .* undo that first"):
        session.undo(1)
    session.undo(2)  # of another object
    assert session.log.numbers == (1, 3, 4)
    with pytest.raises(ConfigError, match="edit 2 is not one of those that count"):
        session.undo(2)
    for _ in range(3):
        session.undo()
    with pytest.raises(ConfigError, match="has no edit to undo"):
        session.undo()


def test_half_a_line_left_by_a_kill_is_cut_off(edited_run):
    run = edited_run(VALUES)
    run.session.append([EditRequest(do="delete", objects=1)])
    log = run.folder / "edits.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"who": "ad')
    assert run.session.log.numbers == (1,)
    run.session.append([EditRequest(do="delete", objects=2)])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 3
    assert log.read_text().startswith(whole)


def test_labels_without_a_table_are_one_line(edited_run):
    run = edited_run(VALUES)
    (run.folder / "objects.csv").unlink()
    with pytest.raises(VolumeError, match=r"objects\.csv is missing"):
        run.session.append([EditRequest(do="delete", objects=1)])


def test_edits_of_labels_that_changed_are_refused(edited_run):
    run = edited_run(VALUES)
    run.session.append([EditRequest(do="delete", objects=1)])
    shard = next(
        path for path in (run.folder / "objects.zarr" / "0" / "c").rglob("0") if path.is_file()
    )
    shard.write_bytes(shard.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="edits of other labels"):
        run.session.append([EditRequest(do="delete", objects=2)])
