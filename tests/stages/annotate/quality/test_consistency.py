import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import Patch
from volproc.stages.annotate.quality.consistency import (
    HALO,
    Replacement,
    agreed,
    between,
    failures,
    replace_failures,
)

NM = (10.0, 10.0)
SHAPE = (60, 80)


def disc(radius, centre=(30.0, 40.0), agreement=1.0):
    y, x = np.indices(SHAPE) + 0.5
    inside = np.hypot(y - centre[0], x - centre[1]) < radius
    return Patch((0, 0), inside.astype(np.float32) * np.float32(agreement))


KINDS = ("nucleus", "nothing", "cell", "speck", "unknown")
NOTHING = Patch((0, 0), np.zeros((0, 0), dtype=np.float32))


def nucleus(slices=12):
    """A ball cut in slices, drifting a little."""
    middle = (slices - 1) / 2
    return [
        disc(np.sqrt(max(0.0, 24**2 - ((z - middle) * 3.8) ** 2)), (30, 40 + 0.4 * z))
        for z in range(slices)
    ]


def mask(patch):
    return patch.onto(SHAPE) >= 0.5


def iou(a, b):
    return (mask(a) & mask(b)).sum() / (mask(a) | mask(b)).sum()


def test_a_nucleus_that_changes_steadily_is_left_alone():
    assert failures(nucleus()) == []
    stack = nucleus()
    assert replace_failures(stack, nm=NM, shape_yx=SHAPE) == (stack, [])


@pytest.mark.parametrize(
    "failed",
    [NOTHING, disc(38), disc(9), disc(20, (30, 14)), disc(3, (5, 5))],
    ids=["absent", "the cell", "a part", "beside", "a speck"],
)
@pytest.mark.parametrize("k", range(2, 10))
def test_a_slice_unlike_both_neighbours_is_replaced_by_what_lies_between(failed, k):
    truth = nucleus()
    stack = [*truth[:k], failed, *truth[k + 1 :]]
    mended, found = replace_failures(stack, nm=NM, shape_yx=SHAPE)
    assert found == [Replacement(k, k - 1, k + 1, "unlike its neighbours")]
    assert iou(mended[k], truth[k]) > 0.93
    assert [a is b for a, b in zip(mended, stack, strict=True)].count(False) == 1


def test_ties_are_inside_on_the_neighbours_too():
    whole, tied = disc(20), disc(20, agreement=0.5)
    kwargs = {"position": 0.5, "nm": NM, "shape_yx": SHAPE}
    np.testing.assert_array_equal(
        between(tied, tied, **kwargs).values, between(whole, whole, **kwargs).values
    )


def test_two_slices_in_a_row():
    truth = nucleus()
    stack = [*truth[:4], NOTHING, disc(3, (5, 5)), *truth[6:]]
    mended, found = replace_failures(stack, nm=NM, shape_yx=SHAPE)
    assert [(one.index, one.before, one.after) for one in found] == [(4, 3, 6), (5, 3, 6)]
    assert iou(mended[4], truth[4]) > 0.93
    assert iou(mended[5], truth[5]) > 0.93


def test_a_drawing_where_there_is_nothing_around_is_taken_away():
    mended, found = replace_failures(
        [NOTHING, NOTHING, disc(9), NOTHING, NOTHING], nm=NM, shape_yx=SHAPE
    )
    assert [one.index for one in found] == [2]
    assert not mended[2].values.any()


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_slices_nobody_looked_at_stay_unknown(gap):
    """What nobody looked at is no failure of the crowd, and carries no labels."""
    truth = nucleus()
    stack = [None, *truth[1:5], *[None] * gap, *truth[5 + gap : 11], None]
    assert replace_failures(stack, nm=NM, shape_yx=SHAPE) == (stack, [])
    beside = [*truth[:3], NOTHING, None, *truth[5:]]
    assert failures(beside) == []


def test_slices_in_turns_do_not_replace_one_another():
    a, b = disc(20), disc(20, (30, 60))
    assert failures([a, b, a, b, a, b]) in ([], [Replacement(1, 0, 2, "unlike its neighbours")])
    assert failures([a, a, b, a, b, a, a]) != []


def test_low_agreement_leaves_no_margin():
    truth = nucleus()
    unsure = disc(22.5, (30, 40 + 0.4 * 5), agreement=0.55)
    sure = disc(22.5, (30, 40 + 0.4 * 5))
    assert failures([*truth[:5], sure, *truth[6:]]) == []
    found = failures([*truth[:5], unsure, *truth[6:]])
    assert found == [Replacement(5, 4, 6, "low agreement")]


def test_neighbours_in_doubt_replace_nothing():
    truth = nucleus()
    unsure = disc(14, (30, 44), agreement=0.55)
    assert failures([*truth[:4], unsure, *truth[5:]]) != []
    stack = [*truth[:4], unsure, *truth[5:7], unsure, *truth[8:]]
    assert {one.index for one in failures(stack)} == {4, 7}


def test_one_neighbour_in_doubt_is_enough():
    """A slice of which half of the volunteers are sure stands beside one of which fewer are."""
    truth = nucleus()
    odd = disc(14, (30, 44), agreement=0.55)
    assert [one.index for one in failures([*truth[:4], odd, *truth[5:]])] == [4]
    shaky = Patch(truth[3].origin_yx, truth[3].values * np.float32(0.5))
    for stack in ([*truth[:3], shaky, odd, *truth[5:]], [*truth[:2], odd, shaky, *truth[4:]]):
        assert not {3, 4} & {one.index for one in failures(stack) if stack[one.index] is odd}


@pytest.mark.parametrize("position", [0.25, 0.5, 0.75])
def test_towards_nothing_an_object_loses_its_depth_evenly(position):
    before = between(disc(20), NOTHING, position=position, nm=NM, shape_yx=SHAPE)
    after = between(NOTHING, disc(20), position=1 - position, nm=NM, shape_yx=SHAPE)
    np.testing.assert_array_equal(before.onto(SHAPE), after.onto(SHAPE))
    radius = np.sqrt(mask(before).sum() / np.pi)
    assert radius == pytest.approx(20 * (1 - position), abs=0.7)


@given(kinds=st.lists(st.sampled_from(KINDS), max_size=14), cut=st.integers(0, 14))
def test_blocks_with_a_halo_say_the_same_as_the_whole(kinds, cut):
    made = nucleus(14)
    others = {"nothing": NOTHING, "cell": disc(38), "speck": disc(3, (5, 5)), "unknown": None}
    stack = [made[z] if kind == "nucleus" else others[kind] for z, kind in enumerate(kinds)]
    mended, found = replace_failures(stack, nm=NM, shape_yx=SHAPE)
    cut = min(cut, len(stack))
    for first, stop in ((0, cut), (cut, len(stack))):
        low, high = max(0, first - HALO), min(len(stack), stop + HALO)
        part, said = replace_failures(stack[low:high], nm=NM, shape_yx=SHAPE)
        here = [
            Replacement(o.index + low, o.before + low, o.after + low, o.why)
            for o in said
            if first <= o.index + low < stop
        ]
        assert here == [one for one in found if first <= one.index < stop]
        for z in range(first, stop):
            if mended[z] is None:
                assert part[z - low] is None
            else:
                np.testing.assert_array_equal(part[z - low].onto(SHAPE), mended[z].onto(SHAPE))


discs = st.builds(
    disc, st.floats(4, 25), st.tuples(st.floats(20, 40), st.floats(25, 55)), st.just(0.8)
)


@given(a=discs, b=discs, position=st.sampled_from([1e-9, 1 / 3, 0.5]))
def test_between_is_between(a, b, position):
    found = between(a, b, position=position, nm=NM, shape_yx=SHAPE)
    assert found.values.dtype == np.float32
    assert 0 <= found.values.min() <= found.values.max() <= 1
    assert not (mask(found) & ~mask(a) & ~mask(b)).any()
    assert mask(found)[mask(a) & mask(b)].all()
    back = between(b, a, position=1 - position, nm=NM, shape_yx=SHAPE)
    np.testing.assert_allclose(back.onto(SHAPE), found.onto(SHAPE), atol=1e-6)


@given(a=discs, b=discs)
def test_between_commutes_with_flips(a, b):
    def flipped(patch):
        return Patch((0, 0), patch.onto(SHAPE)[::-1, ::-1])

    there = between(a, b, position=0.5, nm=NM, shape_yx=SHAPE).onto(SHAPE)
    back = flipped(between(flipped(a), flipped(b), position=0.5, nm=NM, shape_yx=SHAPE))
    np.testing.assert_allclose(back.values, there, atol=1e-6)


def test_half_way_between_two_radii_is_their_mean_in_nm():
    found = mask(between(disc(10), disc(20), position=0.5, nm=NM, shape_yx=SHAPE))
    assert np.sqrt(found.sum() / np.pi) == pytest.approx(15, abs=0.3)


def test_half_way_to_nothing_half_the_depth_is_left():
    found = mask(between(disc(20), NOTHING, position=0.5, nm=NM, shape_yx=SHAPE))
    assert np.sqrt(found.sum() / np.pi) == pytest.approx(10, abs=0.6)


@pytest.mark.parametrize("first", [0, 11])
def test_a_patch_says_the_same_as_the_whole_region(first):
    a, b = disc(12, (30 - first, 40)), disc(18, (26 - first, 40))
    tight = [
        Patch((y, 20), patch.values[y : 60 - 2 * first, 20:60])
        for y, patch in ((max(0, 18 - first), a), (max(0, 8 - first), b))
    ]
    there = between(*tight, position=0.5, nm=NM, shape_yx=SHAPE).onto(SHAPE)
    np.testing.assert_array_equal(
        there, between(a, b, position=0.5, nm=NM, shape_yx=SHAPE).onto(SHAPE)
    )


def test_an_object_that_leaves_the_image_goes_on_beyond():
    """Half-way between bands of 10 and 20 rows at the border is one of 15, not a thinner one."""
    bands = [np.zeros(SHAPE, dtype=np.float32) for _ in "ab"]
    bands[0][:10] = 1
    bands[1][:20] = 1
    found = between(*(Patch((0, 0), one) for one in bands), position=0.5, nm=NM, shape_yx=SHAPE)
    assert (mask(found).sum(axis=0) == 15).all()


def test_nothing_and_everything():
    nothing = between(NOTHING, NOTHING, position=0.5, nm=NM, shape_yx=SHAPE)
    assert (nothing.origin_yx, nothing.values.shape) == ((0, 0), (0, 0))
    full = Patch((0, 0), np.ones(SHAPE, dtype=np.float32))
    assert mask(between(full, full, position=0.5, nm=NM, shape_yx=SHAPE)).all()
    assert mask(between(full, NOTHING, position=0.4, nm=NM, shape_yx=SHAPE)).any()


def test_agreed_is_the_share_of_what_was_marked():
    assert agreed(disc(10)) == 1
    assert agreed(NOTHING) == 1
    assert agreed(disc(10, agreement=0.75)) == pytest.approx(0.75)
    half = Patch((0, 0), np.array([[1, 1, 0.4, 0.4]], dtype=np.float32))
    assert agreed(half) == pytest.approx(2 / 2.8)
    tied = Patch((0, 0), np.array([[1, 0.5, 0.4]], dtype=np.float32))
    assert agreed(tied) == pytest.approx(1.5 / 2.4)  # a tie is inside
