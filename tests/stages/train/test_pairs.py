"""Pairs: what people's agreement and their absence make of labels."""

from __future__ import annotations

import numpy as np

from volproc.model.normalisation import Normalisation
from volproc.stages.train.pairs import Pair, pair_of

IMAGE = np.zeros((4, 6, 8), np.uint8)
LABELS = np.zeros((4, 6, 8), np.uint16)
LABELS[:, :, :4] = 3
IGNORED = np.zeros((4, 6, 8), dtype=np.bool_)
IGNORED[:, :3, :] = True
AGREEMENT = np.broadcast_to(np.array([255, 230, 153, 128, 127, 102, 25, 0], np.uint8), IMAGE.shape)


def pair(**more: object) -> Pair:
    return pair_of(IMAGE, LABELS, normalisation=Normalisation(0, 1), **more)  # type: ignore[arg-type]


def test_labels_alone_all_count() -> None:
    plain = pair()
    assert plain.soft is None
    assert plain.weight is None
    assert not len(plain.counted)
    assert plain.ground_truth.sum() == 4 * 6 * 4


def test_where_people_tie_agreement_weighs_nothing() -> None:
    weight = pair(agreement=AGREEMENT, agreement_as="weights").weight
    assert weight is not None
    assert weight[0, 0].tolist() == [255, 205, 51, 1, 1, 51, 205, 255]


def test_agreement_as_labels_is_kept_as_it_is() -> None:
    soft = pair(agreement=AGREEMENT, agreement_as="labels")
    assert soft.soft is not None
    assert (soft.soft == AGREEMENT).all()
    assert soft.weight is None
    assert (soft.ground_truth == (LABELS > 0)).all()


def test_no_surface_is_seen_where_nobody_looked() -> None:
    found = pair(ignored=IGNORED)
    assert {tuple(voxel) for voxel in found.borders.tolist()} == {
        (z, y, 3) for z in range(4) for y in range(3, 6)
    }
    assert {tuple(voxel) for voxel in found.counted.tolist()} == {
        tuple(voxel) for voxel in np.argwhere(~IGNORED).tolist()
    }


def test_ignoring_nothing_is_not_ignoring() -> None:
    found = pair(ignored=np.zeros_like(IGNORED))
    assert found.weight is None
    assert not len(found.counted)
