"""What `volproc measure` costs: its passes, and joining, simplifying and writing meshes.

    python benchmarks/measure_cost.py FOLDER [--side 460]

Labels of a cube of so many voxels a side (50 x 40 x 40 nm), one lumpy nucleus in it that makes 1.4
million triangles of 460, and an empty one. Every pass runs in a process of its own: CPU seconds,
and the most memory it held beside what `plan` promises. Then the nucleus is simplified to 25 nm by
volproc and, where they are installed, by others, which are given what comes nearest to it: as many
triangles, or their own idea of an error (pip install fast-simplification pyfqmr zmesh meshoptimizer
libigl; zmesh is LGPL, only measured here). Distances are measured both ways, by libigl.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc import MeasureOptions
from volproc.engine.memory import RESERVED_BYTES, process_peak_bytes
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.measure.formats.mesh_formats import mesh_files
from volproc.stages.measure.mesh.mesh_assembly import WriteMeshes, gathered, mesh_step
from volproc.stages.measure.mesh.simplification import simplify
from volproc.stages.measure.mesh.surface_files import surface_in
from volproc.stages.measure.mesh.triangle_mesh import Mesh, joined, mesh_of
from volproc.stages.measure.stage import MeasurePlan, plan_measure
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = parse_voxel_nm((50, 40, 40))
ERROR_NM = 25.0
Triangles = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def make_labels(url: str, side: int, *, empty: bool) -> None:
    """A ball with waves of three lengths on it, id 7."""
    info = new_volume(url, shape=(side,) * 3, voxel_nm=VOXEL_NM, dtype="uint32", kind="labels")
    volume = create_volume(
        replace(info, levels=info.levels[:1]), step="made", digest=f"{side} {empty}", version="0"
    )
    for block in Tiling(info.shape, info.write_unit):
        if empty:
            volume.write(block.core, 0)
            continue
        grids = np.ogrid[block.core.slices]
        z, y, x = ((g.astype(np.float32) + 0.5) / side * 2 - 1 for g in grids)
        waves = 0.05 * np.sin(7 * x + 2 * y) * np.cos(6 * y - z)
        waves = waves + 0.03 * np.sin(13 * z + 5 * x) * np.cos(11 * x - 4 * y)
        waves = waves + 0.01 * np.sin(31 * y) * np.cos(29 * z + 20 * x)
        inside = np.sqrt(z * z + y * y + x * x) < 0.82 + waves
        volume.write(block.core, inside.astype(np.uint32) * 7)
    volume.finish()


def plan_of(url: str) -> MeasurePlan:
    """With meshes kept, tables beside the labels."""
    info = open_volume(url).info
    options = MeasureOptions(meshes="ply", mesh_error_nm=ERROR_NM)
    return plan_measure(info, f"{url}.measured", options)


def run_pass(url: str, name: str) -> tuple[float, int, int]:
    """CPU seconds, peak memory of this process, and the promise for it."""
    plan = plan_of(url)
    runner = Runner(SerialEngine(), f"{url}.ledger")
    count, surface = plan.steps
    if name == "meshes":
        surfaces = gathered(plan.files, surface.blocks)
        folder = f"{plan.folder}/meshes"
        task = WriteMeshes(plan.labels, plan.files, plan.level, folder, "ply", ERROR_NM)
        worker_bytes = runner.engine.worker_bytes
        step = mesh_step(task, surfaces, surface.blocks, worker_bytes=worker_bytes)
    else:
        step = count if name == "count" else surface
    runner.forget(step.name)
    began = time.process_time()
    runner.run(step)
    used = time.process_time() - began
    return used, process_peak_bytes(), step.peak_bytes + RESERVED_BYTES


def passes(url: str, voxels: int, names: tuple[str, ...]) -> None:
    print("| pass | CPU s | ns per voxel | peak GB | promised GB |\n|---|---|---|---|---|")
    for name in names:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(run_pass, url, name).result()  # compiles, and fills the cache
            used, peak, promise = pool.submit(run_pass, url, name).result()
        each = f"{1e9 * used / voxels:.1f}"
        print(f"| {name} | {used:.1f} | {each} | {peak / 1e9:.2f} | {promise / 1e9:.2f} |")


def nucleus(url: str) -> Mesh:
    """Its surfaces, joined; says what that costs, and to write it."""
    plan = plan_of(url)
    blocks = plan.surface_step.blocks
    began = time.process_time()
    parts = [surface_in(found, 7) for found in _found(plan, blocks)]
    mesh = mesh_of(joined(parts), shape=plan.surface_level.shape, voxel_nm=VOXEL_NM)
    used, count = time.process_time() - began, len(mesh.triangles)
    print(f"\njoining {count:,} triangles: {1e6 * used / count:.2f} µs per triangle")
    kinds = ("ply", "obj", "glb", "precomputed")
    for kind in kinds if find_spec("DracoPy") else kinds[:-1]:
        began = time.process_time()
        mesh_files(kind, 7, mesh, error_nm=ERROR_NM, corner_nm=(0.0, 0.0, 0.0))
        used = time.process_time() - began
        print(f"writing {kind}: {1e6 * used / count:.2f} µs per triangle")
    return mesh


def _found(plan: MeasurePlan, blocks: Any) -> Iterator[Any]:
    for block in blocks:
        found = plan.files.surfaces(block.index)
        if "7 codes" in found:
            yield found


def simplifiers(mesh: Mesh) -> Iterator[tuple[str, Callable[[], Triangles]]]:
    """Name and way of each; what is not installed is left out."""
    places, corners = mesh.vertices, mesh.triangles
    fewer = simplify(mesh, error_nm=ERROR_NM)
    count = len(fewer.triangles)

    def ours() -> Triangles:
        found = simplify(mesh, error_nm=ERROR_NM)
        return found.vertices, found.triangles

    yield "volproc, 25 nm", ours
    if find_spec("fast_simplification"):
        import fast_simplification

        for times in (1, 2):
            yield (
                f"fast-simplification, {times} x as many triangles",
                lambda n=times * count: fast_simplification.simplify(
                    places, corners, target_count=n
                ),
            )
    if find_spec("pyfqmr"):
        import pyfqmr

        def quadric() -> Triangles:
            task = pyfqmr.Simplify()
            task.setMesh(places, corners)
            task.simplify_mesh(target_count=count, verbose=0)
            return task.getMesh()[:2]

        yield "pyfqmr, as many triangles", quadric
    if find_spec("zmesh"):
        import zmesh

        def igneous() -> Triangles:
            whole = zmesh.Mesh(places.astype("f4"), corners.astype("u4"), None)
            task = zmesh.Mesher((1, 1, 1))
            found = task.simplify(
                whole, reduction_factor=len(corners) // count, max_error=ERROR_NM, min_error=0
            )
            return found.vertices, found.faces

        yield "zmesh, max_error 25", igneous
    if find_spec("meshoptimizer"):
        import meshoptimizer

        def optimizer(error_nm: float) -> Triangles:
            out = np.zeros(corners.size, np.uint32)
            used = meshoptimizer.simplify(
                out,
                corners.reshape(-1).astype(np.uint32),
                places.astype(np.float32),
                target_index_count=0,
                target_error=error_nm,
                options=meshoptimizer.SIMPLIFY_ERROR_ABSOLUTE,
            )
            return places, out[:used].reshape(-1, 3)

        for error_nm in (12.5, 25.0):
            yield f"meshoptimizer, error {error_nm:g}", lambda e=error_nm: optimizer(e)


def compare(mesh: Mesh) -> None:
    """One row for each simplifier."""
    print(
        f"\n| {len(mesh.triangles):,} triangles, 25 nm | CPU s | left | full to fewer, nm "
        "| fewer to full, nm | edges without two triangles | same bytes again |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name, way in simplifiers(mesh):
        way()  # compiles
        began = time.process_time()
        places, corners = map(np.ascontiguousarray, way())
        used = time.process_time() - began
        again = way()
        same = all(np.array_equal(a, b) for a, b in zip((places, corners), again, strict=True))
        there, back = distances(mesh, places.astype(float), corners.astype(np.int32))
        bad = odd_edges(corners)
        print(
            f"| {name} | {used:.2f} | {len(corners):,} | {there:.1f} | {back:.1f} | {bad} "
            f"| {'yes' if same else 'no'} |",
            flush=True,
        )


def odd_edges(corners: npt.NDArray[Any]) -> int:
    """Edges that have not exactly two triangles."""
    sides = np.sort(np.concatenate([corners[:, [a, (a + 1) % 3]] for a in range(3)]), axis=1)
    codes = sides[:, 0].astype(np.int64) << 32 | sides[:, 1]
    return int((np.unique(codes, return_counts=True)[1] != 2).sum())


def distances(mesh: Mesh, places: npt.NDArray[Any], corners: npt.NDArray[Any]) -> Any:
    """The farthest of 100,000 vertices of `mesh`, and of corners and middles of the other."""
    if not find_spec("igl"):
        return np.nan, np.nan
    import igl

    corner = places[corners]
    sides = [(corner[:, a] + corner[:, (a + 1) % 3]) / 2 for a in range(3)]
    spread = np.concatenate([places[np.unique(corners)], corner.mean(axis=1), *sides])
    step = max(1, len(mesh.vertices) // 100_000)
    some = np.ascontiguousarray(mesh.vertices[::step])
    there = igl.point_mesh_squared_distance(some, places, corners.astype(np.int64))[0]
    back = igl.point_mesh_squared_distance(
        spread, np.ascontiguousarray(mesh.vertices), mesh.triangles.astype(np.int64)
    )[0]
    return float(np.sqrt(there.max())), float(np.sqrt(back.max()))


def rough_body() -> Mesh:
    """Branched, as mitochondria are: the level set of smooth noise."""
    from scipy.ndimage import gaussian_filter

    from volproc.grid.box import Box
    from volproc.stages.measure.mesh.isosurface import extract
    from volproc.stages.measure.mesh.smooth_field import soft

    noise = np.random.default_rng(1).standard_normal((80, 80, 80))
    mask = np.pad(gaussian_filter(noise, 1.5) > 0.12, 2)
    field = soft(mask, smooth_nm=50, voxel_nm=parse_voxel_nm((50, 50, 50)))
    shape = (84, 84, 84)
    surface = extract(mask, field, window=Box((0, 0, 0), shape), origin=(0, 0, 0), shape=shape)
    return mesh_of(surface, shape=shape, voxel_nm=parse_voxel_nm((50, 50, 50)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=460)
    given: Any = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, names in (
        ("empty", ("count", "surfaces")),
        ("full", ("count", "surfaces", "meshes")),
    ):
        url = str(given.folder / f"{name}.zarr")
        if not Path(url).exists():
            make_labels(url, given.side, empty=name == "empty")
        print(f"\n{name}, {given.side}³ voxels", flush=True)
        passes(url, given.side**3, names)
    mesh = nucleus(str(given.folder / "full.zarr"))
    compare(mesh)
    compare(rough_body())


if __name__ == "__main__":
    main()
