"""Pages that list a folder of an archive: what they link to, and how large they say it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin

from volproc.stages.ingest.empiar.remote_file import RemoteFile

_ROW = re.compile(
    r"(?:\d{4}-\d\d-\d\d|\d\d-[A-Z][a-z]{2}-\d{4})\s+\d\d:\d\d(?::\d\d)?\s+(\d+(?:\.\d+)?)([KMGTP]?)"
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


def parse_index(page: str, url: str) -> Iterator[tuple[RemoteFile, bool]]:
    """The files and folders that the page of the folder `url` links to; True for a folder.

    Read are the pages of Apache's mod_autoindex (sizes rounded: "67M") and nginx' (exact).
    """
    parser = _IndexParser()
    parser.feed(page)
    parser.close()
    found: dict[str, tuple[RemoteFile, bool]] = {}
    for href, text in parser.links:
        place = urljoin(url, href)
        name = unquote(place.removeprefix(url))
        plain = name.rstrip("/")
        if not place.startswith(url) or not plain or "/" in plain or "?" in place or plain == "..":
            continue  # the folder above, other sortings, other sites
        size = _ROW.search(text)
        number, unit = size.groups() if size else ("", "")
        slack = int(_UNITS[unit] * (0.1 if "." in number else 1)) if unit else 0
        nbytes = int(float(number) * _UNITS[unit]) if size else None
        is_folder = name.endswith("/")
        if plain not in found or nbytes is not None:
            at = url + quote(plain) + "/" * is_folder
            found[plain] = RemoteFile(plain, at, nbytes, slack), is_folder
    yield from found.values()


class _IndexParser(HTMLParser):
    """Every link with the text that follows it, up to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append((href, ""))

    def handle_data(self, data: str) -> None:
        if self.links:
            href, text = self.links[-1]
            self.links[-1] = (href, f"{text} {data}")
