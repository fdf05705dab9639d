"""A page of the system's Chromium, WebGL in software; without Chromium tests skip and say so."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRAWS_IN_SOFTWARE = [
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


@contextmanager
def browser_page(width: int = 1400, height: int = 900, **options: object) -> Iterator[object]:
    """A Playwright page; its `complaints` are errors of its console and requests that failed.

    A request that the page gave up itself is none.

    options go to Playwright's `new_page` (color_scheme="dark", java_script_enabled=False).
    """
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as play:
        args = [*as_root, *DRAWS_IN_SOFTWARE]
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=args)
        page = chromium.new_page(viewport={"width": width, "height": height}, **options)
        page.complaints = []
        page.on(
            "console", lambda said: said.type == "error" and page.complaints.append(in_words(said))
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", lambda one: is_fault(one) and page.complaints.append(one.url))
        yield page
        chromium.close()


def in_words(said: object) -> str:
    """What the console said, and of which address."""
    return f"{said.text} {said.location['url']}"


def is_fault(request: object) -> bool:
    """Whether a request failed, rather than being given up by the page that made it."""
    return request.failure != "net::ERR_ABORTED"
