"""Is a network what it says? Its test tensors come out, its answers are probabilities."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.errors import ModelError
from volproc.model.foreign.description import Description
from volproc.model.foreign.forward import LETTERS
from volproc.model.foreign.network import ForeignPredictor
from volproc.model.foreign.processing import prepared


@torch.inference_mode()
def difference_from_test(answering: ForeignPredictor, given: bytes, requested: bytes) -> float:
    """Greatest difference between the answer to the test input and the test output, both .npy.

    Every sample counts as a volume of its own. ModelError where the shapes do not fit.
    """
    description = answering.forward.description
    planes = _array(given, description.axes, description)[:, 0]
    expected = _array(requested, description.output_axes or description.axes, description)
    worst = 0.0
    for sample, answer in zip(planes, expected, strict=True):
        constants = prepared(description.preprocessing, sample)
        ready = constants.apply(torch.from_numpy(sample.astype(np.float32))).unsqueeze(0)
        found = answering.probability(answering.forward.plain(ready))[0].numpy()
        if found.shape != answer.shape[1:]:
            raise ModelError(
                f"{description.name} answers {found.shape} (z, y, x) to its test input, its test "
                f"output has {answer.shape[1:]}"
            )
        difference = np.abs(found - answer[description.channel_of(len(answer))].astype(np.float64))
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    return worst


def _array(data: bytes, axes: str, description: Description) -> npt.NDArray[Any]:
    """A test tensor as (N, C, D, H, W)."""
    try:
        values: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(
            f"{description.name}: a test tensor is not a readable .npy file: {error}"
        ) from error
    if values.ndim != len(axes):
        raise ModelError(
            f"{description.name}: a test tensor has {values.ndim} axes, its description {axes!r}"
        )
    kept = [letter for letter in LETTERS if letter in axes]
    values = values.transpose([axes.index(letter) for letter in kept])
    return values.reshape([values.shape[kept.index(a)] if a in kept else 1 for a in LETTERS])
