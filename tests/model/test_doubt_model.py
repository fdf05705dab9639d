import json

import numpy as np
import pytest
from pydantic import ValidationError

from volproc.errors import ModelError
from volproc.model.doubt_model import (
    GENERAL,
    Hinges,
    Judge,
    Recall,
    doubt_file_of,
    judged,
    load_doubt_model,
)

RECALL = Recall(missed=0, lumps=0, base=0, spread=0)
NECK = Hinges(name="neck", middle=0.1, spread=0.1, knots=(0.1, 0.5), weights=(2.0, 10.0))
JUDGE = Judge(bias=2, hinges=(NECK,), calibration=((-4, 0.1), (2, 0.9)), spread=0.01, recall=RECALL)


def probabilities(values):
    return judged(JUDGE, ("neck",), np.array(values, float)[:, None]).probability


def test_badness_adds_up_over_knots_and_the_curve_is_clipped():
    found = judged(JUDGE, ("neck",), np.array([[0.0], [0.3], [0.7], [9.0]]))
    np.testing.assert_allclose(found.badness[:, 0], [0, 0.4, 3.2, 102.8])
    np.testing.assert_allclose(
        found.probability, [0.9, 0.9 - 0.8 * 0.4 / 6, 0.9 - 0.8 * 3.2 / 6, 0.1]
    )


@pytest.mark.parametrize("url", [GENERAL, doubt_file_of("nuclei-50nm")])
@pytest.mark.parametrize("axes", [0, 1, 3])
def test_more_of_a_feature_is_never_more_probable(url, axes):
    judge = load_doubt_model(url).judge(axes)
    names = tuple(one.name for one in judge.hinges if one.name != "unfamiliar")
    usual = np.array([one.middle for one in judge.hinges if one.name != "unfamiliar"])
    for n in range(len(names)):
        values = np.repeat(usual[None], 50, axis=0)
        values[:, n] = np.linspace(0, 3, 50)
        found = judged(judge, names, values).probability
        assert (np.diff(found) <= 1e-12).all(), names[n]
    assert judged(judge, names, usual[None]).probability[0] > 0.7


def test_an_unknown_number_is_no_reason_for_doubt():
    assert probabilities([np.nan])[0] == probabilities([0])[0]


def test_a_feature_that_is_not_measured_is_named():
    with pytest.raises(ModelError, match="needs the feature 'neck', which is not measured"):
        judged(JUDGE, ("small",), np.zeros((1, 1)))


@pytest.mark.parametrize("change", [{"bias": "nan"}, {"calibration": [[0, 0.5], [1, 0.4]]}])
def test_numbers_that_are_none_and_curves_that_fall_are_refused(change):
    with pytest.raises(ValidationError):
        Judge.model_validate(json.loads(JUDGE.model_dump_json()) | change)


def test_weights_below_zero_are_refused():
    with pytest.raises(ValidationError):
        Hinges(name="neck", middle=0, spread=1, knots=(1,), weights=(-1,))


def test_a_file_that_is_no_doubt_model_is_named(tmp_path):
    (tmp_path / "doubt.json").write_text('{"format": "volproc-doubt-1"}')
    with pytest.raises(ModelError, match="is no doubt model of this version: name"):
        load_doubt_model(doubt_file_of(str(tmp_path)))
    with pytest.raises(ModelError, match="does not exist"):
        load_doubt_model(str(tmp_path / "none.json"))
    assert doubt_file_of("") == doubt_file_of("no-such-model") == ""
