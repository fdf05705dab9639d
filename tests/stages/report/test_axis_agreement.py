from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.report import axis_agreement
from volproc.stages.report.axis_agreement import (
    Agreement,
    level_to_count,
    measure_agreement,
    vote_codes,
)
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

VOXEL_NM = parse_voxel_nm((50, 50, 50))


def write(url: Path, values, *, kind="image", channels=()):
    info = new_volume(
        str(url),
        shape=values.shape[-3:],
        voxel_nm=VOXEL_NM,
        dtype=str(values.dtype),
        kind=kind,
        channels=channels,
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="made", version="0")
    volume.write(info.box, values)
    return volume.finish()


def agreement_of(votes):
    counts = np.bincount(vote_codes(votes, level=128).ravel(), minlength=8)
    return Agreement(("x", "y", "z"), counts, VOXEL_NM, np.zeros(1))


votes_3 = hnp.arrays(np.uint8, (3, 2, 3, 4))


@given(votes_3)
def test_shares_add_up_and_count_the_votes(votes):
    found = agreement_of(votes)
    yes = (votes >= 128).sum(axis=0)
    some = (yes > 0).sum()
    if some:
        assert sum(found.shares.values()) == pytest.approx(1)
        for n in (1, 2, 3):
            assert found.by_votes[n] == pytest.approx((yes == n).sum() / some)
    assert list(found.shares) == ["xyz", "xy", "xz", "yz", "x", "y", "z"]


@given(votes_3)
def test_dice_of_two_axes(votes):
    found = agreement_of(votes)
    a, b = votes[0] >= 128, votes[2] >= 128
    total = a.sum() + b.sum()
    expected = 2 * (a & b).sum() / total if total else None
    assert found.dice("x", "z") == (pytest.approx(expected) if total else None)
    assert [(a, b) for a, b, _ in found.pairs] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_objects_know_where_all_axes_agree_whatever_the_block(tmp_path, monkeypatch):
    labels = np.zeros((6, 8, 10), dtype=np.uint32)
    labels[1:5, 1:5, 1:5] = 1
    labels[1:5, 1:5, 6:9] = 3
    votes = np.repeat((labels > 0)[None].astype(np.uint8) * 255, 3, axis=0)
    votes[1, :3, :, :5] = 0
    volumes = (
        write(tmp_path / "votes.zarr", votes, channels=("x", "y", "z")),
        write(tmp_path / "objects.zarr", labels, kind="labels"),
    )
    whole = measure_agreement(*volumes, highest=3)
    np.testing.assert_array_equal(whole.objects, [np.nan, 0.5, np.nan, 1.0])
    assert whole.counts.tolist() == [480 - 64 - 48, 0, 0, 0, 0, 32, 0, 80]
    monkeypatch.setattr(axis_agreement, "BLOCK", (2, 3, 7))
    again = measure_agreement(*volumes, highest=3)
    np.testing.assert_array_equal(again.objects, whole.objects)
    np.testing.assert_array_equal(again.counts, whole.counts)


def test_large_volumes_are_counted_at_a_coarse_level():
    info = new_volume("v.zarr", shape=(518, 1638, 1638), voxel_nm=VOXEL_NM, dtype="uint8")
    assert level_to_count(info) == 3
    small = new_volume("v.zarr", shape=(64, 300, 300), voxel_nm=VOXEL_NM, dtype="uint8")
    assert level_to_count(small) == 0
