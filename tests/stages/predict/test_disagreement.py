import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volproc import PredictOptions, SubjectsOptions
from volproc.engine.recipe import Recipe
from volproc.errors import ConfigError
from volproc.fusion import level_of
from volproc.grid.blocks import Block
from volproc.grid.box import Box
from volproc.stages.predict.disagreement import COLUMNS, plan_disagreement, ranking
from volproc.stages.subjects.shown_regions import regions_of
from volproc.volume.file_io import sibling
from volproc.volume.metadata import Window
from volproc.volume.store import open_volume

ALL = {"agreement": True, "disagreement": True, "regions_um": (0.3, 0.5, 0.9)}


def rows(plan):
    with open(sibling(plan.votes.url, "-regions.csv")) as file:
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
    assert np.array_equal(whole(sibling(plan.votes.url, "-agreement.zarr")), yes.sum(0))
    assert np.array_equal(
        whole(sibling(plan.votes.url, "-disagreement.zarr")), np.ptp(votes.astype(int), axis=0)
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
    assert whole(sibling(plan.votes.url, "-agreement.zarr")).any()


@pytest.mark.parametrize("less", [{"votes": False}, {"axes": "z"}])
def test_votes_of_one_axis_or_none_cannot_be_compared(small, predict, less):
    with pytest.raises(ConfigError, match="compare the votes of the axes: keep them"):
        predict(small, agreement=True, plan_only=True, **less)


@pytest.fixture
def two(save_volume):
    """Votes of y and x, 4 x 4 x 10 voxels of 50 nm, on the grid of an image of 50 x 50 x 40 nm."""
    votes = save_volume("votes.zarr", np.zeros((4, 4, 10), np.uint8)).info
    image = save_volume("image.zarr", np.zeros((4, 4, 12), np.uint8), voxel_nm=(50, 50, 40)).info
    return replace(votes, channels=("y", "x")), image


def compared(two, **options):
    recipe = Recipe("predict", 1, {}, {})
    return plan_disagreement(*two, PredictOptions(**options), recipe=recipe)


def test_two_axes_can_be_compared_and_cost_what_is_asked(two):
    """2 bytes an axis, 2 results and 3 to encode; what is not asked for is not written."""
    plan = compared(two, agreement=True)
    assert plan.agreement.window == Window(0, 2, 0, 2)
    assert (plan.disagreement, plan.regions) == (None, None)
    block = np.prod(plan.step.blocks.core)
    assert (plan.step.peak_bytes, plan.step.bytes_read) == (9 * block, 2 * 160)
    assert (plan.step.bytes_written, len(plan.step.writes)) == (160, 1)
    both = compared(two, agreement=True, disagreement=True)
    assert both.disagreement.window == Window(0, 255, 0, 255)
    assert (both.step.bytes_written, len(both.step.writes)) == (320, 2)
    assert compared(two) is None
    with pytest.raises(ConfigError, match="compare the votes"):
        compared((replace(two[0], channels=("z",)), two[1]), agreement=True)


@pytest.mark.parametrize(
    ("um", "core"),
    [((0.1, 0.2, 0.3), (2, 4, 6)), ((0.01, 0.07, 9), (1, 1, 10)), ((0.13, 0.12, 0.08), (3, 2, 2))],
)
def test_regions_are_rounded_to_voxels_of_the_votes(two, um, core):
    """50 nm each: at least one voxel, at most the volume."""
    assert compared(two, regions_um=um).regions.core == core


def test_the_ranking_by_hand(two):
    """Regions of 4 x 4 x 6 and 4 x 4 x 4 voxels; two blocks tell sums and split voxels of both."""
    plan = compared(two, regions_um=(9, 9, 0.3))
    records = [[[0, 255 * 24, 12]], [[0, 255 * 24, 12], [1, 255 * 48, 16]]]
    assert ranking(plan, records).splitlines()[1:] == [
        "1,0,0,8,4,4,4,0.750000,0.250000",  # x from 6 of 50 nm is 7.5 of 40: 8; to the 12th
        "2,0,0,0,4,4,8,0.500000,0.250000",
    ]
    equal = ranking(plan, [[[0, 96, 0], [1, 64, 0]]]).splitlines()
    assert [line[:2] for line in equal[1:]] == ["1,", "2,"]
    assert equal[1].startswith("1,0,0,0,")


def test_a_voxel_is_split_where_some_say_yes_and_others_no(two):
    """Of a block beside the border of two regions: sums and counts of each part."""
    plan = compared(two, regions_um=(9, 9, 0.3))
    core = Box((0, 0, 4), (1, 1, 8))
    votes = np.array([[0, 200, 255, 10], [0, 100, 255, 250]], np.uint8).reshape(2, 1, 1, 1, 4)
    block = Block(0, core, core)
    task = plan.step.task
    count, apart = task.compute(block, votes)
    assert count.ravel().tolist() == [0, 1, 2, 1]
    assert apart.ravel().tolist() == [0, 100, 0, 240]
    assert task.store(block, (count, apart)) == [[0, 100, 1], [1, 240, 1]]
