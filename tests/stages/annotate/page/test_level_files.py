from pathlib import Path

import numpy as np
from tests.stages.annotate.shapes import circle

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Vote
from volproc.grid.blocks import Tiling
from volproc.stages.annotate.export.vote_store import write_votes
from volproc.stages.annotate.page.level_files import DrawLevels, shown_slice
from volproc.stages.annotate.tasks import Drawings


def votes_on(z, region, *votes):
    return SliceVotes(z, (0, 0), (60, 80), votes, region)


def test_each_region_of_a_slice_has_a_file_of_its_own(tmp_path):
    """Whatever the names are: these two are one as a file name."""
    drawn = [votes_on(z, name, Vote("v", (circle(20, 30, 40),))) for z in (3, 4) for name in "+-"]
    write_votes(str(tmp_path / "votes"), 0, drawn)
    drawings = Drawings(str(tmp_path / "votes"), (0,), AnnotateOptions(), (50.0, 50.0))
    task = DrawLevels(drawings, None, str(tmp_path / "levels"))
    (block,) = Tiling((8, 60, 80), (8, 60, 80))
    names = task.store(block, task.compute(block, task.load(block)))
    expected = ["z0003-2_region.svg", "z0003_region.svg", "z0004-2_region.svg", "z0004_region.svg"]
    assert sorted(names) == expected
    assert sorted(file.name for file in Path(tmp_path, "levels").iterdir()) == expected


def test_a_slice_without_an_image_is_blank(save_volume):
    grey = np.arange(2 * 60 * 80, dtype=np.uint16).reshape(2, 60, 80)
    shown = shown_slice(votes_on(1, "A"), save_volume("grey.zarr", grey), (50.0, 50.0))
    np.testing.assert_array_equal(shown.image, grey[1])
    assert not shown.blank
    without = shown_slice(votes_on(1, "A"), None, (50.0, 50.0))
    assert without.image.shape == (60, 80)
    assert not without.image.any()
    assert without.blank
