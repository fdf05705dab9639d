import numpy as np
import pytest

from volproc.config import LabelOptions
from volproc.config.loading import parsed
from volproc.errors import ConfigError
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.filter import RULES, Criteria, minimum_voxels
from volproc.stages.label.merge import reasons
from volproc.stages.objects.statistics import block_statistics


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
