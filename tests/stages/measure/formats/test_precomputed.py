import json
from dataclasses import dataclass

import DracoPy
import numpy as np
import pytest
from tests.stages.measure.shapes import area_nm2, ellipsoid, volume_nm3, whole_mesh

from volproc.stages.measure.formats import precomputed
from volproc.stages.measure.formats.precomputed import (
    MAX_WHOLE,
    SMALL,
    fragments_of,
    levels_of_detail,
    multiresolution_files,
    multiresolution_index,
)

VOXEL_NM = (50.0, 40.0, 40.0)
ERROR_NM = 4.0
CORNER_NM = (-25.0, 1000.0, -20.0)


@dataclass
class Fragment:
    cell: np.ndarray
    whole: np.ndarray
    triangles: np.ndarray


class Manifest:
    """Neuroglancer's specification, read word by word."""

    def __init__(self, index, data):
        floats, words = np.frombuffer(index, "<f4"), np.frombuffer(index, "<u4")
        self.cell, self.origin = floats[:3].astype(float), floats[3:6].astype(float)
        count = int(words[6])
        self.scales = floats[7 : 7 + count]
        at = 7 + count
        assert not floats[at : at + 3 * count].any()
        at += 3 * count
        sizes = words[at : at + count].astype(int)
        at += count
        self.levels, start = [], 0
        for size in sizes:
            cells = words[at : at + 3 * size].reshape(3, size).T.astype(int)
            lengths = words[at + 3 * size : at + 4 * size].astype(int)
            at += 4 * size
            level = []
            for cell, length in zip(cells, lengths):
                if length:
                    read = DracoPy.decode(data[start : start + length])
                    whole = np.rint(read.points)
                    assert np.abs(whole - read.points).max() < 0.01
                    level.append(Fragment(cell, whole.astype(int), np.asarray(read.faces)))
                start += length
            self.levels.append((cells, level))
        assert at == len(words)
        assert start == len(data)

    def corners(self, number):
        """Corners of all triangles of a level, in 65535ths of its cells: exact numbers."""
        _, fragments = self.levels[number]
        return np.concatenate([(f.whole + f.cell * MAX_WHOLE)[f.triangles] for f in fragments])

    def xyz(self, number):
        return self.origin + self.corners(number) / MAX_WHOLE * self.cell * 2**number


@pytest.fixture(scope="module")
def mesh():
    return whole_mesh(ellipsoid((900, 1300, 1700), VOXEL_NM).mask, VOXEL_NM)


@pytest.fixture(scope="module")
def manifest(mesh):
    found = multiresolution_files(7, mesh, error_nm=ERROR_NM)
    assert set(found) == {"7", "7.index"}
    return Manifest(found["7.index"], found["7"])


def volume(corners):
    return np.linalg.det(corners).sum() / 6


def test_levels_get_coarser_until_one_is_small(mesh):
    counts = [len(level.triangles) for level in levels_of_detail(mesh, error_nm=ERROR_NM)]
    assert len(counts) > 1
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= SMALL < counts[-2]


def test_every_level_is_the_mesh(mesh, manifest):
    assert len(manifest.levels) > 1
    assert list(manifest.scales) == sorted(manifest.scales)
    for number in range(len(manifest.levels)):
        corners = manifest.xyz(number)
        off = ERROR_NM * 4**number if number else 0.1
        assert volume(corners) == pytest.approx(
            volume_nm3(mesh), abs=off * area_nm2(mesh), rel=1e-3 if number == 0 else None
        )
        np.testing.assert_allclose(corners.min(axis=(0, 1)), mesh.xyz.min(axis=0), atol=2 * off)
        np.testing.assert_allclose(corners.max(axis=(0, 1)), mesh.xyz.max(axis=0), atol=2 * off)


def test_fragments_meet_without_cracks(manifest):
    """Where cells meet, their vertices are the same; what rounding makes one is left out."""
    for number in range(len(manifest.levels)):
        corners = manifest.corners(number).reshape(-1, 3)
        _, which = np.unique(corners, axis=0, return_inverse=True)
        triangles = which.reshape(-1, 3)
        rolled = np.roll(triangles, -1, axis=1)
        proper = (triangles != rolled).all(axis=1)
        ahead = list(zip(triangles[proper].ravel(), rolled[proper].ravel()))
        assert len(ahead) == len(set(ahead))
        assert set(ahead) == {(b, a) for a, b in ahead}


def test_no_triangle_crosses_the_middle_of_its_cell(manifest):
    for number, (_, fragments) in enumerate(manifest.levels):
        for one in fragments:
            assert one.whole.min() >= 0
            assert one.whole.max() <= MAX_WHOLE
            if number:  # as neuroglancer sorts triangles into the eight halves
                sides = np.sign(one.whole - (MAX_WHOLE // 2 + 1))[one.triangles]
                assert not ((sides.min(axis=1) < 0) & (sides.max(axis=1) > 0)).any()


def test_cells_are_in_z_order_and_have_parents(manifest):
    def order(cell):
        return sum(
            (int(n) >> bit & 1) << (3 * bit + axis)
            for bit in range(8)
            for axis, n in enumerate(cell)
        )

    for number, (cells, _) in enumerate(manifest.levels):
        keys = [order(cell) for cell in cells]
        assert keys == sorted(set(keys))
        if number:
            finer = {tuple(cell // 2) for cell in manifest.levels[number - 1][0]}
            assert finer <= {tuple(cell) for cell in cells}


def test_cells_have_parents_where_the_coarser_mesh_has_nothing():
    """Neuroglancer goes from a level's cell to the finer ones in it: none may be without."""
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3, 1:3, 1:3] = True
    mesh = whole_mesh(mask, VOXEL_NM)
    origin, cell = mesh.xyz.min(axis=0), np.ptp(mesh.xyz, axis=0) * 0.51
    finer = [(0, 0, 0), (1, 1, 1), (2, 0, 0), (3, 1, 0), (0, 5, 2)]
    found = fragments_of(mesh, 1, origin, cell, finer)
    assert found.cells == [(0, 0, 0), (1, 0, 0), (0, 2, 1)]
    assert [len(content) > 0 for content in found.contents] == [True, False, False]
    assert fragments_of(mesh, 1, origin, cell, []).cells == [(0, 0, 0)]


def test_the_first_level_that_is_small_is_the_last(monkeypatch):
    mesh = whole_mesh(np.pad(np.ones((6, 6, 6), bool), 1), VOXEL_NM)
    count = len(mesh.triangles)
    for small, levels in ((count, 1), (count - 1, 2)):
        monkeypatch.setattr(precomputed, "SMALL", small)
        assert len(levels_of_detail(mesh, error_nm=5)) == levels


def test_a_very_small_object_has_one_level(tmp_path):
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[1, 1, 1] = True
    found = multiresolution_files(1, whole_mesh(mask, VOXEL_NM), error_nm=0.5)
    manifest = Manifest(found["1.index"], found["1"])
    assert len(manifest.levels) == 1
    assert len(manifest.corners(0)) == 8


def test_cloud_volume_reads_them(tmp_path, mesh):
    cloudvolume = pytest.importorskip("cloudvolume")
    files = multiresolution_files(7, mesh, error_nm=ERROR_NM)
    files |= multiresolution_index([7], {}, corner_nm=CORNER_NM)
    for name, content in files.items():
        target = tmp_path / "mesh" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    info = cloudvolume.CloudVolume.create_new_info(
        1, "segmentation", "uint32", "raw", VOXEL_NM[::-1], (0, 0, 0), (9, 9, 9), mesh="mesh"
    )
    (tmp_path / "info").write_text(json.dumps(info))
    read = cloudvolume.CloudVolume(f"file://{tmp_path}").mesh.get(7, lod=0)[7]
    corners = np.asarray(read.vertices, float)[read.faces]
    assert volume(corners) == pytest.approx(volume_nm3(mesh), rel=1e-3)
    expected = mesh.xyz.min(axis=0) + CORNER_NM[::-1]
    np.testing.assert_allclose(corners.min(axis=(0, 1)), expected, atol=0.5)
