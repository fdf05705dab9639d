"""Targets: borders, outlines, insides and distances in nm, wherever a box is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import ConfigError, VolumeError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import VoxelNm
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.targets import (
    bodies_of,
    face_distance_nm,
    faces_of,
    reach_voxels,
    target_of,
)

ISOTROPIC, THIN = VoxelNm((10.0, 10.0, 10.0)), VoxelNm((50.0, 4.6, 4.6))
MADE = {
    "foreground": TargetOptions(),
    "values": TargetOptions(made_from="values", values=(2,)),
    "membranes": TargetOptions(made_from="borders", width_nm=40),
    "all borders": TargetOptions(made_from="borders", width_nm=25, background=True),
    "outline": TargetOptions(made_from="outline", width_nm=30, values=(1, 2)),
    "interior": TargetOptions(made_from="interior", depth_nm=12),
    "distance": TargetOptions(made_from="distance", depth_nm=30),
}


def bodies(seed: int = 0, shape: tuple[int, int, int] = (7, 16, 18)) -> np.ndarray:
    """Bodies 0 to 3 (0 is background) of a few voxels."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, shape, (12, 3))
    grid = np.stack(np.indices(shape), axis=-1)
    nearest = np.linalg.norm(grid[..., None, :] - centres, axis=-1).argmin(-1)
    return (nearest % 4).astype(np.uint16)


def by_hand(faces: tuple[np.ndarray, ...], nm: VoxelNm) -> np.ndarray:
    """The distance from every voxel to every face, the least of them."""
    shape = tuple(max(face.shape[axis] for face in faces) for axis in range(3))
    places = [(np.argwhere(face) + 0.5 * np.eye(3)[axis]) * nm for axis, face in enumerate(faces)]
    voxels = np.stack(np.indices(shape), axis=-1) * np.asarray(nm)
    apart = voxels[..., None, :] - np.concatenate(places)
    return np.linalg.norm(apart, axis=-1).min(-1)


@pytest.mark.parametrize("nm", [ISOTROPIC, THIN])
@pytest.mark.parametrize("background", [False, True])
def test_distances_are_those_to_the_nearest_face(nm: VoxelNm, background: bool) -> None:
    faces = faces_of(bodies(), None, background=background)
    found, exact = face_distance_nm(faces, nm, within=60), by_hand(faces, nm)
    assert np.allclose(found[exact <= 60], exact[exact <= 60], rtol=1e-6)
    assert np.isinf(found[exact > 60.001]).all()


@given(
    name=st.sampled_from(sorted(MADE)),
    thin=st.booleans(),
    start=st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(0, 12)),
    size=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
)
def test_a_box_has_the_targets_of_the_whole_volume(
    name: str, thin: bool, start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    nm, target, labels = THIN if thin else ISOTROPIC, MADE[name], bodies()
    whole = whole_box((7, 16, 18))
    box = Box(start, tuple(a + n for a, n in zip(start, size, strict=True))).clip(whole)
    grown = box.grow(reach_voxels(target, nm)).clip(whole)
    of_all = target_of(bodies_of(labels, target, what=""), target, nm)
    of_box = target_of(bodies_of(labels[grown.slices], target, what=""), target, nm)
    assert np.array_equal(of_box[box.within(grown.start).slices], of_all[box.slices])


def test_membranes_lie_between_bodies_only() -> None:
    labels = np.zeros((1, 3, 12), np.uint8)
    labels[..., 4:8], labels[..., 8:] = 5, 9
    found = target_of(labels, MADE["membranes"], ISOTROPIC)
    assert found[0, 0].tolist() == [0] * 6 + [255] * 4 + [0] * 2
    both = target_of(
        labels, TargetOptions(made_from="borders", width_nm=40, background=True), ISOTROPIC
    )
    assert both[0, 0].tolist() == [0, 0] + [255] * 8 + [0, 0]


def test_a_border_between_thick_sections_is_wider_than_a_membrane() -> None:
    labels = np.ones((4, 6, 6), np.uint8)
    labels[2:] = 2
    assert not target_of(labels, MADE["membranes"], THIN).any()
    wide = TargetOptions(made_from="borders", width_nm=50)
    assert target_of(labels, wide, THIN)[:, 0, 0].tolist() == [0, 255, 255, 0]


def test_chosen_values_are_one_body_and_labels_are_each_one() -> None:
    labels = np.zeros((1, 1, 20), np.uint8)
    labels[..., 4:10], labels[..., 10:16] = 1, 2
    each = TargetOptions(made_from="interior", depth_nm=10)
    together = TargetOptions(made_from="interior", depth_nm=10, values=(1, 2))
    assert target_of(labels, each, ISOTROPIC)[0, 0, 9:11].tolist() == [0, 0]
    made = target_of(bodies_of(labels, together, what=""), together, ISOTROPIC)
    assert np.flatnonzero(made).tolist() == [*range(5, 15)]


def test_distance_rises_from_the_border_to_its_depth() -> None:
    labels = np.zeros((1, 1, 20), np.uint8)
    labels[..., 5:] = 1
    found = target_of(labels, TargetOptions(made_from="distance", depth_nm=50), ISOTROPIC)
    assert found[0, 0, :5].tolist() == [0] * 5
    assert found[0, 0, 5:11].tolist() == [round(255 * d / 50) for d in (5, 15, 25, 35, 45, 50)]


def test_no_border_is_seen_where_nobody_looked() -> None:
    labels, seen = np.ones((1, 2, 12), np.uint8), np.ones((1, 2, 12), np.bool_)
    labels[..., 6:], seen[..., 6:] = 2, False
    assert not target_of(labels, MADE["membranes"], ISOTROPIC, seen).any()


def test_labels_below_0_are_refused_unless_values_are_chosen() -> None:
    labels = np.full((2, 2, 2), -1, np.int16)
    with pytest.raises(VolumeError, match=r"a\.zarr holds values below 0"):
        bodies_of(labels, TargetOptions(), what="a.zarr")
    chosen = TargetOptions(made_from="values", values=(-1,))
    assert bodies_of(labels, chosen, what="a.zarr").all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"made_from": "borders"}, 'from = "borders" needs width_nm'),
        ({"made_from": "distance"}, 'from = "distance" needs depth_nm'),
        ({"width_nm": 3}, 'from = "foreground" has no width_nm'),
        ({"made_from": "values"}, 'from = "values" needs values'),
        ({"values": (1,)}, 'from = "foreground" takes no values'),
        ({"background": True}, 'background is for from = "borders" only'),
        ({"from": "membranes"}, "input should be 'foreground', 'values', 'borders'"),
    ],
)
def test_targets_that_say_too_little_or_too_much_are_refused(given: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TargetOptions(**given)
