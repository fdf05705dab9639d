"""Paths and URLs: the file system behind one, or what is missing to reach it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import fsspec

from volproc.credentials import masked, with_secrets
from volproc.errors import INSTALL, LocationError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""What reads the URLs of a protocol: the extra that brings it."""

BUCKETS = {"s3", "s3a", "gs", "gcs"}
"""Protocols whose URLs begin with the name of a bucket."""
OPTIONS: dict[str, dict[str, Any]] = {name: {"max_concurrency": 1} for name in ("s3", "s3a")}
"""Of s3fs: with more streams than one for an object it asks for the object's size first, with every
read (benchmarks/LOG.md)."""
CHAINS = {"zip", "tar", "libarchive", "simplecache", "filecache", "blockcache", "dir", "reference"}
"""Protocols that take another address after "::"; elsewhere "::" is a part of a name."""


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system of a path or fsspec URL, and the path on it.

    Credentials come from the environment, as the file system's package documents, or from the URL
    as it was given (`credentials.py`). LocationError for an unknown protocol, or one whose package
    is not installed.
    """
    protocol, _, path = masked(url).partition("://") if "://" in url else ("file", "", url)
    if protocol in BUCKETS and "@" in path.partition("/")[0]:
        raise LocationError(
            f"{masked(url)} has a key before its bucket; leave it out, keys come from the "
            "environment: for s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        )
    try:
        filesystem, path = _found(with_secrets(url), protocol)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        way_out = INSTALL.format(extra) if extra else str(error)
        raise LocationError(
            f"{url}: nothing is installed that reads {protocol}:// ({way_out})"
        ) from error
    except ValueError as error:
        raise LocationError(
            f"{url}: {protocol}:// is not known; a path, or s3://, gs://, https:// are read"
        ) from error
    except OSError as error:  # what a chain begins with is opened at once
        raise LocationError(f"cannot reach {url}: {masked(str(error))}") from error
    return filesystem, path


def _found(url: str, protocol: str) -> tuple[Any, str]:
    if "::" in url and "://" in url and url.partition("://")[0].partition("::")[0] in CHAINS:
        filesystem, path = fsspec.core.url_to_fs(url)
        return filesystem, path
    kind = fsspec.get_filesystem_class(protocol)
    options = {**OPTIONS.get(protocol, {}), **kind._get_kwargs_from_urls(url)}
    return fsspec.filesystem(protocol, **options), str(kind._strip_protocol(url))


def path_or_url(place: str) -> Path | str:
    """A path as a Path; a URL as it is, as a Path would drop one of its slashes.

    >>> path_or_url("run/report.html"), path_or_url("s3://bucket/run/report.html")
    (PosixPath('run/report.html'), 's3://bucket/run/report.html')
    """
    return place if "://" in place else Path(place)


def name_of(url: str) -> str:
    """The last part of a path or URL as people read it.

    >>> name_of("https://host/my%20slices/img%201.tif"), name_of("/data/100%20.tif")
    ('img 1.tif', '100%20.tif')
    """
    last = url.rstrip("/").rpartition("/")[2]
    return unquote(last) if _on_the_web(url) else last


def entries(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """URL and facts of each thing in a folder, by name; a link counts as what it leads to.

    `type` is "file", "directory", "other", or "lost" for a link to nothing. One request, and one
    for each link. A web server's page tells of folders by a slash at their end, if at all.
    """
    filesystem, path = filesystem_of(folder)
    web = _on_the_web(folder)
    inside = f"{unquote(path).rstrip('/')}/"
    for info in sorted(filesystem.ls(path, detail=True), key=lambda info: str(info["name"])):
        given = str(info["name"]).rstrip("/")
        name = unquote(given).removeprefix(inside) if web else given.rpartition("/")[2]
        if web and (not name or "/" in name or name.startswith("?")):
            continue  # not of this folder: its parent, or the same page in another order
        if given == path.rstrip("/"):
            continue  # object stores may list a folder in itself
        if info.get("islink"):
            info = _behind(filesystem, info)
        yield f"{folder.rstrip('/')}/{quote(name) if web else name}", info


def _behind(filesystem: Any, link: dict[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = filesystem.info(link["name"])
    except OSError:  # also a link to itself
        return {**link, "type": "lost"}
    return found


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a shell pattern with * ? [ ] means; brackets may be letters of the names.

    LocationError where it means some names with brackets as letters, and others as a choice.

    >>> matching(["roi[1]_0.tif", "roi[2]_0.tif"], "roi[1]_*.tif"), matching(["a1", "a7"], "a[1-3]")
    (['roi[1]_0.tif'], ['a1'])
    """
    names = list(names)
    as_letters = [n for n in names if fnmatchcase(n, pattern.replace("[", "[[]"))]
    as_choice = [n for n in names if fnmatchcase(n, pattern)]
    if as_letters and as_choice and as_letters != as_choice:
        raise LocationError(
            f"{pattern} means {as_letters[0]}, and {as_choice[0]} as well; write [[] for a bracket "
            "that is a part of the names, or ? instead of the brackets"
        )
    return as_letters or as_choice


def _on_the_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))
