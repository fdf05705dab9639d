"""Sections: slices of a patch viewed along z, rows of one viewed along another axis."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from volproc.model.normalisation import CLIP

VIEWS = pytest.mark.parametrize(("axis", "dim"), [(0, 0), (1, 1), (2, 1)])


def by_section(planes, dim):
    """Each section as a row of numbers."""
    return planes.movedim(dim, 0).flatten(1)


@VIEWS
def test_a_missing_section_is_blank_and_the_others_are_as_they_were(
    raw_patches, augment, axis, dim
):
    raw, values = raw_patches([axis] * 8), set()
    plain, lost = augment(raw).planes, augment(raw, missing=1).planes
    for before, after in zip(plain, lost, strict=True):
        before, after = by_section(before, dim), by_section(after, dim)
        blank = after.amin(1) == after.amax(1)
        assert blank.sum() == 1
        assert torch.equal(before[~blank], after[~blank])
        values.add(after[blank].unique().item())
    assert values == {-CLIP, 0.0, CLIP}


@VIEWS
def test_a_repeated_section_is_the_one_before_it(raw_patches, augment, axis, dim):
    raw = raw_patches([axis] * 4)
    plain, again = augment(raw).planes, augment(raw, repeated=1).planes
    for before, after in zip(plain, again, strict=True):
        before, after = by_section(before, dim), by_section(after, dim)
        (section,) = (before != after).any(1).nonzero()[:, 0].tolist()
        assert torch.equal(after[section], before[section - 1])


@VIEWS
def test_shifted_sections_hold_what_was_beside(raw_patches, augment, axis, dim):
    raw = raw_patches([axis] * 12)
    plain, batch = augment(raw), augment(raw, shifted=1, shift_voxels=2)
    alone = 0
    for before, after in zip(plain.planes, batch.planes, strict=True):
        before, after = before.movedim(dim, 0), after.movedim(dim, 0)
        differ = (before != after).flatten(1).any(1).nonzero()[:, 0].tolist()
        if not differ:
            continue  # shifted by 0 voxels
        alone += len(differ) == 1
        assert len(differ) == 1 or differ == list(range(differ[0], len(before)))
        moves = [_shift(before[n], after[n], rows=axis == 0) for n in differ]
        assert set(moves) == {moves[0]}
    assert 0 < alone < 12


def _shift(before, after, *, rows):
    """The whole numbers of voxels by which a section moved."""
    inner = slice(8, -8)
    for down in range(-8, 9) if rows else [0]:
        for across in range(-8, 9):
            moved = before.roll((down, across), (-2, -1))
            if torch.equal(
                moved[..., inner, inner] if rows else moved[..., inner],
                after[..., inner, inner] if rows else after[..., inner],
            ):
                return down, across
    raise AssertionError("not a shift")


@VIEWS
def test_sections_are_shaded_as_wholes(raw_patches, augment, axis, dim):
    raw = raw_patches([axis] * 3)
    raw = replace(raw, planes=torch.full_like(raw.planes, 140))
    for shaded in augment(raw, section_brightness=0.2).planes:
        shaded = by_section(shaded, dim)
        assert torch.equal(shaded.amin(1), shaded.amax(1))
        assert shaded[:, 0].unique().numel() == len(shaded)


@pytest.mark.parametrize(("axis", "section", "x"), [(0, 0, 2), (1, 1, 2), (2, 1, 0)])
def test_charging_is_the_same_all_along_x(raw_patches, augment, axis, section, x):
    raw = raw_patches([axis] * 4)
    raw = replace(raw, planes=torch.full_like(raw.planes, 140))
    stripes = augment(raw, charging=1).planes - augment(raw).planes
    for stripe in stripes:
        assert torch.equal(stripe.amin(x), stripe.amax(x))
        charged = by_section(stripe, section)
        assert 0 < (charged != 0).any(1).float().mean() < 0.9  # in some sections only
    assert stripes.max() > -stripes.min() > 0  # bright, with a dark edge
