"""What the package ome-zarr says of the images that were found, beside our own checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from volproc.stages.check.findings import Finding, error, warning
from volproc.stages.check.level_metadata import FoundImage
from volproc.volume.ome_reader import opinion


def second_opinion(images: Iterable[FoundImage]) -> Iterator[Finding]:
    """A finding for all that ome-zarr cannot read; a warning of volumes that others wrote."""
    for image in images:
        severity = error if image.ours else warning
        yield from (severity(image.url, f"ome-zarr: {said}") for said in opinion(image.url))
