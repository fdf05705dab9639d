"""The levels of one image as its metadata tells them, against one another and their arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, isclose
from typing import Any

from volproc.errors import VolprocError
from volproc.grid.box import each
from volproc.grid.scale import VoxelNm
from volproc.stages.check.findings import Finding, error, warning
from volproc.volume.metadata import Kind
from volproc.volume.ome import Triple, scale_and_translation, spatial_axes
from volproc.volume.stored_arrays import StoredArray, array_at

ROUNDING = 1e-9
"""Relative: what volproc writes is exact but for the last bits of a double."""
OTHERS_ROUNDING = 1e-3
"""In voxels of a level: others round their numbers for people."""


@dataclass(frozen=True)
class FoundLevel:
    """A level whose array can be opened and whose voxel size is understood."""

    array: StoredArray
    voxel_nm: VoxelNm
    translation_nm: tuple[float, float, float]


@dataclass(frozen=True)
class FoundImage:
    """A multiscale image or its labels; `levels` are the readable ones. `ours`: by volproc.

    `complete`: every chunk was written to a file, background too.
    """

    url: str
    kind: Kind
    ours: bool
    finished: bool
    levels: tuple[FoundLevel, ...]
    complete: bool = False


def levels_of(multiscale: dict[str, Any], url: str) -> tuple[list[Finding], list[FoundLevel]]:
    """The levels that can be read, and what is wrong with their axes, arrays or voxel sizes."""
    found, leading, nm = _axes(multiscale, url)
    levels: list[FoundLevel] = []
    if leading < 0:  # not even z, y, x: there are no voxels of a volume to look at
        return found, levels
    paths = [str(dataset["path"]) for dataset in multiscale["datasets"]]
    for dataset, path in zip(multiscale["datasets"], paths, strict=True):
        try:
            array = array_at(f"{url}/{path}")
            if len(array.shape) != leading + 3:
                axes = [axis["name"] for axis in multiscale["axes"]]
                found.append(error(array.url, f"has {len(array.shape)} axes; expected {axes}"))
                continue
            voxel, offset = scale_and_translation(
                dataset, multiscale, space=range(leading, leading + 3), nm=nm, url=url
            )
        except VolprocError as problem:
            found.append(error(f"{url}/{path}", str(problem)))
        else:
            levels.append(FoundLevel(array, voxel, offset))
    if not paths:
        found.append(error(url, "lists no levels; expected at least one dataset"))
    elif all(path.isdigit() for path in paths) and int(paths[0]) > 0:
        gone = ", ".join(map(str, range(int(paths[0]))))
        found.append(warning(url, f"its finest level is called {paths[0]}: {gone} missing?"))
    return found, levels


def _axes(multiscale: dict[str, Any], url: str) -> tuple[list[Finding], int, Triple]:
    """Findings, how many axes are before z, y, x, and the nm in their units: 1 if unknown."""
    try:
        leading, nm = spatial_axes(multiscale, url=url)
    except VolprocError as problem:
        axes = multiscale["axes"]
        unstated = [a["name"] for a in axes][-3:] == ["z", "y", "x"] and not any(
            "unit" in axis for axis in axes[-3:]
        )
        severity = warning if unstated else error
        return [severity(url, str(problem))], len(axes) - 3, (1.0, 1.0, 1.0)
    return [], leading, nm


def compared(image: FoundImage) -> Iterator[Finding]:
    """What does not fit between the first level and each other one."""
    for finer, level in zip(image.levels, image.levels[1:], strict=False):
        first = image.levels[0]
        for name, here, there in (
            ("voxels of", first.array.dtype, level.array.dtype),
            ("axes before z, y, x of", first.array.shape[:-3], level.array.shape[:-3]),
        ):
            if here != there:
                yield error(level.array.url, f"has {name} {there}, the first level has {here}")
        if any(c < f * (1 - ROUNDING) for c, f in zip(level.voxel_nm, finer.voxel_nm, strict=True)):
            yield error(
                level.array.url,
                f"has voxels of {_nm(level.voxel_nm)} nm, finer than the level before it "
                f"({_nm(finer.voxel_nm)} nm); levels go from fine to coarse",
            )
        yield from _scale_and_shape(first, level, ours=image.ours)
        yield from _placed(first, level, ours=image.ours)


def _scale_and_shape(first: FoundLevel, level: FoundLevel, *, ours: bool) -> Iterator[Finding]:
    factor = each(lambda a, b: b / a, first.voxel_nm, level.voxel_nm)
    whole = all(isclose(f, round(f), rel_tol=ROUNDING) and round(f) for f in factor)
    if ours and not whole:
        yield error(
            level.array.url,
            f"has voxels of {_nm(level.voxel_nm)} nm, {_nm(factor)} times those of the first "
            "level; expected whole numbers",
        )
        return
    most = each(lambda n, f: max(1, ceil(n / f - ROUNDING * n)), first.array.space, factor)
    least = each(lambda n, f: max(1, floor(n / f + ROUNDING * n)), first.array.space, factor)
    sizes = zip(least, level.array.space, most, strict=True)
    if (level.array.space != most) if ours else any(not a <= n <= b for a, n, b in sizes):
        either = f"{least} to {most}" if least != most and not ours else f"{most}"
        yield error(
            level.array.url,
            f"has {level.array.space} voxels of {_nm(level.voxel_nm)} nm; expected {either} "
            f"from the first level ({first.array.space} of {_nm(first.voxel_nm)} nm)",
        )


def _placed(first: FoundLevel, level: FoundLevel, *, ours: bool) -> Iterator[Finding]:
    centred = each(
        lambda t, a, b: t + (b - a) / 2, first.translation_nm, first.voxel_nm, level.voxel_nm
    )
    slack = ROUNDING if ours else OTHERS_ROUNDING

    def at(expected: tuple[float, float, float]) -> bool:
        values = zip(level.translation_nm, expected, level.voxel_nm, strict=True)
        return all(abs(t - e) <= slack * max(v, abs(e)) for t, e, v in values)

    if not at(centred) and (ours or not at(first.translation_nm)):
        yield (error if ours else warning)(
            level.array.url,
            f"is placed at {_nm(level.translation_nm)} nm; expected {_nm(centred)}, "
            "where its voxels' corners meet those of the first level",
        )


def _nm(values: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in values) + ")"
