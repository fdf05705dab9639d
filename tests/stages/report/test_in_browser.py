"""The page as people see it: in Chromium, wide and narrow, light and dark, also without script."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from tests.browser import browser_page
from tests.stages.report.test_stage import doubting, made_run, report

from volproc.stages.report.run_state import FileLink
from volproc.stages.report.runs_page import write_runs

WIDTHS = (1400, 400)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page that has everything."""
    folder = tmp_path_factory.mktemp("run")
    run = made_run(folder)
    doubting(run.table)
    links = (FileLink("objects.csv", "objects.csv", "all"),)
    report(
        replace(run, view="volproc view run", links=links), folder, in_space=True, title="W" * 200
    )
    return folder / "report.html"


@pytest.fixture
def opened(page_file):
    """opened(width, ...): the page in Chromium, which must not ask for anything else."""

    @contextmanager
    def look(width=1400, *, file=page_file, **options):
        with browser_page(width, 900, **options) as page:
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"file://{file}")
            yield page
            assert page.complaints == []
            # the page itself; what is inside it is no request that leaves it
            outside = [url for url in asked if not url.startswith("data:")]
            assert outside == [f"file://{file}"]

    return look


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened, width, scheme):
    with opened(width, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = np.mean([int(n) for n in ground[4:-1].split(",")]) > 128
        assert light == (scheme == "light")


def test_columns_sort_both_ways(opened):
    with opened() as page:
        ids = "[...document.querySelectorAll('#objects tbody tr')].map(row => row.id.slice(7))"
        assert page.evaluate(ids) == ["2", "3", "1"]  # the most doubtful first
        volume = page.locator("#objects th button", has_text="volume")
        volume.click()
        largest_first = page.evaluate(ids)
        volume.click()
        assert page.evaluate(ids) == largest_first[::-1]
        assert largest_first[0] == "3"
        assert page.locator("#objects th[aria-sort]").count() == 1


def test_the_slider_turns_the_objects(opened):
    with opened() as page:
        seen = "[...document.querySelectorAll('.turn img')].findIndex(one => !one.hidden)"
        assert page.evaluate(seen) == 0
        page.locator(".turn input").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(seen) == 2
        assert page.evaluate(f"document.querySelectorAll('.turn img')[{2}].naturalWidth") == 720


def test_links_lead_to_what_they_name(opened):
    with opened() as page:
        page.locator("#doubt article a").first.click()
        assert page.url.endswith("#object-2")
        page.wait_for_function(  # scrolling there takes a moment
            "(top => -1 <= top && top < 900)"
            "(document.querySelector('#object-2').getBoundingClientRect().top)"
        )
        for link in page.locator("nav a").all():
            assert page.locator(link.get_attribute("href")).count() == 1
        files = [one.get_attribute("href") for one in page.locator("#files a").all()]
        assert files == ["objects.csv"]


def test_the_switch_gives_the_votes_other_colours(opened):
    with opened() as page:
        shown = (
            "[...document.querySelectorAll('.layer')].filter("
            "one => getComputedStyle(one).visibility === 'visible').map(one => one.className)"
        )
        swatch = "getComputedStyle(document.querySelector('.stack span')).backgroundColor"
        other = (
            "[...document.querySelectorAll('.stack span')].map("
            "one => getComputedStyle(one).backgroundColor)"
        )
        before = page.evaluate(other)
        assert set(page.evaluate(shown)) == {"layer usual"}
        page.check("#safe")
        assert set(page.evaluate(shown)) == {"layer safe"}
        assert page.evaluate(other) != before
        assert page.evaluate(swatch) == "rgb(255, 255, 255)"  # all axes are white in both


def test_a_picture_is_enlarged(opened):
    with opened() as page:
        shot = page.locator(".shot").first
        before = shot.bounding_box()["width"]
        shot.click()
        assert shot.bounding_box()["width"] > 1.5 * before


def test_without_script_all_is_there_and_nothing_does_nothing(opened):
    with opened(400, java_script_enabled=False) as page:
        assert page.locator("#objects tbody tr").count() == 3
        assert page.locator(".turn img").first.is_visible()
        assert not page.locator(".turn input").is_visible()
        page.check("#safe")
        assert page.locator(".layer.safe").first.is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_histogram_and_tables_are_readable(opened, width):
    """Their words have the size of words, and a table's first column stays in sight."""
    with opened(width) as page:
        for words in page.locator(".ticks span, .hist figcaption, #objects td").all():
            size = words.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
            assert size >= 12
        box = page.locator(".hist svg").first.bounding_box()
        assert box["width"] <= width
        assert box["height"] >= 120
        table = page.locator("#objects .scroll")
        table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
        first = page.locator("#objects tbody td").first.bounding_box()
        assert abs(first["x"] - table.bounding_box()["x"]) < 3


@pytest.mark.parametrize("width", WIDTHS)
def test_several_runs_on_one_page(opened, page_file, tmp_path, width):
    told = json.loads(page_file.with_suffix(".json").read_text())
    pages = []
    for name in ("one", "another with a name that is longer than most names of runs are", "<b>"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps({**told, "title": name}))
        pages.append(str(tmp_path / name / "report.html"))
    write_runs(pages, out=str(tmp_path / "runs.html"))
    with opened(width, file=tmp_path / "runs.html") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#runs tbody tr").count() == 3
        page.locator("#runs th button", has_text="objects").click()
        assert page.locator("#runs th[aria-sort=descending]").count() == 1
