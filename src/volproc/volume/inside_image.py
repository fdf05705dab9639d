"""The position of labels that state none: that of the image they are in."""

from __future__ import annotations

from dataclasses import replace

from volproc.errors import VolumeError
from volproc.grid.box import each
from volproc.volume.metadata import Level, PositionNm, VolumeInfo
from volproc.volume.metadata_reader import read_info


def placed_by_image(info: VolumeInfo) -> VolumeInfo:
    """`info`; at IMAGE.zarr/labels/NAME, without a translation of its own, with the image's corner.

    Many writers leave the translation out there. Labels of another extent stay at 0: a crop whose
    position is unknown.
    """
    url, _, name = info.url.rstrip("/").rpartition("/labels/")
    if not url or "/" in name or any(info.levels[0].translation_nm):
        return info
    try:
        image = read_info(url)
    except VolumeError:  # a folder that happens to have that name
        return info
    if not any(image.levels[0].translation_nm) or not _have_one_extent(info, image):
        return info
    levels = (_moved(level, image.corner_nm) for level in info.levels)
    return replace(info, levels=tuple(levels))


def _have_one_extent(info: VolumeInfo, image: VolumeInfo) -> bool:
    sizes = zip(info.shape, info.voxel_nm, image.shape, image.voxel_nm, strict=True)
    return all(abs(n * v - m * w) < max(v, w) for n, v, m, w in sizes)


def _moved(level: Level, corner: PositionNm) -> Level:
    return replace(level, translation_nm=each(lambda c, v: c + v / 2, corner, level.voxel_nm))
