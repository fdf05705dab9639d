import csv
from pathlib import Path

import numpy as np
import pytest

from volproc.config import SubjectsOptions
from volproc.errors import ConfigError
from volproc.fusion import level_of
from volproc.stages.predict.disagreement import COLUMNS
from volproc.stages.subjects.regions import regions_of
from volproc.volume.files import beside
from volproc.volume.store import open_volume

ALL = {"agreement": True, "disagreement": True, "regions_um": (0.3, 0.5, 0.9)}


def rows(plan):
    with open(beside(plan.votes.url, "-regions.csv")) as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == COLUMNS
        return [{key: float(value) for key, value in row.items()} for row in reader]


def whole(url):
    volume = open_volume(url)
    return volume.read(volume.info.box)


@pytest.mark.parametrize("block", [None, (11, 36, 20), (16, 16, 32)])
def test_who_agrees_is_numpys_count_over_the_whole_volume(small, predict, block):
    plan, _ = predict(small, threshold=0.45, block=block, **ALL)
    votes = whole(plan.votes.url)
    yes = votes >= level_of(0.45)
    assert np.array_equal(whole(beside(plan.votes.url, "-agreement.zarr")), yes.sum(0))
    assert np.array_equal(
        whole(beside(plan.votes.url, "-disagreement.zarr")), np.ptp(votes.astype(int), axis=0)
    )
    assert set(np.unique(yes.sum(0))) >= {0, 3}


def test_regions_are_ranked_by_the_mean_over_each(small, predict):
    plan, _ = predict(small, **ALL)
    votes = whole(plan.votes.url).astype(int)
    apart, yes = np.ptp(votes, axis=0), (votes >= 128).sum(0)
    wanted = []
    for z in range(0, 20, 6):
        for y in range(0, 36, 10):
            for x in range(0, 36, 18):
                part = np.s_[z : z + 6, y : y + 10, x : x + 18]
                split = ((yes[part] > 0) & (yes[part] < 3)).mean()
                wanted.append((-apart[part].mean() / 255, len(wanted), split, (z, y, x)))
    found = rows(plan)
    assert [row["rank"] for row in found] == list(range(1, len(wanted) + 1))
    for row, (mean, _, split, (z, y, x)) in zip(found, sorted(wanted), strict=True):
        assert row["disagreement"] == pytest.approx(-mean, abs=1e-6)
        assert row["split"] == pytest.approx(split, abs=1e-6)
        # the image's voxels are 50 x 50 x 40 nm, the votes' 50 x 50 x 50
        assert (row["z"], row["y"], row["x"]) == (z, y, round(x * 50 / 40))


def test_no_block_size_changes_the_ranking(small, predict):
    first, _ = predict(small, "one", **ALL)
    other, _ = predict(small, "other", block=(7, 36, 20), **ALL)
    assert rows(first) == rows(other)


def test_regions_are_what_subjects_takes(small, predict):
    plan, _ = predict(small, **ALL)
    names = ("z", "y", "x", "depth", "height", "width")
    rois = tuple(tuple(int(row[name]) for name in names) for row in rows(plan))
    regions = regions_of(small.info, SubjectsOptions(rois=rois))
    covered = np.zeros(small.info.shape, dtype=int)
    for region in regions:
        covered[region.box.slices] += 1
    assert (covered == 1).all()


def test_asking_for_more_later_predicts_nothing_again(small, predict):
    plan, _ = predict(small)
    ledger = Path(small.info.url).with_name("out-ledger") / "predict.jsonl"
    before = ledger.read_text()
    later, _ = predict(small, **ALL)
    assert later.digest == plan.digest
    assert ledger.read_text() == before
    assert whole(beside(plan.votes.url, "-agreement.zarr")).any()


@pytest.mark.parametrize("less", [{"votes": False}, {"axes": "z"}])
def test_votes_of_one_axis_or_none_cannot_be_compared(small, predict, less):
    with pytest.raises(ConfigError, match="compare the votes of the axes: keep them"):
        predict(small, agreement=True, plan_only=True, **less)
