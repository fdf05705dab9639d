import numpy as np
import pytest

from volproc.volume.transformations import TransformationError, placement

SCALE = {"type": "scale", "scale": [50, 10, 10]}
MOVE = {"type": "translation", "translation": [1, 2, 3]}
AFFINE = np.array([[50, 0, 0, 1], [0, 10, 0, 2], [0, 0, 10, 3.0]])
TURN = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
TURNED = np.hstack([TURN, np.zeros((3, 1))])
NONE = np.eye(3).tolist()

READ = [
    ([SCALE], (50, 10, 10), (0, 0, 0), "OME-Zarr 0.4"),
    ([SCALE, MOVE], (50, 10, 10), (1, 2, 3), "scalableminds/webknossos#6600"),
    ([MOVE, SCALE], (50, 10, 10), (50, 20, 30), "czbiohub-sf/iohub#75: the other order"),
    ([{"type": "affine", "affine": AFFINE.tolist()}], (50, 10, 10), (1, 2, 3), "ome/ngff#28"),
    (
        [{"type": "affine", "affine": AFFINE.ravel().tolist()}],
        (50, 10, 10),
        (1, 2, 3),
        "ome/ngff#138: one list",
    ),
    (
        [{"type": "affine", "affine": [*AFFINE.tolist(), [0, 0, 0, 1]]}],
        (50, 10, 10),
        (1, 2, 3),
        "homogeneous",
    ),
    (
        [{"type": "sequence", "transformations": [SCALE, MOVE]}],
        (50, 10, 10),
        (1, 2, 3),
        "ome/ngff#138",
    ),
    ([{"type": "identity"}, SCALE], (50, 10, 10), (0, 0, 0), "identity first"),
    (
        [{"type": "rotation", "rotation": NONE}, SCALE],
        (50, 10, 10),
        (0, 0, 0),
        "none",
    ),
    ([{"type": "mapAxis", "mapAxis": [0, 1, 2]}, SCALE], (50, 10, 10), (0, 0, 0), "as it is"),
    ([SCALE, {"type": "scale", "scale": [2, 2, 2]}], (100, 20, 20), (0, 0, 0), "ome/ngff#138"),
]


@pytest.mark.parametrize(("steps", "scale", "offset", "report"), READ)
def test_straight_transformations_are_a_scale_and_an_offset(steps, scale, offset, report):
    found = placement(steps, count=3)
    assert (found.scale, found.offset) == (scale, offset), report
    assert found.scaled


REFUSED = [
    ([SCALE, {"type": "rotation", "rotation": TURN}], "rotation that turns"),
    (
        [{"type": "affine", "affine": TURNED.tolist()}],
        "turns or shears",
    ),
    ([{"type": "affine", "affine": (AFFINE + [[0, 1, 0, 0]] * 3).tolist()}], "turns or shears"),
    ([{"type": "affine", "affine": [[1, 0], [0, 1]]}], "affine matrix of"),
    ([{"type": "mapAxis", "mapAxis": [2, 1, 0]}], "mapAxis that turns"),
    ([{"type": "displacements", "path": "field"}], "type displacements"),
    ([{"type": "byDimension", "transformations": []}], "type byDimension"),
    ([{"type": "scale", "path": "sizes"}], "scale without its numbers in sizes"),
    ([{"type": "scale", "scale": [10, 10]}], "2 numbers of scale for 3 axes"),
    ([{"type": "sequence", "transformations": [{"type": "rotation", "rotation": TURN}]}], "turns"),
]


@pytest.mark.parametrize(("steps", "said"), REFUSED)
def test_what_turns_or_bends_is_refused(steps, said):
    with pytest.raises(TransformationError, match=said):
        placement(steps, count=3)


def test_a_translation_alone_states_no_scale():
    assert not placement([MOVE], count=3).scaled
