"""Masks of bodies whose area and volume are known, and a way to look at triangles."""

from dataclasses import dataclass

import numpy as np
from scipy.special import elliprg
from trimesh import Trimesh

from volproc.grid.box import Box
from volproc.stages.measure.mesh.isosurface import extract
from volproc.stages.measure.mesh.smooth_field import soft
from volproc.stages.measure.mesh.triangle_mesh import mesh_of


@dataclass(frozen=True)
class Ellipsoid:
    mask: np.ndarray
    area_nm2: float
    volume_nm3: float


def ellipsoid(semi_axes_nm, voxel_nm):
    """Its centre is off the grid, so that no symmetry helps."""
    size, axes = np.array(voxel_nm, float), np.array(semi_axes_nm, float)
    shape = np.ceil(2 * axes / size).astype(int) + 6
    centre = (shape / 2 + (0.13, 0.37, 0.71)) * size
    grid = np.meshgrid(*((np.arange(n) + 0.5) * s for n, s in zip(shape, size)), indexing="ij")
    inside = sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes)) <= 1
    volume = 4 / 3 * np.pi * axes.prod()
    area = 4 * np.pi * axes.prod() * elliprg(*(axes**-2.0))  # Carlson's symmetric form
    return Ellipsoid(inside, area, volume)


def whole_surface(mask, voxel_nm, *, smooth_nm=None, closed=True):
    """The surface of a mask in one piece."""
    smooth = max(voxel_nm) if smooth_nm is None else smooth_nm
    beyond = int(closed)
    window = Box((-beyond,) * 3, tuple(n + beyond for n in mask.shape))
    field = soft(mask, smooth_nm=smooth, voxel_nm=voxel_nm)
    return extract(mask, field, window=window, origin=(0, 0, 0), shape=mask.shape)


def whole_mesh(mask, voxel_nm, **options):
    surface = whole_surface(mask, voxel_nm, **options)
    return mesh_of(surface, shape=mask.shape, voxel_nm=voxel_nm)


def is_closed(mesh):
    """Whether every edge belongs to exactly two triangles, which run along it in turn."""
    body = Trimesh(mesh.xyz, mesh.triangles, process=False)
    return not len(mesh.triangles) or (body.is_watertight and body.is_winding_consistent)


def area_nm2(mesh):
    return np.linalg.norm(_normals(mesh), axis=1).sum() / 2


def volume_nm3(mesh):
    """What a closed mesh encloses."""
    centre = mesh.xyz[:1]  # near, or large numbers lose digits
    return ((mesh.xyz - centre)[mesh.triangles[:, 0]] * _normals(mesh)).sum() / 6


def _normals(mesh):
    a, b, c = mesh.xyz[mesh.triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a)
