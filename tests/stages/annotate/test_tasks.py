import numpy as np
import pytest
from tests.stages.annotate.shapes import circle

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Vote
from volproc.grid.blocks import Tiling
from volproc.stages.annotate.export.vote_store import write_votes
from volproc.stages.annotate.tasks import Annotate, Drawings

SHAPE = (10, 200, 200)
LARGE, SMALL = {"radius": 60, "y": 100, "x": 100}, {"radius": 30, "y": 75, "x": 75}


def drawn(z, region, *, origin=(0, 0), shape=SHAPE[1:], **what):
    votes = tuple(Vote(f"v{n}", (circle(**what),)) for n in range(5))
    return SliceVotes(z, origin, shape, votes, region)


def labels_of(tmp_path, slices, method="cria", **options):
    """Labels, and rows of the table, of one block that holds all slices."""
    options = AnnotateOptions(block_slices=SHAPE[0], method=method, **options)
    write_votes(str(tmp_path), 0, slices)
    task = Annotate(Drawings(str(tmp_path), (0,), options, (50.0, 50.0)), made=None)
    (block,) = Tiling(SHAPE, SHAPE)
    out, rows = task.compute(block, task.drawings.slices(0, SHAPE[0]))
    return out["labels"], rows


@pytest.mark.parametrize("method", ["cria", "majority"])
def test_along_z_a_region_knows_nothing_of_the_one_that_lies_above(tmp_path, method):
    """Laid out along z where there is no image: neighbours in z are different cells."""
    above = [drawn(z, "A", **LARGE) for z in range(5)]
    below = [drawn(5, "B", **SMALL), *(drawn(z, "B", **LARGE) for z in range(6, 10))]
    found, rows = labels_of(tmp_path, above + below, method=method, along_z=True)
    alone, _ = labels_of(tmp_path, above + below, method=method)
    np.testing.assert_array_equal(found, alone)
    assert not any(row["replaced"] for row in rows)


def test_along_z_the_same_slice_inside_a_region_is_replaced(tmp_path):
    small = {2: SMALL, 7: SMALL}
    stack = [drawn(z, "A" if z < 5 else "B", **small.get(z, LARGE)) for z in range(10)]
    found, rows = labels_of(tmp_path, stack, along_z=True)
    assert {row["z"] for row in rows if row["replaced"]} == {2, 7}
    assert found[2].sum() == found[7].sum() == pytest.approx(found[0].sum(), rel=0.02)


def test_along_z_what_nobody_looked_at_stays_empty_and_ignored(tmp_path):
    stack = [drawn(z, "A", **LARGE) for z in (0, 1, 3, 4)]
    found, rows = labels_of(tmp_path, stack, along_z=True)
    assert [row["z"] for row in rows] == [0, 1, 3, 4]
    assert not found[2].any()


def test_regions_beside_one_another_keep_their_places(tmp_path):
    half = {"shape": (200, 100), "y": 100, "x": 50, "radius": 30}
    left, right = drawn(3, "A", **half), drawn(3, "B", origin=(0, 100), **half)
    found, rows = labels_of(tmp_path, [right, left])
    np.testing.assert_array_equal(found[3][:, :100], found[3][:, 100:])
    assert found[3].sum() > 0
    assert len(rows) == 2
