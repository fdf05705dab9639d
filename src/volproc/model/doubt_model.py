"""A doubt model: from an object's features the probability that it is right, and why not.

    badness of a feature    sum over its knots of weight x max(0, value - knot), weights >= 0
    score                   bias - the badness of all features
    probability             a rising curve through `calibration` (isotonic regression)

It is a logistic regression on hinges, so all of it can be read, and more of a feature is never more
probable to be right. It is fitted by benchmarks/doubt_fit.py and kept as doubt.json beside a card.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from volproc.errors import ModelError
from volproc.location import filesystem_of
from volproc.retry import patient

Floats = npt.NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

UNFAMILIAR = "unfamiliar"
FARTHEST = 10.0
"""Spreads at which a feature is as far as can be."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Hinges(_Frozen):
    """What a feature takes from the score."""

    name: str
    middle: Number
    """Median of the right objects that the model was fitted on."""
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Their spread: 1.4826 MAD, or a tenth of the range of all where that is 0."""
    knots: tuple[Number, ...]
    weights: tuple[Weight, ...]

    @model_validator(mode="after")
    def _weight_for_each_knot(self) -> Self:
        if len(self.knots) != len(self.weights):
            raise ValueError(
                f"{self.name} has {len(self.knots)} knots and {len(self.weights)} weights"
            )
        return self

    def badness(self, values: Floats) -> Floats:
        """What each value takes from the score; nothing where it is unknown (NaN)."""
        known = np.nan_to_num(values, nan=-np.inf)
        parts = (
            w * np.maximum(0, known - k) for k, w in zip(self.knots, self.weights, strict=True)
        )
        return np.asarray(sum(parts, start=np.zeros(len(values))))


class Recall(_Frozen):
    """How the share of objects that were found follows from the axes' votes and weak lumps."""

    missed: Weight
    """Factor on what capture and recapture expect, as the axes do not err independently."""
    lumps: Weight
    """Share of the lumps that are missed objects."""
    base: Weight
    """Missed for each object that is right, whatever the votes say."""
    spread: Weight
    """Standard deviation of what is left, over runs."""


class Judge(_Frozen):
    """A model for one set of features."""

    bias: Number
    hinges: tuple[Hinges, ...]
    calibration: tuple[tuple[Number, Share], ...]
    """Scores, ascending, and the share of objects that are right there."""
    spread: Weight
    """Standard deviation of true less expected precision over runs, beyond that of chance."""
    recall: Recall

    @model_validator(mode="after")
    def _curve_rises(self) -> Self:
        curve = np.array(self.calibration)
        if not len(curve) or (np.diff(curve, axis=0) < 0).any():
            raise ValueError("calibration needs scores and shares that do not fall")
        return self


class Verdict(NamedTuple):
    """Of n objects: probabilities, shape (n,), and what each feature takes, (n, features)."""

    names: tuple[str, ...]
    probability: Floats
    badness: Floats


class DoubtModel(_Frozen):
    """Judges by what is known of objects: several axes' votes, one probability, labels alone."""

    format: Literal["volproc-doubt-1"] = "volproc-doubt-1"
    name: str
    right: str
    """What "right" means."""
    fitted_on: str
    votes: Judge
    probability: Judge
    labels: Judge

    def judge(self, axes: int) -> Judge:
        """That for so many axes; 0 for labels alone."""
        return self.votes if axes > 1 else self.probability if axes else self.labels


def judged(judge: Judge, names: tuple[str, ...], values: Floats) -> Verdict:
    """What a judge says of objects whose features `names` have `values` of shape (n, features)."""
    known = {name: values[:, n] for n, name in enumerate(names)}
    missing = [one.name for one in judge.hinges if one.name not in {*known, UNFAMILIAR}]
    if missing:
        raise ModelError(f"the doubt model needs the feature {missing[0]!r}, which is not measured")
    known[UNFAMILIAR] = unfamiliarity(judge.hinges, known, len(values))
    columns = [one.badness(known[one.name]) for one in judge.hinges]
    badness = np.stack(columns, axis=1)
    scores, shares = np.array(judge.calibration).T
    probability = np.interp(judge.bias - badness.sum(axis=1), scores, shares)
    return Verdict(tuple(one.name for one in judge.hinges), probability, badness)


def unfamiliarity(hinges: tuple[Hinges, ...], known: dict[str, Floats], count: int) -> Floats:
    """How far objects are from the right ones of the fit: root mean square over features, in
    spreads, of what is above the median."""
    own = [one for one in hinges if one.name != UNFAMILIAR]
    if not own:
        return np.zeros(count)
    far = [(np.nan_to_num(known[one.name]) - one.middle) / one.spread for one in own]
    return np.asarray(np.sqrt(np.mean(np.clip(far, 0, FARTHEST) ** 2, axis=0)))


FILE = "doubt.json"
_SHIPPED = Path(__file__).parent / "shipped"
GENERAL = str(_SHIPPED / FILE)
"""For models that have none of their own."""


@patient
def doubt_file_of(model: str) -> str:
    """The doubt model beside the card of `model` (a shipped name, a folder or URL); "" if none."""
    shipped = (_SHIPPED / model / FILE) if model and "/" not in model else None
    if shipped and shipped.is_file():
        return str(shipped)
    place = f"{model.rstrip('/')}/{FILE}"
    filesystem, path = filesystem_of(place)
    return place if model and filesystem.exists(path) else ""


@patient
def load_doubt_model(url: str) -> DoubtModel:
    """The doubt model at `url`; ModelError where it is none."""
    filesystem, path = filesystem_of(url)
    try:
        return DoubtModel.model_validate_json(filesystem.cat_file(path))
    except FileNotFoundError as error:
        raise ModelError(
            f"{url} does not exist; name a doubt model, or none to take the model's"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"{url} is no doubt model of this version: {place}: "
            f"{first['msg'].removeprefix('Value error, ')}; fit one by benchmarks/doubt_fit.py"
        ) from error
