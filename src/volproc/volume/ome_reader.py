"""What the package ome-zarr makes of our volumes: its own object, and its opinion of them."""

from __future__ import annotations

import warnings
from typing import Any

import zarr

from volproc.errors import INSTALL, ConfigError
from volproc.volume.access import first_line, reading
from volproc.volume.metadata import VolumeInfo
from volproc.volume.metadata_reader import attributes_of
from volproc.volume.retrying_store import for_zarr


def multiscale_object(info: VolumeInfo) -> Any:
    """OMEZarrMultiscale of an image, OMEZarrLabels of labels, its levels as lazy dask arrays."""
    multiscale = _classes().OMEZarrMultiscale
    with reading(f"{info.url} with ome-zarr"):
        return multiscale.from_ome_zarr(zarr.open_group(for_zarr(info.url), mode="r"))


def opinion(url: str) -> tuple[str, ...]:
    """What ome-zarr finds wrong with the image or labels at `url`, a line each; () if nothing.

    It opens the multiscale with its own classes, and one corner voxel of each level.
    """
    multiscale = _classes().OMEZarrMultiscale
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            group = zarr.open_group(for_zarr(url), mode="r")
            found = multiscale.from_ome_zarr(group)
            for image in found.images:
                image.data[(slice(0, 1),) * image.data.ndim].compute(scheduler="synchronous")
        except Exception as error:  # whatever it stumbles over is its opinion
            return (f"{type(error).__name__}: {first_line(error)}",)
    own = (one for one in said if "ome_zarr" in str(one.filename) + str(one.category.__module__))
    return (
        *(str(one.message).splitlines()[0] for one in own),
        *_missing(found, attributes_of(group)),
    )


def _missing(found: Any, attributes: dict[str, Any]) -> tuple[str, ...]:
    """Whether it sees labels where the metadata say that labels are there."""
    labels = "image-label" in attributes.get("ome", attributes)
    seen = getattr(found, "image_label", None) is not None
    return ("does not take it for labels",) if labels and not seen else ()


def _classes() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own imports' are not ours to fix
            from ome_zarr import classes  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(f"this needs ome-zarr 0.18 or newer: {INSTALL.format('ome')}") from error
    return classes
