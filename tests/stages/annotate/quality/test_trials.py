from collections import Counter

import numpy as np
import pytest
from tests.stages.annotate.shapes import circle

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Vote
from volproc.grid.blocks import Tiling
from volproc.stages.annotate.export.vote_store import write_votes
from volproc.stages.annotate.quality.ground_truth import ground_truth_of
from volproc.stages.annotate.quality.slice_scores import radius_nm
from volproc.stages.annotate.quality.trials import TryMethods, TrySmallerCrowds
from volproc.stages.annotate.tasks import Drawings

NM = (40.0, 40.0)
SHAPE = (4, 60, 80)
(BLOCK,) = Tiling(SHAPE, SHAPE)


def disc(radius, shape=SHAPE[1:], y=30, x=40):
    rows, columns = np.indices(shape) + 0.5
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def votes_on(z, radii, *, region="A"):
    strokes = [(circle(radius, 30, 40),) if radius else () for radius in radii]
    votes = tuple(Vote(f"v{n}", one) for n, one in enumerate(strokes))
    return SliceVotes(z, (0, 0), SHAPE[1:], votes, region)


@pytest.fixture
def drawings(tmp_path):
    def drawn(*slices, method="majority"):
        write_votes(str(tmp_path), 0, slices)
        options = AnnotateOptions(method=method, block_slices=SHAPE[0])
        return Drawings(str(tmp_path), (0,), options, NM)

    return drawn


@pytest.fixture
def truth(save_volume):
    """A disc of radius 20 on slices 0 to 2 of the image, none on slice 1."""
    image = save_volume("image.zarr", np.zeros(SHAPE, np.uint8), voxel_nm=(50, *NM)).info
    labels = np.stack([disc(20), disc(0), disc(20)]).astype(np.uint8)
    saved = save_volume("truth.zarr", labels, voxel_nm=(50, *NM), kind="labels")
    return ground_truth_of(saved.info.with_provenance(part=True), (), image=image)


def done(task):
    return task.store(BLOCK, task.compute(BLOCK, task.load(BLOCK)))


def test_three_crowds_of_each_number_below_all_are_drawn_by_lot(drawings):
    """Against the outline of all nine, whose median radius is 20."""
    radii = [16, 17, 18, 19, 20, 21, 22, 23, 24]
    found = done(TrySmallerCrowds(drawings=drawings(votes_on(1, radii)), skills={}))
    assert Counter(row["volunteers"] for row in found) == {3: 3, 5: 3, 7: 3}
    assert {(row["roi"], row["z"]) for row in found} == {("A", 1)}
    errors = {n: [r["error_nm"] for r in found if r["volunteers"] == n] for n in (3, 5, 7)}
    assert len(set(errors[3])) > 1
    assert max(errors[3]) < 3 * 40
    again = done(TrySmallerCrowds(drawings=drawings(votes_on(1, radii)), skills={}))
    assert again == found


def test_crowds_of_another_slice_are_others(drawings):
    radii = [16, 17, 18, 19, 20, 21, 22, 23, 24]
    found = done(
        TrySmallerCrowds(drawings=drawings(votes_on(1, radii), votes_on(2, radii)), skills={})
    )
    one, other = ([row["error_nm"] for row in found if row["z"] == z] for z in (1, 2))
    assert one != other


def test_with_a_truth_the_error_is_from_it_and_all_count_too(drawings, truth):
    """All draw the radius 22: 2 voxels of 40 nm too much."""
    slices = [votes_on(0, [22] * 5), votes_on(1, [22] * 5), votes_on(3, [22] * 5)]
    found = done(TrySmallerCrowds(drawings=drawings(*slices), skills={}, truth=truth))
    assert Counter((row["z"], row["volunteers"]) for row in found) == {(0, 3): 3, (0, 5): 1}
    assert [row["error_nm"] for row in found] == pytest.approx([80] * 4, abs=12)


def test_where_all_saw_nothing_there_is_no_error(drawings):
    assert done(TrySmallerCrowds(drawings=drawings(votes_on(1, [0] * 9)), skills={})) == []


@pytest.mark.parametrize("turn", [1, -1])
def test_nothing_is_a_radius_away(drawings, turn):
    trial = TrySmallerCrowds(drawings=drawings(votes_on(1, [20])), skills={})
    found = trial.distances(*(disc(20), disc(0))[::turn])
    assert found["masd_nm"] == pytest.approx(radius_nm(disc(20), NM))


def test_the_border_is_no_outline(drawings):
    """Bands of 10 and 12 rows at the upper border: 2 rows apart along their only outline."""
    rows = np.indices(SHAPE[1:])[0]
    trial = TrySmallerCrowds(drawings=drawings(votes_on(1, [20])), skills={})
    assert trial.distances(rows < 10, rows < 12)["masd_nm"] == pytest.approx(80)


def methods(drawings, save_volume, made, **more):
    labels = save_volume("labels.zarr", made.astype(np.uint8), voxel_nm=(50, *NM), kind="labels")
    names = ("cria-2021", drawings.options.method)
    return done(TryMethods(drawings=drawings, skills={}, labels=labels, methods=names, **more))


def test_without_a_truth_labels_are_compared_with_other_methods(drawings, save_volume):
    """As they were written: here a radius of 22, though three drew 20; no slice is empty twice."""
    made = np.stack([disc(0), disc(22), disc(0), disc(22)])
    slices = [votes_on(z, radii) for z, radii in enumerate([[20] * 3, [20] * 3, [0] * 3])]
    found = methods(drawings(*slices), save_volume, made)
    assert [(row["z"], row["method"], row["other"]) for row in found] == [
        (0, "majority", "cria-2021"),
        (1, "majority", "cria-2021"),
    ]
    assert found[0]["masd_nm"] == pytest.approx(20 * 40, rel=0.02)
    assert found[1]["masd_nm"] == pytest.approx(2 * 40, abs=12)
    assert found[1]["dice"] == pytest.approx(2 * 400 / (400 + 484), abs=0.01)


def test_with_a_truth_every_method_is_scored(drawings, save_volume, truth):
    made = np.stack([disc(22), disc(22), disc(22), disc(22)])
    slices = [votes_on(z, [20] * 3) for z in (0, 1, 3)]
    found = methods(drawings(*slices), save_volume, made, truth=truth)
    scored = {(row["z"], row["method"]): row["scores"] for row in found}
    assert list(scored) == [(z, name) for z in (0, 1) for name in ("majority", "cria-2021")]
    assert scored[0, "majority"]["iou"] == pytest.approx(400 / 484, abs=0.02)
    assert scored[0, "cria-2021"]["iou"] == pytest.approx(1, abs=0.02)
    assert scored[1, "majority"]["false"]


def test_a_truth_of_a_part_scores_that_part(drawings, save_volume):
    """It covers the right half of the disc."""
    image = save_volume("image.zarr", np.zeros(SHAPE, np.uint8), voxel_nm=(50, *NM)).info
    half = np.broadcast_to(disc(20)[:, 40:], (4, 60, 40)).astype(np.uint8)
    at = (-25, -20, 1600 - 20)
    part = save_volume("p.zarr", half, voxel_nm=(50, *NM), corner_nm=at, kind="labels")
    made = np.stack([disc(20)] * 4)
    made[:, :, :40] = False
    truth = ground_truth_of(part.info, (), image=image)
    found = methods(drawings(votes_on(2, [20] * 3)), save_volume, made, truth=truth)
    assert [row["scores"]["iou"] for row in found] == [1.0, pytest.approx(1, abs=0.02)]
    # where it leaves the covered part is no outline
    assert found[0]["scores"]["masd_nm"] == 0
