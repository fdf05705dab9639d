from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages.annotate.shapes import circle as arc

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.methods.cria.cria import cria
from volproc.stages.annotate.methods.cria2021 import cria2021
from volproc.stages.annotate.quality.skills import skills, slice_errors
from volproc.stages.annotate.quality.slice_scores import score_slice
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import panel, volunteers

NM = (20.0, 20.0)
SHAPE = (300, 320)
OPTIONS = AnnotateOptions()
LEFT, RIGHT = (150, 100, 60), (150, 240, 40)


def ring(y, x, radius, rng=None, slip=0.0, part=1.0):
    """A circle drawn by hand: slips of `slip` voxels that change slowly along it."""
    angle = np.linspace(0, 2 * np.pi * part, max(12, int(3 * radius * part)), endpoint=False)
    off = radius + 0 * angle
    if rng is not None:
        size = slip / np.sqrt(np.arange(1, 7) * 2)
        for n, (a, b) in enumerate(rng.normal(0, size[:, None], (6, 2))):
            off = off + a * np.cos(n * angle) + b * np.sin(n * angle)
    points = np.array([y, x]) + off[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    return Stroke(points.astype(np.float32))


def vote(number, *strokes):
    return Vote(f"v{number}", tuple(strokes))


def by(*votes):
    return SliceVotes(0, (0, 0), SHAPE, tuple(vote(n, *one) for n, one in enumerate(votes)))


def disc(y, x, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def label(votes, skills=None, method=cria):
    return method(votes, NM, skills or {}, OPTIONS).onto(SHAPE) >= 0.5


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def bays(shape, z):
    """A nucleus of 8 um with narrow bays, which turns from slice to slice, and a piece beside."""
    y, x = np.indices(shape) + 0.5
    angle = np.arctan2(y - 270, x - 260) + 0.1 * z
    radius = 190 + 22 * np.cos(3 * angle) - 60 * np.exp(-np.square(np.sin(angle - 1) / 0.05))
    return (np.hypot(y - 270, x - 260) < radius) | (np.hypot(y - 480, x - 480) < 40 + z)


def crowd(seed, count=7, slip=4.0):
    rng = np.random.default_rng(seed)
    return [[ring(*LEFT, rng, slip), ring(*RIGHT, rng, slip)] for _ in range(count)]


@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_votes_changes_nothing(seed, random):
    votes = crowd(seed)
    before = cria(by(*votes), NM, {}, OPTIONS).onto(SHAPE)
    random.shuffle(votes)
    after = cria(by(*votes), NM, {}, OPTIONS).onto(SHAPE)
    assert np.abs(after - before).max() < 0.05
    assert dice(before >= 0.5, after >= 0.5) > 0.999


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_an_agreement_is_a_share_and_the_truth_is_found(seed):
    patch = cria(by(*crowd(seed)), NM, {}, OPTIONS)
    assert patch.values.dtype == np.float32
    assert patch.values.min() >= 0
    assert patch.values.max() <= 1
    assert dice(patch.onto(SHAPE) >= 0.5, disc(*LEFT) | disc(*RIGHT)) > 0.93


def test_on_average_it_errs_less_than_counting_voxels():
    truth = disc(*LEFT) | disc(*RIGHT)
    lost = {
        method: np.mean([1 - dice(label(by(*crowd(s)), method=method), truth) for s in range(12)])
        for method in (cria, cria2021)
    }
    assert lost[cria] < 0.9 * lost[cria2021]


def test_one_drawing_is_its_own_answer():
    assert dice(label(by([ring(*LEFT)])), disc(*LEFT)) > 0.995


@pytest.mark.parametrize("radius", [3, 6, 12])
def test_small_pieces_keep_their_size(radius):
    """Outlines of few micrometres have as many points as long ones."""
    drawn = [[ring(150, 100, radius)]] * 3
    assert dice(label(by(*drawn)), label(by(drawn[0]), method=cria2021)) == 1


def test_where_half_of_those_who_looked_drew_nothing_ties_are_inside():
    drawn, absent = [ring(*LEFT)], []
    assert label(by(drawn, absent)).any()
    assert not label(by(drawn, absent, absent)).any()
    assert label(by(drawn, absent, absent), method=cria2021).any()


def test_a_piece_that_most_saw_keeps_its_size_whoever_missed_it():
    """Counting voxels, every slip of the four who saw it would count."""
    rng = np.random.default_rng(4)
    votes = [[ring(*LEFT, rng, 4.0), ring(*RIGHT, rng, 4.0)] for _ in range(4)]
    votes += [[ring(*LEFT, rng, 4.0)] for _ in range(3)]
    found = label(by(*votes))[:, 180:]
    assert dice(found, disc(*RIGHT)[:, 180:]) > 0.93
    assert found.sum() > 1.1 * label(by(*votes), method=cria2021)[:, 180:].sum()


def test_no_voxel_is_surer_than_its_piece():
    votes = [[ring(*LEFT), ring(*RIGHT)]] * 3 + [[ring(*LEFT)]] * 2
    agreement = cria(by(*votes), NM, {}, OPTIONS).onto(SHAPE)
    assert agreement[150, 100] == 1
    assert agreement[150, 240] == pytest.approx(3 / (3 + 2 / 2))


BOTH, ONE, OTHER, NEITHER = [ring(*LEFT), ring(*RIGHT)], [ring(*LEFT)], [ring(*RIGHT)], []
PRESENCE = [  # who drew what; how sure the left piece is, which comes first, and the right one
    ([BOTH, BOTH, ONE, ONE, ONE], 1, 2 / (2 + 3 / 2)),
    ([BOTH, BOTH, BOTH, ONE, ONE, NEITHER], 5 / 6, 3 / (3 + 2 / 2)),
    ([ONE, ONE, ONE, BOTH, OTHER, OTHER], 4 / 6, 2 / (2 + 3 / 2)),
    ([BOTH, BOTH, ONE, OTHER, NEITHER, NEITHER], 3 / 6, 2.5 / (2.5 + 1 / 2)),
    ([ONE, ONE, ONE, OTHER, NEITHER], 3 / 5, None),
    ([ONE, NEITHER, NEITHER], None, None),
    ([ONE, OTHER], 1 / 2, None),  # of what one drew alone nobody overlooked anything
]


@pytest.mark.parametrize(("drawn", "left", "right"), PRESENCE)
def test_how_sure_a_piece_is(drawn, left, right):
    """Half a vote of those who saw no other piece, none of them against; half against of others."""
    agreement = cria(by(*drawn), NM, {}, OPTIONS).onto(SHAPE)
    for (y, x, _), expected in ((LEFT, left), (RIGHT, right)):
        if expected is None:
            assert agreement[y, x] < 0.5
        else:
            assert agreement[y, x] == pytest.approx(expected)


def ellipse(a, b, turn, count=600):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([a * np.sin(angle), b * np.cos(angle)], axis=1)
    turned = points @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return Stroke((turned + 180).astype(np.float32), closed=True)


def test_far_from_the_outline_the_majority_decides():
    """Two drew a disc of 3 um, three long cells around it, whose lines are out of its reach."""
    drawn = [ellipse(60, 60, 0)] * 2 + [ellipse(160, 84, turn * np.pi / 3) for turn in range(3)]
    votes = SliceVotes(0, (0, 0), (360, 360), tuple(vote(n, one) for n, one in enumerate(drawn)))
    agreement = cria(votes, (50.0, 50.0), {}, OPTIONS).onto(votes.shape_yx)
    assert agreement[180, 180 + 58] == 1
    assert agreement[180, 180 + 66] < 0.5  # 300 nm outside: the line says so
    assert agreement[180, [180 + 70, 180 - 76]] == pytest.approx(3 / 5)  # 500 nm: three say inside


def test_the_outline_may_lie_beyond_all_that_was_closed():
    """Six open arcs around two closed circles: their mean is round, whatever else was drawn."""
    middle = partial(arc, y=500, x=500)
    drawn = [[middle(200)], [middle(205)], *([middle(230, part=0.6, start=n)] for n in range(6))]
    far = [arc(15, y=60, x=60), arc(15, y=940, x=940)]
    sizes = []
    for extra in ([], far):
        votes = [vote("a", *drawn[0], *extra), *(vote(n, *one) for n, one in enumerate(drawn[1:]))]
        patch = cria(SliceVotes(0, (0, 0), (1000, 1000), tuple(votes)), (10.0, 10.0), {}, OPTIONS)
        rows, columns = np.nonzero(patch.onto((1000, 1000))[200:800, 200:800] >= 0.5)
        sizes.append((len(rows), np.ptp(rows) + 1, np.ptp(columns) + 1))
    assert sizes[0] == sizes[1]
    assert sizes[0][1:] == pytest.approx((433, 433), abs=2)


def test_an_outline_beyond_the_image_ends_at_its_border():
    """Drawn past the edge of the frame, as volunteers do."""
    drawn = [[ring(150, 310, radius)] for radius in (50, 52, 54)]
    patch = cria(by(*drawn), NM, {}, OPTIONS)
    assert np.add(patch.origin_yx, patch.values.shape).tolist()[1] == SHAPE[1]
    assert dice(patch.onto(SHAPE) >= 0.5, disc(150, 310, 52)) > 0.97


@pytest.mark.parametrize("skill", [1.0, 30.0])
def test_nobody_outweighs_two_others_who_agree(skill):
    """Skills are estimates, of few slices poor ones."""
    alike, own = [ring(*LEFT)], [ring(150, 100, 90)]
    known = {"v0": 1 / skill, "v1": 1 / skill, "v2": 1.0}
    assert dice(label(by(alike, alike, own), known), disc(*LEFT)) > 0.98
    assert not label(by([], [], own), known).any()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((4.0, 1.0, 1.0), (1.8 + 1) / 3.8),  # 0.9 of both others
        ((4.0, 1.0, 0.05), (1 + 0.05) / 2.05),  # but no less than the second best
        ((1.5, 1.0, 1.0), 2.5 / 3.5),
    ],
)
def test_nobody_counts_for_more_than_nine_tenths_of_the_others(known, expected):
    drawn, absent = [ring(*LEFT)], []
    skills = {f"v{n}": skill for n, skill in enumerate(known)}
    agreement = cria(by(drawn, absent, drawn), NM, skills, OPTIONS).onto(SHAPE)
    assert agreement[150, 100] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("known", "expected"),
    [({"v1": 0.5}, 1 / 1.5), ({"v0": 0.0, "v1": 1e-3}, 1 / 2), ({"v0": 1e-3, "v1": 0.0}, 1 / 2)],
)
def test_who_is_not_known_counts_for_1_and_nobody_for_nothing(known, expected):
    agreement = cria(by([ring(*LEFT)], []), NM, known, OPTIONS).onto(SHAPE)
    assert agreement[150, 100] == pytest.approx(expected)


@pytest.mark.parametrize(("part", "moves"), [(0.09, False), (0.13, True)])
def test_an_open_line_along_a_tenth_of_the_outline_moves_it(part, moves):
    """Rings of 2.6 um radius and two arcs 100 nm around them."""
    closed, opened = [ring(150, 150, 130)], [ring(150, 150, 135, part=part)]
    alone, seen = (
        cria(by(closed, closed, *more), NM, {}, OPTIONS).onto(SHAPE)
        for more in ([], [opened, opened])
    )
    assert ((alone >= 0.5) != (seen >= 0.5)).any() == moves


def test_of_two_the_better_one_counts_more():
    drawn, absent = [ring(*LEFT)], []
    assert label(by(drawn, absent), {"v0": 1.0, "v1": 0.5}).any()
    assert not label(by(drawn, absent), {"v0": 0.5, "v1": 1.0}).any()


def test_who_outlines_the_whole_cell_does_not_move_the_outline():
    votes = [*crowd(2, count=3, slip=2.0), [ring(150, 150, 110)], [ring(150, 152, 112)]]
    assert dice(label(by(*votes)), disc(*LEFT) | disc(*RIGHT)) > 0.96


def test_graffiti_alone_are_no_object():
    rng = np.random.default_rng(0)
    places = rng.uniform(60, 240, (5, 2))
    votes = by(*([ring(*place, 30)] for place in places))
    assert not label(votes).any()
    assert 0 < cria(votes, NM, {}, OPTIONS).values.max() < 0.5


def test_who_left_a_line_open_neither_sees_nor_denies():
    half = [ring(*LEFT, part=0.5)]
    assert label(by([ring(*LEFT)], [], half)).any()


def test_skills_decide_whom_to_follow():
    near, far = [ring(*LEFT)], [ring(150, 100, 72)]
    votes = by(near, near, far, far, far)
    trusted = dict.fromkeys(["v0", "v1"], 1.0) | dict.fromkeys(["v2", "v3", "v4"], 0.05)
    assert dice(label(votes, trusted), disc(*LEFT)) > 0.98
    assert dice(label(votes), disc(150, 100, 72)) > 0.95


def test_an_object_that_leaves_the_image_is_whole_up_to_its_border():
    """The border itself is no outline, so it is as sure there as inside."""
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 90)
    arc = Stroke(
        (np.array([150, 0]) + 60 * np.stack([np.sin(angle), np.cos(angle)], 1)).astype(np.float32)
    )
    agreement = cria(by([arc], [arc], [arc]), NM, {}, OPTIONS).onto(SHAPE)
    assert dice(agreement >= 0.5, disc(150, 0, 60)) > 0.99
    assert (agreement[120:180, 0] == 1).all()


def test_voxels_may_be_longer_than_wide():
    flat = [
        [Stroke((s.points * np.float32([0.5, 1])).astype(np.float32)) for s in strokes]
        for strokes in crowd(5)
    ]
    votes = SliceVotes(0, (0, 0), (150, 320), tuple(vote(n, *s) for n, s in enumerate(flat)))
    found = cria(votes, (40.0, 20.0), {}, OPTIONS).onto((150, 320)) >= 0.5
    truth = label(by(*crowd(5)))
    assert dice(np.repeat(found, 2, axis=0), truth) > 0.99


@pytest.mark.parametrize("votes", [(), ([],), ([], [])])
def test_nothing_drawn_is_nothing_inside(votes):
    patch = cria(by(*votes), NM, {}, OPTIONS)
    assert patch.values.size == 0
    assert patch.values.dtype == np.float32


def test_a_frozen_crowd_errs_as_far_as_it_did():
    """Nine typical volunteers of `volproc crowd` draw a nucleus with bays on 16 slices.

    MASD in nm. A change of any rule shows here: if it is meant, the number is rewritten.
    """
    shape, people = (560, 560), volunteers("typical", seed=1)
    truths = [bays(shape, z) for z in range(16)]
    drawn = []
    for z, outlines in enumerate(trace(truth, NM) for truth in truths):
        who = panel(people, z, count=9)
        votes = tuple(draw(outlines, one, z=z, shape_yx=shape, nm=NM) for one in who)
        drawn.append(SliceVotes(z, (0, 0), shape, votes))
    known = skills([slice_errors(votes, NM, OPTIONS) for votes in drawn])
    errors = [
        score_slice(truth, cria(votes, NM, known, OPTIONS).onto(shape) >= 0.5, nm=NM).masd_nm
        for truth, votes in zip(truths, drawn)
    ]
    assert np.mean(errors) == pytest.approx(27.0, abs=1)


def test_lines_far_around_a_small_outline_do_not_move_it():
    """Rings of 1.26 um, and open arcs around them, 480 nm away."""
    small, around = [ring(150, 100, 10)], [ring(150, 100, 34, part=0.6)]
    alone, seen = by(small, small, small), by(small, small, small, around, around)
    expected = cria(alone, NM, {}, OPTIONS).onto(SHAPE)
    np.testing.assert_array_equal(cria(seen, NM, {}, OPTIONS).onto(SHAPE), expected)
    assert dice(expected >= 0.5, disc(150, 100, 10)) > 0.95


def test_an_open_line_near_by_moves_the_outline_but_proves_no_point_of_it():
    """Two rings of 1.2 um radius and two open arcs 200 nm outside: the mean lies between."""
    closed, opened = [ring(*LEFT)], [ring(150, 100, 70, part=0.7)]
    moved = label(by(closed, closed, opened, opened))
    assert disc(*LEFT).sum() < moved.sum() < disc(150, 100, 70).sum()
    # open lines alone are not believed
    assert not label(by(opened, opened, opened)).any()


def test_the_share_falls_evenly_over_the_slips_of_the_crowd():
    """Rings 80 nm apart: half at the middle one, from 1 to 0 over 2 sqrt(3) spreads of 75 nm."""
    votes = by(*([ring(150, 100, radius)] for radius in (56, 60, 64)))
    column = cria(votes, NM, {}, OPTIONS).onto(SHAPE)[150:225, 100]
    edge = np.interp(0.5, column[::-1], np.arange(75)[::-1])
    assert edge + 0.5 == pytest.approx(60, abs=0.5)
    # outside, where one of three marked a voxel, it is no less sure than that third
    steps = -np.diff(column[(column > 0.5) & (column < 0.95)])
    assert len(steps) > 3
    assert steps == pytest.approx(20 / (2 * np.sqrt(3) * 75.4), rel=0.01)


def polygon(*corners):
    return Stroke(np.float32(corners), closed=True)


@pytest.mark.parametrize(("rows", "counts"), [(28, False), (29, True)])
def test_a_loop_of_less_than_a_tenth_beside_the_outline_does_not_move_it(rows, counts):
    """A square of 200 x 200; the third drew a bay into it, and a box of 140 voxels in the bay."""
    square = polygon([50, 60], [50, 260], [250, 260], [250, 60])
    bay = [50, 80], [110, 80], [110, 240], [50, 240]
    outline = polygon([50, 60], *bay, [50, 260], [250, 260], [250, 60])
    small = polygon([54, 90], [54, 230], [54 + rows, 230], [54 + rows, 90])
    alone, beside = (
        cria(by([square], [square], own), NM, {}, OPTIONS).onto(SHAPE)
        for own in ([outline], [outline, small])
    )
    assert (alone != beside).any() == counts


@pytest.mark.parametrize(("shift", "moves"), [(18, True), (19, True), (22, False)])
def test_lines_within_a_third_of_a_small_outline_move_it(shift, moves):
    """Squares of 1.28 um around, a third of it 427 nm; two sides, off by some voxels of 20 nm."""
    square = polygon([100, 100], [100, 116], [116, 116], [116, 100])
    sides = Stroke(square.points[:3] + np.float32([0, shift]))
    alone, seen = (
        cria(by([square], [square], *more), NM, {}, OPTIONS).onto(SHAPE)
        for more in ([], [[sides], [sides]])
    )
    assert (alone != seen).any() == moves
