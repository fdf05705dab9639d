"""Which files an entry has: folders walked, patterns matched, sizes and checksums found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.entry import entry_number, unknown_entry
from volproc.stages.ingest.empiar.remote_file import RemoteFile
from volproc.stages.ingest.empiar.retries import NotFound
from volproc.stages.ingest.empiar.servers import Servers
from volproc.stages.ingest.options import FetchOptions

_CHECKSUMS = re.compile(r"(?i)md5|md5sums?(\.txt)?|checksums?\.txt|.*\.md5")
_CHECKSUM = re.compile(r"(?i)([0-9a-f]{32})(?:\s[ *]?(.+))?")


def listing(entry: str, options: FetchOptions, *, exact: bool = True) -> tuple[RemoteFile, ...]:
    """The entry's files that match `options.pattern`, by path; with md5 where the entry has it.

    Folders without a possible match are not listed. Over https, exact sizes and dates take a
    request per file; not `exact` saves them: sizes are then those of the pages, rounded.
    IngestError, one line, if the entry is not there or nothing matches.
    """
    number = entry_number(entry)
    root = f"{options.archive.rstrip('/')}/{number}/"
    with Servers(options) as servers:
        try:
            found = sorted(_walk(root, options.pattern, servers), key=lambda file: file.path)
        except NotFound as error:
            raise unknown_entry(number, root) from error
        matching = [file for file in found if matches(file.path, options.pattern)]
        if not matching:
            raise IngestError(_nothing(entry, options.pattern, found))
        if exact:
            matching = _looked_at(matching, servers, options.connections)
        known = _checksums(found, servers)
    return tuple(replace(file, md5=known.get(file.path, file.md5)) for file in matching)


def matches(path: str, pattern: Sequence[str]) -> bool:
    """Whether a path matches one of the shell patterns; any does if there are none.

    Brackets may be letters of the path.

    >>> matches("data/ROI_01/a.dm4", ["data/ROI_01/*.dm4"]), matches("data/b.xml", ["*.dm4"])
    (True, False)
    >>> matches("data/ROI[1]/a.dm4", ["data/ROI[1]/*"])
    True
    """
    as_letters = [one.replace("[", "[[]") for one in pattern]
    return not pattern or any(fnmatchcase(path, one) for one in (*pattern, *as_letters))


def _nothing(entry: str, pattern: Sequence[str], found: Sequence[RemoteFile]) -> str:
    if not pattern:
        return f"{entry} has no files; look it up on https://www.ebi.ac.uk/empiar/"
    seen = f"; it has {found[0].path}, and more" if found else ""
    return f"{entry} has no file like {' or '.join(pattern)}{seen}; change [fetch] pattern"


def _walk(root: str, pattern: Sequence[str], servers: Servers) -> Iterator[RemoteFile]:
    left = [("", root)]
    while left:
        above, url = left.pop()
        for file, is_folder in servers.of(url).folder(url):
            path = above + file.path
            if not is_folder:
                yield replace(file, path=path)
            elif _may_hold(f"{path}/", pattern):
                left.append((f"{path}/", file.url))


def _may_hold(folder: str, pattern: Sequence[str]) -> bool:
    """Whether a path below `folder` can match: as far as the patterns have no wildcard."""
    fixed = [re.split(r"[*?\[]", one)[0] for one in pattern]
    return not pattern or any(one.startswith(folder) or folder.startswith(one) for one in fixed)


def _looked_at(files: Sequence[RemoteFile], servers: Servers, connections: int) -> list[RemoteFile]:
    with ThreadPoolExecutor(connections) as pool:
        try:
            return list(pool.map(lambda file: servers.of(file.url).look(file), files))
        except BaseException:  # also Ctrl-C: the others need not go on
            pool.shutdown(wait=False, cancel_futures=True)
            servers.retries.stop()
            raise


def _checksums(files: Sequence[RemoteFile], servers: Servers) -> dict[str, str]:
    """md5 by path, from files that are lists of them as md5sum writes them."""
    paths = {file.path for file in files}
    known: dict[str, str] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if not _CHECKSUMS.fullmatch(name):
            continue
        for line in servers.of(file.url).page(file.url).decode(errors="replace").splitlines():
            row = _CHECKSUM.fullmatch(line.strip())
            if not row:
                continue
            name_there = (row[2] or name.removesuffix(".md5")).strip().removeprefix("./")
            for path in (
                f"{folder}/{name_there}".lstrip("/"),
                name_there,
            ):  # seen from the list, or the root
                if path in paths:
                    known[path] = row[1].lower()
                    break
    return known
