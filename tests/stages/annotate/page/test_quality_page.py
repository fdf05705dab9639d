import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from volproc.stages.annotate.export.export_summary import Summary
from volproc.stages.annotate.page.quality_page import Quality, VolunteerSkill, facts, quality_page
from volproc.stages.annotate.page.slice_pictures import (
    MIN_SIDE,
    SIDE,
    DrawnSlice,
    Line,
    colour_ramp,
    level_panel_of,
    level_picture,
    panel_of,
)
from volproc.stages.annotate.quality.level_sets import Level
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.annotate.quality.slice_scores import MethodDistance, MethodScores, SliceScores
from volproc.stages.annotate.quality.volunteers_needed import Subsample

SUMMARY = Summary(
    rows=1234,
    marks={"freehand": 800, "polygon": 90},
    open_lines=500,
    closed_lines=390,
    absent=77,
    rejected={"broken row": 3, "no slice": 2},
    left_out={"another workflow": 11},
    dropped_marks={"too few points": 4},
    dropped_points=6,
    votes=1200,
    slices=40,
    volunteers=55,
)


def circle(radius, centre, count=100):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.float32(np.stack([np.sin(angle), np.cos(angle)], 1) * radius + centre)


def drawn(row, *, side=400):
    rng = np.random.default_rng(row.z)
    lines = [Line(circle(80 + rng.normal(0, 5), (150, 220)), skill=s) for s in (0.9, 0.8, 0.1)]
    image = rng.integers(0, 255, (side, side)).astype(np.uint8)
    return DrawnSlice(row, image, tuple(lines), (circle(80, (150, 220)),), (10.0, 10.0))


@pytest.fixture
def quality():
    rng = np.random.default_rng(2)
    slices = [
        SliceQuality(roi, z, 10, int(z == 6) * 5, float(rng.uniform(0.5, 1)), 3.0, error_nm=40.0)
        for roi in ("ROI_1-2-3", "<script>alert(1)</script>")
        for z in range(20)
    ]
    subsamples = [
        Subsample(one.roi, one.z, n, float(rng.normal(150 / n**0.5, 5)))
        for one in slices
        for n in (3, 5, 8)
    ]
    skills = [VolunteerSkill(float(s), 9) for s in rng.beta(8, 2, 55)]
    return Quality(
        "Nuclei of <b>one</b> cell",
        "cria",
        SUMMARY,
        slices,
        subsamples,
        skills=skills,
        best=[drawn(slices[3])],
        worst=[drawn(slices[9]), drawn(slices[30])],
    )


class Check(HTMLParser):
    """Tags that are opened are closed, in order; nothing is loaded from elsewhere."""

    VOID = frozenset({"meta", "link", "img", "path", "circle", "rect", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.elsewhere = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not value.startswith(("data:", "#")):
                self.elsewhere.append(value)

    def handle_startendtag(self, tag, attributes):
        """Closed at once."""

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes nothing, line {self.getpos()}"


def test_the_page_is_whole_and_escapes_what_others_wrote(quality):
    text = quality_page(quality)
    found = Check(text)
    assert not found.open
    assert not found.elsewhere
    assert "<script>alert" not in text
    assert "<b>one</b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for words in ("broken row", "1,234", "freehand", "another workflow", "too few points"):
        assert words in text
    for part in ("agreement", "volunteers", "skills", "slices", "more", "read"):
        assert f'<section id="{part}">' in text
    assert text.count("undecided whether there is anything") >= 2


def test_what_is_not_known_has_no_part(quality):
    text = quality_page(replace(quality, subsamples=(), skills=(), best=(), worst=()))
    assert not Check(text).open
    for part in ("volunteers", "skills", "slices"):
        assert f'id="{part}"' not in text
        assert f'href="#{part}"' not in text


def test_nobody_looked_is_a_page_too(quality):
    nobody = [SliceQuality("a", 0, 0, 0, None, 0.0)]
    text = quality_page(Quality("t", "cria", SUMMARY, nobody))
    assert not Check(text).open
    assert "too few looked" in text
    assert not Check(quality_page(Quality("t", "cria", SUMMARY, []))).open


def test_facts_count_what_the_tables_hold(quality):
    found = {name: (value, more) for name, value, more in facts(quality, quality.needed)}
    assert found["Slices"] == ("40", "on 38 of them most drew")
    assert found["Rows read"] == ("1,234", "5 could not be used")
    assert found["Volunteers"][0] == "55"
    assert found["Error"][1] == "with 8 volunteers"
    assert found["Need more"][0] == "2 slices"


def test_a_slice_is_shown_where_it_was_drawn_on(quality):
    panel = panel_of(quality.best[0])
    image = Image.open(BytesIO(base64.b64decode(panel.view.uri.partition(",")[2])))
    assert image.size == (panel.view.width, panel.view.height)
    assert max(image.size) <= SIDE
    assert (len(panel.skilled), len(panel.unskilled)) == (2, 1)
    inside = np.array(re.findall(r"([\d.]+) ([\d.]+)", panel.outline), float)
    assert (inside.min(0) > 0).all()
    assert (inside.max(0) < image.size).all()
    # the bar is as long as it says: 10 nm a pixel, shown one to one
    assert panel.view.bar_share * panel.view.width * 0.01 == pytest.approx(panel.view.bar_um)


def test_the_picture_and_the_lines_over_it_lie_on_one_another():
    image = np.zeros((3000, 2000), np.float32)
    image[1000:2000, 600:1400] = 100.0  # a bright rectangle, and a line around it
    edge = np.float32([[1000, 600], [1000, 1400], [2000, 1400], [2000, 600]])
    row = SliceQuality("a", 0, 1, 0, 1.0, 1.0)
    panel = panel_of(DrawnSlice(row, image, (Line(edge),), (edge,), (10.0, 10.0)))
    pixels = np.asarray(
        Image.open(BytesIO(base64.b64decode(panel.view.uri.partition(",")[2]))).convert("L")
    )
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", panel.outline), float).T
    rows, columns = np.nonzero(pixels > 127)
    assert (columns.min(), columns.max() + 1) == pytest.approx((x.min(), x.max()), abs=1)
    assert (rows.min(), rows.max() + 1) == pytest.approx((y.min(), y.max()), abs=1)


def test_graffiti_and_nothing_drawn_are_shown_too(quality):
    first = quality.best[0]
    wild = Line(np.float32([[-500, -500], [9000, 9000]]))
    whole = panel_of(replace(first, lines=(wild,)))
    assert (whole.view.width, whole.view.height) == (400, 400)
    nothing = panel_of(replace(first, lines=(), outline=()))
    assert (nothing.view.width, nothing.view.height) == (400, 400)
    dot = panel_of(replace(first, lines=(Line(np.float32([[399, 0]])),), outline=()))
    assert (dot.view.width, dot.view.height) == (MIN_SIDE, MIN_SIDE)


def test_scores_methods_and_levels_have_their_parts(quality):
    slices = quality.slices[:4]
    scores = SliceScores(False, False, 2, 1, 0, 0.91234, 0.8, 31.0, 0.5, 0.75)
    scored = [MethodScores(one.roi, one.z, m, scores) for one in slices for m in ("cria", "em")]
    apart = [MethodDistance(one.roi, one.z, "cria", "em", 0.95, 12.0) for one in slices]
    ring = Level(1, (circle(80, (150, 220)),)), Level(2, (circle(60, (150, 220)),))
    seen = replace(quality.best[0], lines=(), outline=())
    levels = [(seen, ring), (replace(seen, blank=True), ring), (seen, ())]
    shown = replace(quality, scored=scored, made_by="cria", apart=apart, levels=levels)
    text = quality_page(shown)
    found = Check(text)
    assert not found.open
    assert not found.elsewhere
    for part in ("scores", "methods", "levels"):
        assert f'<section id="{part}">' in text
        assert f'href="#{part}"' in text
        assert f'id="{part}"' not in quality_page(quality)
    assert "0.9123" in text
    assert "surface Dice" in text
    assert "12.0" in text
    assert "nobody drew a closed line" in text
    assert text.count("at least</text>") == 3


def test_the_same_share_of_volunteers_has_the_same_colour(quality):
    ring = circle(80, (150, 220))
    seen = quality.best[0]  # ten looked
    few, many = (
        level_panel_of(seen, [Level(k, (ring,)) for k in range(1, most + 1)]) for most in (5, 10)
    )
    assert few.levels == many.levels[:5]
    assert len({colour for _, colour, _ in many.levels}) == 10
    assert many.levels[-1][1] == colour_ramp([1.0])[0]
    root = ElementTree.fromstring(level_picture(many))
    assert root.find("{*}image").get("href").startswith("data:image/png;base64,")
