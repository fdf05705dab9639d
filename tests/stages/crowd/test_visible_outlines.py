"""Outlines of labels: one per fragment, where the border of the labels is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.crowd.shapes import disc

from volproc.stages.crowd.visible_outlines import STEP_NM, trace

NM = (10.0, 10.0)


@given(y=st.floats(100, 110), x=st.floats(100, 110), radius=st.floats(40, 80), ny=st.floats(8, 12))
def test_the_outline_of_a_disc_is_its_circle(y, x, radius, ny):
    (outline,) = trace(disc((220, 220), (y, x), radius), (ny, 10.0))
    away = np.hypot(*((outline.points / (ny, 10.0)) - (y, x)).T)
    assert np.abs(away - radius).max() < 1.5
    assert abs(away.mean() - radius) < 0.3
    assert outline.area_nm2 == pytest.approx(np.pi * radius**2 * ny * 10, rel=0.02)
    assert not outline.hidden.any()


def test_points_are_equally_far_apart():
    (outline,) = trace(disc((220, 220), (110, 110), 80), NM)
    steps = np.linalg.norm(np.diff(outline.points, axis=0, append=outline.points[:1]), axis=1)
    assert steps == pytest.approx(np.full(len(steps), STEP_NM), rel=0.1)


def test_every_fragment_has_an_outline_the_largest_first_and_specks_have_none():
    mask = disc((300, 300), (80, 80), 30) | disc((300, 300), (200, 200), 60)
    mask |= disc((300, 300), (40, 250), 5)
    large, small = trace(mask, NM)
    assert large.points.mean(axis=0) == pytest.approx((2000, 2000), abs=20)
    assert small.points.mean(axis=0) == pytest.approx((800, 800), abs=20)


def test_touching_only_at_a_corner_is_one_fragment():
    mask = np.zeros((200, 200), dtype=bool)
    mask[20:80, 20:80] = mask[80:140, 80:140] = True
    assert len(trace(mask, NM)) == 1


def test_holes_have_no_outline():
    mask = disc((200, 200), (100, 100), 80) & ~disc((200, 200), (100, 100), 30)
    (outline,) = trace(mask, NM)
    assert outline.area_nm2 == pytest.approx(np.pi * 800**2, rel=0.02)


def test_nothing_has_no_outline():
    assert trace(np.zeros((50, 60), dtype=bool), NM) == ()


def test_along_the_border_of_the_image_an_outline_is_hidden():
    (outline,) = trace(disc((200, 200), (100, 0), 60), NM)
    at_edge = outline.points[:, 1] < 20
    assert (outline.hidden == at_edge).mean() > 0.97
    # two radii of three and a bit: the chord of the half disc
    assert outline.hidden.mean() == pytest.approx(2 / (2 + np.pi), abs=0.03)
