"""Paths and URLs: the file system behind one, or what is missing to reach it."""

from __future__ import annotations

from typing import Any

import fsspec

from volproc.errors import LocationError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""What reads the URLs of a protocol: pip install 'volproc[EXTRA]'."""


def located(url: str) -> tuple[Any, str]:
    """The file system of a path or fsspec URL, and the path on it.

    Credentials come from the environment, as the file system's package documents. LocationError
    for an unknown protocol, or one whose package is not installed.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        way_out = f"pip install 'volproc[{extra}]'" if extra else str(error)
        raise LocationError(
            f"{url}: nothing is installed that reads {protocol}:// ({way_out})"
        ) from error
    except ValueError as error:
        raise LocationError(
            f"{url}: {protocol}:// is not known; a path, or s3://, gs://, https:// are read"
        ) from error
    return filesystem, path
