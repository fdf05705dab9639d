import numpy as np
import pytest

from volproc import LabelOptions
from volproc.config.loading import parsed
from volproc.errors import ConfigError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.criteria import RULES, Criteria, largest, minimum_voxels
from volproc.stages.label.merge import reasons
from volproc.stages.objects.statistics import COLUMNS, Statistics, block_statistics, joined


@pytest.mark.parametrize(
    ("volume_um3", "voxel_nm", "voxels"),
    [
        (1.25, (50, 50, 50), 10_000),  # exactly, though 1.25 / 0.000125 is not in floats
        (1.25, (50, 10, 10), 250_000),
        (0.00013, (50, 50, 50), 2),
        (0.0, (50, 50, 50), 1),
    ],
)
def test_minimum_voxels(volume_um3, voxel_nm, voxels):
    assert minimum_voxels(volume_um3, voxel_nm=parse_voxel_nm(voxel_nm)) == voxels


@pytest.fixture
def four():
    """A rod of 6 at the border, a cube of 27 inside, a plate of 16, one voxel; voxels of 1 um."""
    labels = np.zeros((12, 12, 12), dtype=np.uint32)
    labels[0, 2, 2:8] = 1
    labels[3:6, 3:6, 3:6] = 2
    labels[8, 4:8, 4:8] = 3
    labels[10, 10, 10] = 4
    return block_statistics(labels, 4, origin=(0, 0, 0), shape=labels.shape)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [1, 2, 3, 4]),
        ({"min_volume_um3": 6}, [1, 2, 3]),
        ({"min_volume_um3": 6.001}, [2, 3]),
        ({"max_volume_um3": 16}, [1, 3, 4]),
        ({"border": "drop"}, [2, 3, 4]),
        ({"min_extent_nm": (0, 3000, 0)}, [2, 3]),
        ({"min_extent_nm": (2000, 0, 0)}, [2]),
        ({"max_extent_nm": (1000, 4000, 4000)}, [3, 4]),
        ({"max_elongation": 1}, [2, 4]),
        ({"max_elongation": 4}, [2, 3, 4]),
        ({"max_volume_um3": 16, "border": "drop", "min_volume_um3": 2}, [3]),
    ],
)
def test_each_rule_drops_its_own(four, options, kept):
    options = LabelOptions(**{"min_volume_um3": 0, **options})
    criteria = Criteria(options, (12, 12, 12), parse_voxel_nm((1000, 1000, 1000)))
    broken = criteria.broken(four)
    assert (np.flatnonzero(broken == 0) + 1).tolist() == kept
    assert sum(reasons(broken).values()) == 4 - len(kept)
    assert set(reasons(broken)) <= {*options.model_dump(exclude_unset=True)} & {*RULES}


def test_ids_are_kept_of_labels_only():
    with pytest.raises(ConfigError, match="keep_ids = true needs input = 'labels'"):
        parsed(LabelOptions, {"keep_ids": True}, where="here")


def made(voxels, extents=(1, 1, 1), first=0):
    """An object of so many voxels in a box of these sides, at the volume's first voxel."""
    rows = np.zeros((1, COLUMNS), dtype=np.int64)
    rows[0, 0], rows[0, 4:7], rows[0, 10] = voxels, extents, first
    return Statistics(rows)


@pytest.mark.parametrize(
    ("option", "number", "kept"),
    [
        ("min_volume_um3", 1e10, (10**10 - 10, 10**10 - 11)),
        ("max_volume_um3", 1e10, (10**10 + 10, 10**10 + 11)),
        ("min_extent_nm", (1e13, 0, 0), (10**10 - 10, 10**10 - 11)),
        ("max_extent_nm", (1e13, 1e13, 1e13), (10**10 + 10, 10**10 + 11)),
    ],
)
def test_a_billionth_is_forgiven(option, number, kept):
    """More is a smaller object: limits bind though floats round, and for all that is measured."""
    criteria = Criteria(
        LabelOptions(**{"min_volume_um3": 0, option: number}),
        (12, 12, 12),
        parse_voxel_nm((1000, 1000, 1000)),
    )
    sides = option.endswith("nm")
    found = [criteria.broken(made(1, (n, 1, 1)) if sides else made(n))[0] for n in kept]
    assert found == [0, list(RULES).index(option) + 1]


def test_the_first_rule_that_is_broken_counts(four):
    """Rules are numbered from 1 in their order: the rod at the border is also too small."""
    how = {"min_volume_um3": 7, "border": "drop", "max_extent_nm": (9000, 3000, 9000)}
    criteria = Criteria(LabelOptions(**how), (12, 12, 12), parse_voxel_nm((1000, 1000, 1000)))
    assert criteria.minimum == 7
    assert criteria.broken(four).tolist() == [1, 0, 5, 1]
    assert reasons(np.array([1, 0, 5, 1])) == {"min_volume_um3": 2, "max_extent_nm": 1}


def test_of_equals_the_earlier_are_the_largest():
    """Sizes 5 3 3 3 by first voxels 4 0 9 7, three of them: the one at 9 is too many."""
    four = joined(made(n, first=at) for n, at in ((5, 4), (3, 0), (3, 9), (3, 7)))
    found = largest(3).joined(four)
    assert (found.voxels.tolist(), found.first.tolist()) == ([5, 3, 3], [4, 0, 7])
    assert found.has(four).tolist() == [True, True, False, True]
    assert largest(5).joined(four).has(four).all()
    falling = joined(made(n) for n in (4, 9, 2, 7))
    assert largest(3).joined(falling).has(falling).tolist() == [True, True, False, True]
