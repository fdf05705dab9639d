"""Laws of what blocks count: the same for any blocks, and what plain numpy finds."""

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import euler_number

from volproc.grid.blocks import Tiling
from volproc.grid.box import whole_box
from volproc.stages.doubt.doubt_tasks import around, axes_of, block_counts, counted
from volproc.stages.doubt.object_features import features_of
from volproc.stages.doubt.profiles import NO_ROWS, axis_profiles, necks
from volproc.stages.doubt.weak_cells import Cells
from volproc.stages.objects.components import equal_values
from volproc.stages.scores.sparse_sums import SparseSums

SHAPE = (18, 20, 22)
VOXEL_NM = (50.0, 50.0, 50.0)


def made(seed, axes=3):
    """Labels of smooth lumps, and votes that follow them loosely."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((axes, 6, 7, 8))
    votes = np.repeat(np.repeat(np.repeat(coarse, 3, 1), 3, 2), 3, 3)[:, :18, :20, :22]
    votes = np.clip(255 * (0.8 * votes + 0.2 * rng.random(votes.shape)), 0, 255).astype(np.uint8)
    labels = cc3d.connected_components(votes.mean(axis=0) > 128, connectivity=6)
    return labels.astype(np.uint32), votes


def all_of(labels, votes, core, axes=3):
    """Everything that is known of the objects, counted in blocks of a core."""
    tiling = Tiling(labels.shape, core)
    parts = []
    for block in tiling:
        box = around(block.core, labels.shape).slices
        values = None if votes is None else votes[(slice(None), *box)]
        how = {"level": 128, "core": block.core, "shape": labels.shape}
        parts.append(block_counts(labels[box], values, **how))
    found = counted(parts, labels.shape)
    known = axes_of(found, voxel_nm=VOXEL_NM)
    profiles = []
    for block in tiling:
        local, ids = equal_values(labels[block.core.slices])
        own = known["axes"][np.searchsorted(known["ids"], ids)]
        profiles.append(axis_profiles(local, ids, own, origin=block.core.start, voxel_nm=VOXEL_NM))
    added = SparseSums.added(profiles, nothing=NO_ROWS)
    return found, features_of(found, added, voxel_nm=VOXEL_NM, axes=axes)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), core=st.tuples(*[st.integers(3, 22)] * 3))
def test_any_blocks_give_the_same_bits(seed, core):
    labels, votes = made(seed)
    whole, features = all_of(labels, votes, labels.shape)
    parts, same = all_of(labels, votes, core)
    for one, other in zip(whole, parts):
        left, right = (getattr(one, "rows", one), getattr(other, "rows", other))
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(features.values, same.values)


@pytest.mark.parametrize("seed", range(4))
def test_the_euler_characteristic_is_that_of_scikit_image(seed):
    labels, votes = made(seed)
    found, _ = all_of(labels, votes, (7, 7, 7))
    for n, value in zip(found.ids, found.column("euler")):
        assert value == euler_number(np.pad(labels == n, 1), connectivity=3)


def test_faces_and_votes_are_what_numpy_counts():
    labels, votes = made(3)
    found, _ = all_of(labels, votes, (5, 6, 7))
    padded = np.pad(labels.astype(int), 1, constant_values=-1)
    total = votes.sum(axis=0).astype(int)
    for n, row in zip(found.ids, found.counts):
        own, faces, border = labels == n, 0, 0
        for axis in range(3):
            for step in (-1, 1):
                there = np.roll(padded, -step, axis)[1:-1, 1:-1, 1:-1]
                border += (own & (there == -1)).sum()
                faces += (own & (there != n) & (there != -1)).sum()
        named = dict(zip(("faces", "border", "vote"), (faces, border, total[own].sum())))
        for name, value in named.items():
            assert found.column(name)[list(found.ids).index(n)] == value
        assert row[2] == (((votes >= 128).sum(0) % 3 != 0) & own).sum()


def test_labels_alone_have_features_of_their_form():
    labels, _ = made(1)
    _, features = all_of(labels, None, (9, 9, 9), axes=0)
    assert "hollow" in features.names
    assert "disagree_surface" not in features.names
    assert "unsure" not in features.names


def test_a_volume_without_objects_has_no_rows():
    labels = np.zeros(SHAPE, np.uint32)
    found, features = all_of(labels, np.zeros((3, *SHAPE), np.uint8), (9, 9, 9))
    assert len(found.ids) == 0
    assert features.values.shape == (0, len(features.names))


def dumbbell(distance, radius=6):
    """Two balls, and a bar of one voxel between them, along a diagonal."""
    labels = np.zeros((40, 40, 60), np.uint32)
    z, y, x = np.indices(labels.shape)
    for side in (-1, 1):
        centre = np.array([20, 20, 30]) + side * np.array([0.3, 0.3, 0.9]) * distance / 2
        labels[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2] = 1
    if distance:
        labels[20, 20, 22:38] = 1
    return labels


def test_a_neck_is_seen_along_any_direction():
    _, ball = all_of(dumbbell(0), None, (40, 40, 60), axes=0)
    _, two = all_of(dumbbell(16), None, (40, 40, 60), axes=0)
    column = ball.names.index("neck")
    assert ball.values[0, column] < 0.25
    assert two.values[0, column] > 0.7


def test_a_flat_profile_has_no_neck():
    keys = np.array([[4, n] for n in range(5, 40)], np.uint64)
    flat, axes = SparseSums(keys, np.full(35, 9)), np.array([[0, 0, 0, 0, 0, 1e-4]])
    assert necks(flat, np.array([4], np.uint64), axes, voxel_nm=VOXEL_NM)[0] == 0


def test_parts_of_a_split_object_are_beside_one_another():
    labels = np.zeros((8, 20, 8), np.uint32)
    labels[2:6, 2:8, 2:6], labels[2:6, 10:16, 2:6] = 1, 2  # two voxels apart
    near, _ = all_of(labels, None, (4, 9, 3), axes=0)
    labels[2:6, 10:12] = 0
    far, _ = all_of(labels, None, (4, 9, 3), axes=0)
    assert near.column("beside").tolist() == [16, 16]
    assert far.column("beside").tolist() == [0, 0]


def test_where_the_volume_cuts_an_object_its_area_does_not_jump():
    labels = np.zeros((12, 12, 12), np.uint32)
    labels[:6, 3:9, 3:9] = 1  # begins at the border, ends flat inside
    labels[:, 10:, 10:] = 2  # from border to border
    found, _ = all_of(labels, None, (5, 5, 5), axes=0)
    assert found.jumps.tolist() == [1.0, 0.0]


def test_lumps_are_weak_voxels_away_from_objects():
    labels, weak = np.zeros((24, 24, 24), np.uint32), np.zeros((24, 24, 24), bool)
    labels[:6], weak[:7] = 1, True  # a shell around an object
    weak[12:20, 8:16, 8:16] = True
    cells = Cells.over(labels.shape)
    sums = cells.add(labels, weak, core=whole_box(labels.shape))
    assert cells.side == 4
    assert cells.lumps(sums).tolist() == [512]
    assert Cells.over((4000, 4000, 4000)).side > 50


@pytest.mark.parametrize(("gap", "faces"), [(3, (16, 16)), (6, (0, 16)), (7, (0, 0))])
def test_parts_across_a_gap_face_one_another(gap, faces):
    """`gap` is the number of the first voxel of the other part: one more than lie between."""
    labels = np.zeros((8, 24, 8), np.uint32)
    labels[2:6, 2:8, 2:6], labels[2:6, 7 + gap : 20, 2:6] = 1, 2
    found, _ = all_of(labels, None, (4, 9, 3), axes=0)
    for name, count in zip(("beside", "facing"), faces):
        assert found.column(name).tolist() == [count, count]


def test_what_some_axis_sees_in_front_of_a_surface_is_beyond():
    """A layer of two voxels before one side of 16 faces; three are looked at."""
    labels = np.zeros((8, 20, 8), np.uint32)
    labels[2:6, 2:8, 2:6] = 1
    votes = np.where(labels, 255, 0).astype(np.uint8)[None].repeat(3, axis=0)
    votes[1, 2:6, 8:10, 2:6] = 200
    found, features = all_of(labels, votes, (4, 9, 3))
    assert found.column("beyond").tolist() == [32]
    share = features.values[0, features.names.index("beyond")]
    assert share == pytest.approx(32 / (3 * found.column("faces")[0]))


def test_what_the_border_leaves_of_an_object_is_not_small():
    """A tenth of a ball at the border counts as the ball, a small ball away from it as small."""
    labels = np.zeros((60, 60, 90), np.uint32)
    z, y, x = np.indices(labels.shape)
    places = [(15, 15, 15), (15, 45, 15), (45, 15, 15), (45, 45, 15), (15, 15, 45), (45, 45, 45)]
    for n, (a, b, c) in enumerate([*places, (15, 45, 96), (30, 30, 75)], start=1):
        radius = 5 if n == 8 else 10
        labels[(z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < radius**2] = n
    _, features = all_of(labels, None, (60, 60, 90), axes=0)
    small = features.values[:, features.names.index("small")]
    assert small[6] < 1 < 4 < small[7]
