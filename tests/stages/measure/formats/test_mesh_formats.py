import json
import struct

import numpy as np
import pytest
import trimesh
from tests.stages.measure.shapes import ellipsoid, volume_nm3, whole_mesh

from volproc.errors import ConfigError
from volproc.stages.measure.formats.mesh_formats import index_files, mesh_files, require_format

VOXEL_NM = (50.0, 25.0, 20.0)
CORNER_NM = (-5.0, -12.5, 90.0)


@pytest.fixture(scope="module")
def mesh():
    return whole_mesh(ellipsoid((300, 200, 250), VOXEL_NM).mask, VOXEL_NM)


def files(kind, mesh):
    return mesh_files(kind, 12, mesh, error_nm=10, corner_nm=CORNER_NM)


@pytest.mark.parametrize(("kind", "unit_nm"), [("ply", 1), ("obj", 1), ("glb", 1000)])
def test_trimesh_reads_what_was_written(tmp_path, mesh, kind, unit_nm):
    ((name, content),) = files(kind, mesh).items()
    assert name == f"12.{kind}"
    (tmp_path / name).write_bytes(content)
    read = trimesh.load(tmp_path / name, force="mesh")
    assert read.is_watertight
    assert read.is_winding_consistent
    assert len(read.faces) == len(mesh.triangles)
    assert read.volume * unit_nm**3 == pytest.approx(volume_nm3(mesh), rel=1e-4)
    np.testing.assert_allclose(read.bounds[0] * unit_nm, mesh.xyz.min(axis=0), atol=0.02)
    np.testing.assert_allclose(read.bounds[1] * unit_nm, mesh.xyz.max(axis=0), atol=0.02)


def test_glb_is_aligned_as_its_specification_says(mesh):
    content = files("glb", mesh)["12.glb"]
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack("<I4s", content[12:20])
    assert kind == b"JSON"
    assert size % 4 == 0
    described = json.loads(content[20 : 20 + size])
    assert described["buffers"][0]["byteLength"] == len(content) - 20 - size - 8


def test_neuroglancer_finds_the_objects():
    found = index_files("precomputed", [3, 12], {"surface_um2": [1.5, 2.0]}, corner_nm=CORNER_NM)
    info = json.loads(found["info"])
    assert info["@type"] == "neuroglancer_multilod_draco"
    listed = json.loads(found[f"{info['segment_properties']}/info"])["inline"]
    assert listed["ids"] == ["3", "12"]
    assert listed["properties"][0]["values"] == [1.5, 2.0]


def test_other_formats_have_no_index():
    assert index_files("ply", [3], {}, corner_nm=CORNER_NM) == {}


@pytest.mark.parametrize(
    ("package", "kind", "error_nm"),
    [("DracoPy", "precomputed", 25), ("igl", "ply", 25), ("igl", "precomputed", 0)],
)
def test_without_a_package_the_extra_is_named(monkeypatch, package, kind, error_nm):
    require_format(kind, error_nm=error_nm)
    monkeypatch.setitem(__import__("sys").modules, package, None)
    require_format("ply", error_nm=0)
    with pytest.raises(ConfigError, match=r"pip install '\.\[mesh\]' in .*, or take"):
        require_format(kind, error_nm=error_nm)
