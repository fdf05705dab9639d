"""[doubt]: which objects are to be doubted."""

from __future__ import annotations

from volproc.config.options import FilePath, Fraction, Options


class DoubtOptions(Options):
    """How probable it is that each object is right, without a ground truth."""

    object_class: str = ""
    """Of votes or a prediction of several classes, that whose objects are judged."""
    threshold: Fraction = 0.5
    """Vote from which an axis says yes: that with which the objects were labelled, in a run by
    default that of [label]."""
    doubt_model: FilePath = ""
    """A doubt model (doubt.json); by default that of the model that predicted, else a general
    one."""
