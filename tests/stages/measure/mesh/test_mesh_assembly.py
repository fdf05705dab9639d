import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from volproc.engine.memory import RESERVED_BYTES
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import MemoryLimitError, VolprocError, VolumeError
from volproc.stages.measure.mesh.mesh_assembly import WriteMeshes, gathered, mesh_step, write_index
from volproc.stages.measure.mesh.surface_extraction import (
    ExtractSurfaces,
    smoothing_nm,
    surface_step,
)
from volproc.stages.measure.mesh.surface_files import SurfaceFiles
from volproc.stages.measure.mesh.surface_sums import TRIANGLES, areas_um2, cuts_um2, volumes_um3

CUBE = (50.0, 50.0, 50.0)
GB = 2**30


@pytest.fixture
def blobs():
    noise = np.random.default_rng(7).standard_normal((30, 40, 50))
    return ndimage.label(ndimage.gaussian_filter(noise, 2) > 0.08)[0].astype("uint32")


def make_meshes(
    labels, folder, *, core=None, kind="ply", ids=(), engine=None, smooth=None, error_nm=20
):
    """What the stage does: two steps and the index."""
    info = labels.info
    files = SurfaceFiles(str(folder / "surfaces"), "digest")
    runner = Runner(engine or SerialEngine(), folder / "ledger")
    task = ExtractSurfaces(labels, 0, files, smoothing_nm(info.levels[0], smooth))
    step = surface_step(task, core=core or info.shape)
    runner.run(step)
    surfaces = gathered(files, step.blocks).only(ids, what=info.url)
    out = str(folder / "meshes")
    task = WriteMeshes(info, files, 0, out, kind, error_nm)
    runner.run(mesh_step(task, surfaces, step.blocks, worker_bytes=4 * GB))
    write_index(surfaces, info, folder=out, kind=kind)
    return surfaces, Path(out)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["ply", "precomputed"])
def test_files_are_the_same_whatever_the_blocks(tmp_path, save_volume, blobs, kind):
    labels = save_volume("l.zarr", blobs, kind="labels", voxel_nm=(50, 20, 20))
    one, out = make_meshes(labels, tmp_path / "one", kind=kind)
    expected = contents(out)
    assert len(expected) >= blobs.max()
    for core in [(8, 16, 24), (30, 7, 50)]:
        surfaces, out = make_meshes(labels, tmp_path / f"{core[1]}", kind=kind, core=core)
        assert contents(out) == expected
        np.testing.assert_array_equal(surfaces.sums, one.sums)


@pytest.mark.dask
def test_both_engines_write_the_same(tmp_path, save_volume, blobs, dask_runner):
    labels = save_volume("l.zarr", blobs, kind="labels")
    _, here = make_meshes(labels, tmp_path / "here", core=(16, 16, 16))
    _, there = make_meshes(labels, tmp_path / "there", core=(16, 16, 16), engine=dask_runner.engine)
    assert contents(here) == contents(there)


def test_sums_are_those_of_the_meshes(tmp_path, save_volume):
    values = np.zeros((20, 20, 20), dtype="uint32")
    values[4:14, 5:15, 3:11] = 8
    values[16:, 2:9, 2:9] = 300
    labels = save_volume("l.zarr", values, kind="labels")
    surfaces, out = make_meshes(labels, tmp_path, core=(7, 7, 7), smooth=0, error_nm=0)
    assert surfaces.ids.tolist() == [8, 300]
    volumes = volumes_um3(surfaces.sums, voxel_nm=labels.info.voxel_nm)
    np.testing.assert_allclose(volumes, [800 * 1.25e-4, 196 * 1.25e-4], rtol=0.05)
    assert cuts_um2(surfaces.sums)[0] == 0
    written = [(out / f"{n}.ply").read_bytes() for n in (8, 300)]
    assert all(
        b"element face %d\n" % n in ply for n, ply in zip(surfaces.sums[:, TRIANGLES], written)
    )
    np.testing.assert_allclose(cuts_um2(surfaces.sums)[1], 49 * 0.0025, rtol=0.3)  # to the centres
    np.testing.assert_allclose(areas_um2(surfaces.sums)[0], 520 * 0.0025, rtol=0.1)


def test_one_voxel_all_borders_and_no_object(tmp_path, save_volume):
    values = np.ones((10, 10, 10), dtype="uint8")
    values[2:9, 2:9, 2:9] = 0
    values[5, 5, 5] = 2
    labels = save_volume("l.zarr", values, kind="labels")
    surfaces, out = make_meshes(labels, tmp_path, core=(4, 4, 4))
    assert sorted(p.name for p in out.iterdir()) == ["1.ply", "2.ply"]
    assert (volumes_um3(surfaces.sums, voxel_nm=labels.info.voxel_nm) > 0).all()
    empty = save_volume("e.zarr", values * 0, kind="labels")
    surfaces, out = make_meshes(empty, tmp_path / "empty", core=(4, 4, 4), kind="precomputed")
    assert len(surfaces.ids) == 0
    assert sorted(p.name for p in out.iterdir()) == ["info", "segment_properties"]


def test_some_objects_only_and_ids_that_are_not_there(tmp_path, save_volume, blobs):
    labels = save_volume("l.zarr", blobs, kind="labels")
    _, out = make_meshes(labels, tmp_path / "some", core=(16, 16, 16), ids=(3, 5))
    assert sorted(p.name for p in out.iterdir()) == ["3.ply", "5.ply"]
    with pytest.raises(VolumeError, match=r"l\.zarr has no object 999; its \d+ objects have the"):
        make_meshes(labels, tmp_path / "wrong", ids=(3, 999))


def test_a_folder_that_cannot_be_written(tmp_path, save_volume, blobs):
    labels = save_volume("l.zarr", blobs, kind="labels")
    (tmp_path / "meshes").write_text("a file")
    with pytest.raises(VolprocError, match="meshes"):
        make_meshes(labels, tmp_path)


def test_a_full_disk_is_one_line(tmp_path, save_volume, blobs, monkeypatch):
    labels = save_volume("l.zarr", blobs, kind="labels")
    real = os.replace

    def full(source, target):
        if str(target).endswith(".ply"):
            raise OSError(28, "No space left on device", target)
        real(source, target)

    monkeypatch.setattr("volproc.volume.file_io.os.replace", full)
    with pytest.raises(VolprocError, match=r"(?i)space"):
        make_meshes(labels, tmp_path)


@pytest.mark.parametrize(
    ("kind", "error_nm", "bytes_per_triangle"),
    [("ply", 0, 300), ("ply", 20, 700), ("precomputed", 0, 700)],
)
def test_memory_is_that_of_the_largest_object_and_of_the_files_of_a_block(
    tmp_path, save_volume, kind, error_nm, bytes_per_triangle
):
    """Two objects begin in the first block, one in the last."""
    values = np.zeros((8, 8, 40), dtype="uint32")
    values[1:6, 1:6, 1:6], values[1:6, 1:6, 10:14], values[1:7, 1:6, 34:39] = 1, 2, 3
    labels = save_volume("l.zarr", values, kind="labels")
    files = SurfaceFiles(str(tmp_path / "surfaces"), "digest")
    first = surface_step(ExtractSurfaces(labels, 0, files, 0.0), core=(8, 8, 20))
    Runner(SerialEngine(), tmp_path / "ledger").run(first)
    surfaces = gathered(files, first.blocks)
    one, two, three = surfaces.sums[:, TRIANGLES].tolist()
    assert one < three < one + two
    task = WriteMeshes(labels.info, files, 0, str(tmp_path), kind, error_nm)
    step = mesh_step(task, surfaces, first.blocks, worker_bytes=4 * GB)
    assert step.peak_bytes == three * bytes_per_triangle + (one + two) * 40
    needed = RESERVED_BYTES + three * bytes_per_triangle
    mesh_step(task, surfaces, first.blocks, worker_bytes=needed)
    with pytest.raises(MemoryLimitError, match="object 3"):
        mesh_step(task, surfaces, first.blocks, worker_bytes=needed - 1)


def test_an_object_too_large_for_a_worker(tmp_path, save_volume, blobs):
    labels = save_volume("l.zarr", blobs, kind="labels")
    surfaces, _ = make_meshes(labels, tmp_path)
    files = SurfaceFiles(str(tmp_path / "surfaces"), "digest")
    task = WriteMeshes(labels.info, files, 0, "", "ply", error_nm=1)
    with pytest.raises(MemoryLimitError, match=r"object \d+ of .*triangles.*mesh_voxel_nm"):
        mesh_step(task, surfaces, [], worker_bytes=GB // 2)
