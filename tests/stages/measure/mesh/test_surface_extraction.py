import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.measure.shapes import whole_surface

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolprocError
from volproc.grid.blocks import Tiling
from volproc.grid.box import each
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.measure.mesh.smooth_field import reach
from volproc.stages.measure.mesh.surface_extraction import (
    ExtractSurfaces,
    block_surfaces,
    surface_level,
    surface_step,
)
from volproc.stages.measure.mesh.surface_files import SurfaceFiles
from volproc.stages.measure.mesh.triangle_mesh import joined
from volproc.volume.metadata import Level, new_volume

CUBE = (50.0, 50.0, 50.0)


def in_blocks(labels, core, *, smooth_nm=50.0, closed=True):
    """Surfaces by id, each joined of its blocks', as the two passes do."""
    level = Level("0", labels.shape, labels.shape, labels.shape, parse_voxel_nm(CUBE))
    halo = each(lambda n: n + 2, reach(smooth_nm, voxel_nm=level.voxel_nm))
    parts = {}
    for block in Tiling(shape=labels.shape, core=core, halo=halo):
        values = labels[block.read.slices]
        found = block_surfaces(values, block, level=level, smooth_nm=smooth_nm, closed=closed)
        for identifier, part in found:
            parts.setdefault(identifier, []).append(part)
    return {identifier: joined(found) for identifier, found in parts.items()}


@settings(max_examples=40)
@given(
    labels=arrays("uint16", st.tuples(*[st.integers(1, 9)] * 3), elements=st.integers(0, 3)),
    core=st.tuples(*[st.integers(1, 9)] * 3),
    smooth_nm=st.sampled_from([0.0, 50.0]),
    closed=st.booleans(),
)
def test_blocks_never_change_a_surface(labels, core, smooth_nm, closed):
    found = in_blocks(labels, core, smooth_nm=smooth_nm, closed=closed)
    for identifier in np.unique(labels[labels > 0]).tolist():
        mask = labels == identifier
        expected = joined([whole_surface(mask, CUBE, smooth_nm=smooth_nm, closed=closed)])
        if not len(expected.triangles):
            assert identifier not in found
            continue
        np.testing.assert_array_equal(found[identifier].codes, expected.codes)
        np.testing.assert_array_equal(found[identifier].shares, expected.shares)
        np.testing.assert_array_equal(found[identifier].triangles, expected.triangles)


def test_surfaces_need_ids(tmp_path, save_volume):
    files = SurfaceFiles(str(tmp_path / "surfaces"), "digest")
    for values, what in [
        (np.zeros((4, 4, 4), "float32"), "float32"),
        (-np.ones((4, 4, 4), "int32"), "holds values below 0"),
    ]:
        labels = save_volume(f"{what[:5]}.zarr", values, kind="labels")
        with pytest.raises(VolprocError, match=what):
            Runner(SerialEngine(), tmp_path / what[:5]).run(
                surface_step(ExtractSurfaces(labels, 0, files, 50), core=(4, 4, 4))
            )


def test_what_a_step_reads_and_holds(tmp_path, save_volume):
    """Blocks of 4 x 8 x 10 voxels with a halo of 4 + 2, in a volume of 10 slices: 51 bytes each."""
    values = np.zeros((10, 40, 40), "uint32")
    labels = save_volume("labels.zarr", values, voxel_nm=CUBE, kind="labels")
    files = SurfaceFiles(str(tmp_path / "surfaces"), "digest")
    step = surface_step(ExtractSurfaces(labels, 0, files, 50), core=(4, 8, 10))
    assert step.blocks.halo == (6, 6, 6)
    assert step.peak_bytes == 10 * 20 * 22 * (4 + 47)
    assert step.bytes_read == 10 * 40 * 40 * 4


@pytest.mark.parametrize(
    ("voxel_nm", "asked", "expected"),
    [
        ((50, 50, 50), None, (50, 50, 50)),
        ((50, 10, 10), None, (50, 40, 40)),
        ((50, 10, 10), 1, (50, 10, 10)),
        ((50, 10, 10), 20, (50, 20, 20)),
        ((50, 10, 10), 1e9, (200, 160, 160)),
    ],
)
def test_level_of_the_surfaces(voxel_nm, asked, expected):
    size = parse_voxel_nm(voxel_nm)
    info = new_volume("a", shape=(300, 4000, 4000), voxel_nm=size, dtype="u4", max_levels=5)
    assert info.levels[surface_level(info, voxel_nm=asked)].voxel_nm == expected


def test_without_a_level_near_cubes_surfaces_are_of_the_finest():
    size = parse_voxel_nm((50, 10, 10))
    info = new_volume("a", shape=(300, 4000, 4000), voxel_nm=size, dtype="u4", max_levels=2)
    assert [level.voxel_nm for level in info.levels] == [(50, 10, 10), (50, 20, 20)]
    assert surface_level(info) == 0
