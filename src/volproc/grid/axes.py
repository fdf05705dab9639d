"""Axes, by whatever words a file has for them: where z, y, x, channels and times are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WORDS = {
    "z": ("depth", "plane", "planes", "section", "sections", "slice", "slices"),
    "y": ("row", "rows", "height"),
    "x": ("col", "cols", "column", "columns", "width"),
    "c": ("s", "ch", "channel", "channels", "color", "colour", "band", "bands", "sample", "rgb"),
    "t": ("time", "times", "timepoint", "timepoints", "frame", "frames"),
}
_AXIS_OF = {word: axis for axis, words in _WORDS.items() for word in (axis, *words)}


@dataclass(frozen=True)
class Places:
    """Which stored axis is z (None in two dimensions), y and x, and which holds channels.

    `fixed` is the index along every other axis: 0, and the channel that was chosen.
    """

    space: tuple[int | None, int, int]
    fixed: tuple[int, ...]

    @property
    def stored(self) -> tuple[int, ...]:
        """The spatial axes in the order z, y, x, without z if there is none."""
        return tuple(axis for axis in self.space if axis is not None)

    def of_space(self, values: Sequence[int]) -> tuple[int, int, int]:
        """`values` along z, y and x of one per stored axis; 1 where there is no z."""
        z, y, x = (1 if axis is None else int(values[axis]) for axis in self.space)
        return z, y, x


class AxesError(ValueError):
    """Axes that are ambiguous, or more than a volume has; its text continues "URL has "."""


def axis_of(word: object) -> str:
    """z, y, x, c or t for a file's word; "" for an unknown one.

    >>> axis_of("X"), axis_of("channel"), axis_of("space-z"), axis_of("dim_0")
    ('x', 'c', 'z', '')
    """
    name = str(word or "").strip().lower()
    for mark in ("space-", "space_", "axis-", "axis_", "dim-", "dim_"):
        name = name.removeprefix(mark)
    return _AXIS_OF.get(name, "")


def places_of(
    shape: Sequence[int], words: Sequence[object] | None, *, channel: int | None = None
) -> Places:
    """Where z, y and x are in an array of this shape, by the file's `words` for its axes.

    Without words, or with unknown ones only ("dim_0"), z, y, x are the last three of the axes
    longer than 1, or of all if those are fewer. AxesError, with the way out, for words that name
    two axes alike or leave y or x out, for times, and for channels unless one is chosen.
    """
    names = [axis_of(word) for word in words or ()]
    if any(names) and len(names) != len(shape):
        raise AxesError(
            f"{len(shape)} axes {tuple(shape)}, and names for {len(names)}: {_listed(words)}; say "
            "which they are with --axes, such as --axes zyx"
        )
    return _unnamed(shape) if not any(names) else _named(tuple(shape), names, words, channel)


def _unnamed(shape: Sequence[int]) -> Places:
    axes = list(range(len(shape)))
    for axis in (len(shape) - 1, *range(len(shape) - 1)):
        if len(axes) > 3 and shape[axis] == 1:
            axes.remove(axis)
    if not 2 <= len(axes) <= 3:
        raise AxesError(
            f"shape {tuple(shape)}; expected z, y, x, or y, x, and all other axes of length 1, or "
            "names for them: say which they are with --axes, such as --axes czyx"
        )
    z, y, x = axes if len(axes) == 3 else (None, *axes)
    assert y is not None
    assert x is not None
    return Places((z, y, x), (0,) * len(shape))


def _named(
    shape: tuple[int, ...],
    names: list[str],
    words: Sequence[object] | None,
    channel: int | None,
) -> Places:
    given = f"shape {shape} of axes {_listed(words)}"
    twice = any(names.count(axis) > 1 for axis in "zyxct")
    if twice or not {"y", "x"} <= set(names):
        raise AxesError(
            f"{given}; expected z, y and x, or y and x, each once: say which they are with --axes, "
            "such as --axes zyx"
        )
    fixed = [0] * len(shape)
    for axis, (name, length) in enumerate(zip(names, shape, strict=True)):
        if length == 1 or name in ("z", "y", "x"):
            continue
        if name != "c":
            what = f"{length} times" if name == "t" else f"an axis {words and words[axis]!r}"
            raise AxesError(
                f"{given}: {what}; a volume has z, y, x: save one as an array of its own, or say "
                "what the axes are with --axes, such as --axes zyx"
            )
        if channel is None or channel >= length:
            raise AxesError(
                f"{given}: {length} channels; choose one with --channel, counted from 0, or say "
                "what the axes are with --axes, such as --axes zyx"
            )
        fixed[axis] = channel
    z = names.index("z") if "z" in names else None
    return Places((z, names.index("y"), names.index("x")), tuple(fixed))


def _listed(words: Sequence[object] | None) -> str:
    return ", ".join(map(str, words or ()))
