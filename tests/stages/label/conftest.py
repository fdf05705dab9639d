"""Labelling an array block by block without a cluster or a volume: for tests of laws."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from volproc import LabelOptions
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.component_tasks import WriteLabels
from volproc.stages.label.mask_source import ArraySource
from volproc.stages.label.object_search import find_objects, plan_find
from volproc.stages.objects.components import AXES_THAT_CHANGE
from volproc.stages.objects.statistics import joined
from volproc.volume.metadata import new_volume

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
VOXEL_NM = parse_voxel_nm((1000, 1000, 1000))
"""A voxel is 1 um³."""


class Here:
    """A runner that does every block at once and keeps no record."""

    def run(self, step):
        task = step.task
        return [task.store(b, task.compute(b, task.load(b))) for b in step.blocks]

    def forget(self, step):
        pass


@dataclass
class Output:
    """Takes blocks like a volume."""

    array: np.ndarray

    def write(self, box, values):
        self.array[box.slices] = values


@pytest.fixture(scope="session")
def label_in_blocks():
    """label_in_blocks(mask, core, **options), see below."""
    return _label_in_blocks


@pytest.fixture(scope="session")
def label_whole():
    """label_whole(mask, connectivity=26, minimum=1), see below."""
    return _label_whole


def _label_in_blocks(mask, core, *, most_rows=2**20, **options):
    """Labels of the whole array, their statistics, and what `find_objects` found."""
    folder = tempfile.mkdtemp(prefix="volproc-tables-", dir=MEMORY)
    info = new_volume("mask", shape=mask.shape, voxel_nm=VOXEL_NM, dtype=str(mask.dtype))
    chosen = LabelOptions(**{"min_volume_um3": 0, "threshold": 0, **options})
    blocks = Tiling(mask.shape, core)
    plan = plan_find(ArraySource(info, mask), folder, chosen, blocks=blocks)
    plan = replace(plan, most_rows=most_rows)
    try:
        found = find_objects(plan, Here())
        rows = list(found.merged.numbering().rows())
        Here().run(plan.ids_step(found.merged))
        whole = np.zeros(mask.shape, dtype=found.dtype)
        write = WriteLabels(plan.components, found.merged.tables, Output(whole))
        for block in blocks:
            write.store(block, write.compute(block, write.load(block)))
    finally:
        shutil.rmtree(folder)
    ids = np.concatenate([np.empty(0, dtype=whole.dtype), *(ids for ids, _ in rows)])
    assert np.array_equal(np.sort(ids), np.unique(whole[whole > 0]))
    return whole, joined(objects for _, objects in rows), found


def _label_whole(mask, *, connectivity=26, minimum=1):
    """scipy's labels, small objects removed, ids in the order of first voxels."""
    structure = ndimage.generate_binary_structure(3, AXES_THAT_CHANGE[connectivity])
    labels = ndimage.label(mask, structure)[0]
    ids, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    in_order = [i for i in np.argsort(first) if ids[i] > 0 and sizes[i] >= minimum]
    final = np.zeros(labels.max() + 1, dtype=np.uint32)
    final[ids[in_order]] = np.arange(1, len(in_order) + 1)
    return final[labels]
