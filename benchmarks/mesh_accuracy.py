"""Area and volume of meshes of balls and ellipsoids, against formulas: which smoothing keeps them.

    python benchmarks/mesh_accuracy.py

Errors in percent, area / volume. Plain: marching cubes of the mask. Taubin: that, smoothed as usual
(trimesh, lambda 0.5, nu 0.53). Soft: the smooth field of `measure` (mesh/smooth_field.py) at
several widths, in edges of the longest voxel side; 1 is the default.
"""

from __future__ import annotations

import numpy as np
from scipy.special import elliprg
from trimesh import Trimesh
from trimesh.smoothing import filter_taubin

from volproc.grid.box import Box
from volproc.stages.measure.mesh.isosurface import extract
from volproc.stages.measure.mesh.smooth_field import soft
from volproc.stages.measure.mesh.triangle_mesh import Mesh, mesh_of

BODIES = {
    "ball, radius 3 voxels": ((150, 150, 150), (50, 50, 50)),
    "ball, radius 5": ((250, 250, 250), (50, 50, 50)),
    "ball, radius 10": ((500, 500, 500), (50, 50, 50)),
    "ball, radius 20": ((1000, 1000, 1000), (50, 50, 50)),
    "ball of 0.5 um, voxels 50x10x10 nm": ((500, 500, 500), (50, 10, 10)),
    "ellipsoid 0.5x1x1.4 um, voxels 50x10x10 nm": ((500, 1000, 1400), (50, 10, 10)),
    "ellipsoid 0.35x0.7x1 um, voxels 50x40x40 nm": ((350, 700, 1000), (50, 40, 40)),
}
WIDTHS = (0.5, 0.7, 1.0, 1.5)


def ellipsoid(axes_nm: np.ndarray, voxel_nm: np.ndarray) -> np.ndarray:
    """A mask, its centre off the grid."""
    shape = np.ceil(2 * axes_nm / voxel_nm).astype(int) + 8
    centre = (shape / 2 + (0.13, 0.37, 0.71)) * voxel_nm
    along = ((np.arange(n) + 0.5) * s for n, s in zip(shape, voxel_nm, strict=True))
    grid = np.meshgrid(*along, indexing="ij")
    return sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes_nm, strict=True)) <= 1


def mesh(mask: np.ndarray, voxel_nm: np.ndarray, *, smooth_nm: float) -> Mesh:
    window = Box((0, 0, 0), mask.shape)
    field = soft(mask, smooth_nm=smooth_nm, voxel_nm=tuple(voxel_nm))
    surface = extract(mask, field, window=window, origin=(0, 0, 0), shape=mask.shape)
    return mesh_of(surface, shape=mask.shape, voxel_nm=tuple(voxel_nm))


def taubin(plain: Mesh, *, iterations: int) -> Mesh:
    body = Trimesh(plain.vertices, plain.triangles, process=False)
    filter_taubin(body, lamb=0.5, nu=0.53, iterations=iterations)
    return Mesh(np.asarray(body.vertices), plain.triangles)


def main() -> None:
    names = ["plain", "taubin 10", "taubin 50", *(f"soft {w:g}" for w in WIDTHS)]
    print(f"{'area / volume, %':44}", *(f"{name:>15}" for name in names))
    for name, (axes, voxel) in BODIES.items():
        axes_nm, voxel_nm = np.array(axes, float), np.array(voxel, float)
        volume = 4 / 3 * np.pi * axes_nm.prod()
        area = 4 * np.pi * axes_nm.prod() * elliprg(*(axes_nm**-2))
        mask = ellipsoid(axes_nm, voxel_nm)
        plain = mesh(mask, voxel_nm, smooth_nm=0)
        made = [plain, taubin(plain, iterations=10), taubin(plain, iterations=50)]
        made += [mesh(mask, voxel_nm, smooth_nm=w * voxel_nm.max()) for w in WIDTHS]
        bodies = [Trimesh(one.xyz, one.triangles, process=False) for one in made]
        errors = ((100 * (b.area / area - 1), 100 * (b.volume / volume - 1)) for b in bodies)
        print(f"{name:44}", *(f"{a:+7.1f} /{v:+6.2f}" for a, v in errors), flush=True)


if __name__ == "__main__":
    main()
