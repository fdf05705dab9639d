"""`volproc view` as people see it: its pages in Chromium, compared with the arrays they show.

One browser and one run for all tests. Objects get flat colours, so every pixel has a right answer.
"""

import io
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from PIL import Image
from tests.browser import browser_page

from volproc import ClusterOptions, measure
from volproc.grid.scale import parse_voxel_nm
from volproc.viewing.outlines import outlines
from volproc.viewing.scene import scene_of
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

pytest.importorskip("neuroglancer", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
server_module = pytest.importorskip("volproc.viewing.server")

VOXEL_NM = (50.0, 20.0, 20.0)
CORNER_NM = (1000.0, -300.0, 40.0)
"""Of a volume cut out of another: nothing lies where its index would put it."""
SHAPE = (24, 90, 120)
BALL, BRICK = 7, 300
RED, GREEN, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)
YELLOW = (255, 209, 51)
PIXELS = 4
"""Of the screen, along a voxel of 20 nm."""
SLICE = 11
PATIENCE_S = 240
FRAME = (slice(9, -9), slice(9, -9))
"""Within that which shows where the focus is."""


def objects():
    """A ball, and a brick with a notch; no turn or mirror image of the volume equals it."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    labels = np.zeros(SHAPE, np.uint16)
    labels[((z - 11) * 50) ** 2 + ((y - 30) * 20) ** 2 + ((x - 30) * 20) ** 2 < 420**2] = BALL
    labels[6:15, 50:80, 62:112] = BRICK
    labels[6:15, 50:62, 62:85] = 0
    return labels


def save(url, values, *, kind, version="0.5", corner_nm=CORNER_NM):
    info = new_volume(
        str(url),
        shape=values.shape,
        voxel_nm=parse_voxel_nm(VOXEL_NM),
        corner_nm=corner_nm,
        dtype=str(values.dtype),
        kind=kind,
        version=version,
        chunks=(16, 32, 32),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="test", version="0")
    volume.write(info.box, values)
    volume.finish()
    return url


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder: image, labels, and the table and meshes that `measure` makes of them."""
    run = tmp_path_factory.mktemp("seen") / "run"
    run.mkdir()
    grey = np.random.default_rng(0).integers(90, 160, SHAPE, np.uint8)
    save(run / "image.zarr", grey, kind="image")
    labels = save(run / "objects.zarr", objects(), kind="labels")
    serial = ClusterOptions(kind="serial")
    measure(str(labels), out=f"{run}/measure", meshes="precomputed", cluster=serial)
    (run / "workflow.json").write_text("{}")
    return run


@pytest.fixture(scope="module")
def page():
    with browser_page(1200, 800) as page:
        yield page


@pytest.fixture
def look(page):
    """look("run", ...): the view once the page shows all of it. Nothing may be complained of."""
    with ExitStack() as opened:

        def at(*places, change=None):
            view = server_module.View(scene_of([*map(str, places)]))
            opened.callback(view.close)
            if change:
                with view.viewer.txn() as state:
                    change(state)
            page.goto(view.address)
            settle(page, view)
            return view

        yield at
        # neuroglancer asks a group of Zarr 2 whether it is an array
        complaints = [one for one in page.complaints if not one.endswith("/.zarray")]
        page.goto("about:blank")
        page.complaints.clear()
        assert complaints == []


def settle(page, view):
    """Wait until all that is visible was fetched and drawn."""
    drawn = []
    view.viewer.async_screenshot(drawn.append)
    until(page, lambda: drawn)


def until(page, happened):
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, "nothing happens"
        page.wait_for_timeout(30)


def picture(page, number=0):
    """The pixels of one of neuroglancer's panels, shape (y, x, 3)."""
    panel = page.frame_locator("iframe").locator(".neuroglancer-rendered-data-panel").nth(number)
    with Image.open(io.BytesIO(panel.screenshot())) as shot:
        return np.asarray(shot.convert("RGB")).astype(int)


def is_colour(pixels, colour, tolerance=40):
    return (abs(pixels - colour) <= tolerance).all(axis=-1)


def coloured(state):
    """Objects in colours that are known, without what neuroglancer draws around them."""
    state.show_axis_lines = state.show_scale_bar = state.show_default_annotations = False
    for layer in state.layers:
        if layer.layer.type == "segmentation":
            layer.layer.selected_alpha = layer.layer.not_selected_alpha = 1
            layer.layer.segment_colors = {BALL: "#ff0000", BRICK: "#00ff00"}


def flat(shown):
    """One layer alone, the middle of SLICE in the middle of one panel."""

    def change(state):
        coloured(state)
        state.layout = "xy"
        state.cross_section_scale = 1 / PIXELS
        middle = np.array((SLICE + 0.5, SHAPE[1] / 2, SHAPE[2] / 2))
        state.position = (np.divide(CORNER_NM, VOXEL_NM) + middle)[::-1]
        state.cross_section_background_color = "#000000"
        for layer in state.layers:
            layer.visible = layer.name == shown

    return change


def on_screen(values, shape):
    """What pixels of a panel have to show of a slice whose middle is theirs; 0 beyond it."""
    places = [
        np.floor((np.arange(n) + 0.5 - n / 2) / PIXELS + size / 2).astype(int)
        for n, size in zip(shape, values.shape, strict=True)
    ]
    rows, columns = (
        np.clip(i + 1, 0, size + 1) for i, size in zip(places, values.shape, strict=True)
    )
    return np.pad(values.astype(int), 1)[np.ix_(rows, columns)]


def assert_shows(page, values, colours):
    """Every pixel of the panel has the colour of its voxel, and what is 0 is black."""
    pixels = picture(page)
    expected = on_screen(values, pixels.shape[:2])
    assert {*np.unique(expected)} == {0, *colours}
    right = np.zeros(expected.shape, bool)
    for value, colour in {0: BLACK, **colours}.items():
        right |= (expected == value) & is_colour(pixels, colour)
    right[:70] |= expected[:70] == 0  # neuroglancer's buttons and axes lie there
    assert right.all(), np.argwhere(~right)


def press(page, key):
    """A key while neuroglancer has the focus."""
    page.frame_locator("iframe").locator(".neuroglancer-rendered-data-panel").nth(0).hover()
    page.frame_locator("iframe").locator("body").press(key)


def test_image_outlines_and_meshes_are_seen_first(look, page, run):
    look(run, change=coloured)
    page.screenshot(path=run.parent / "run.png")
    xy, space = picture(page), picture(page, 2)
    grey = np.ptp(xy, axis=-1) < 8
    assert np.ptp(xy[grey][:, 0]) > 200  # from black to white
    for colour in (RED, GREEN):
        assert is_colour(xy, colour).sum() > 1000
        assert is_colour(space, colour, tolerance=130).sum() > 1000


def test_meshes_are_where_their_objects_are(look, page, run):
    def change(state):
        coloured(state)
        state.layout = "3d"
        state.show_slices = False
        state.projection_orientation = [0, 0, 0, 1]  # along z

    look(run, change=change)
    pixels = picture(page)
    per_voxel = pixels.shape[0] / (2.5 * max(SHAPE))
    for (y, x), colour in (((30, 30), RED), ((70, 90), GREEN)):
        row = pixels.shape[0] / 2 + (y - SHAPE[1] / 2) * per_voxel
        column = pixels.shape[1] / 2 + (x - SHAPE[2] / 2) * per_voxel
        assert is_colour(pixels[round(row), round(column)], colour, tolerance=130)
    row = pixels.shape[0] / 2 + (55 - SHAPE[1] / 2) * per_voxel
    column = pixels.shape[1] / 2 + (72 - SHAPE[2] / 2) * per_voxel
    assert is_colour(pixels[round(row), round(column)], BLACK)  # in the brick's notch


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_each_voxel_of_the_labels_is_where_the_truth_says(look, page, tmp_path, version):
    """Also beside an image of another place."""
    elsewhere = np.zeros((8, 8, 8), np.uint8)
    image = save(tmp_path / "image.zarr", elsewhere, kind="image", corner_nm=(0, 0, 0))
    labels = save(tmp_path / "truth.zarr", objects(), kind="labels", version=version)
    look(image, labels, change=flat("truth"))
    assert_shows(page, objects()[SLICE], {BALL: RED, BRICK: GREEN})


def test_outlines_are_around_the_labels(look, page, run):
    look(run, change=flat("objects outlines"))
    assert_shows(page, outlines(objects())[SLICE], {255: YELLOW})


def test_volumes_in_a_bucket(look, page, s3):
    """Read by this process, with keys that no page gets to see."""
    image = save(f"{s3}/image.zarr", np.zeros(SHAPE, np.uint8), kind="image")
    labels = save(f"{s3}/objects.zarr", objects(), kind="labels")
    view = look(image, labels, change=flat("objects"))
    assert_shows(page, objects()[SLICE], {BALL: RED, BRICK: GREEN})
    assert "s3://" not in page.content() + str(view.viewer.state.to_json())


def test_the_list_leads_to_an_object(look, page, run):
    view = look(run, change=flat("objects"))
    button = page.locator("button", has_text=str(BRICK))
    button.click()
    page.wait_for_selector("button[aria-current]")
    settle(page, view)
    pixels = picture(page)
    here = [n // 2 for n in pixels.shape[:2]]
    assert is_colour(pixels[*here], GREEN)
    voxel = np.array(view.viewer.state.position)[::-1] - np.divide(CORNER_NM, VOXEL_NM)
    middle = np.argwhere(objects() == BRICK).mean(axis=0) + 0.5
    np.testing.assert_allclose(voxel, middle, atol=0.01)


def test_keys_hide_layers_and_show_them(look, page, run):
    view = look(run, change=coloured)

    def white():
        return is_colour(picture(page)[FRAME], WHITE).sum()

    assert white() > 1000
    for visible in (False, True):
        press(page, "1")
        until(page, lambda wanted=visible: view.viewer.state.layers["image"].visible == wanted)
        settle(page, view)
        assert (white() > 1000) == visible
    assert view.viewer.state.layers["objects"].visible


def test_the_view_of_the_last_time_comes_again(look, page, run):
    first = look(run, change=flat("objects"))
    page.locator("button", has_text=str(BRICK)).click()
    page.wait_for_selector("button[aria-current]")
    press(page, "Shift+ArrowLeft")  # turns the plane
    page.mouse.move(5, 5)  # what is under the mouse shines
    until(page, lambda: first.viewer.state.cross_section_orientation is not None)
    settle(page, first)
    before, position = picture(page), [*first.viewer.state.position]
    first.keep()
    page.goto("about:blank")
    first.close()
    try:
        again = look(run)
        assert [*again.viewer.state.position] == position
        assert np.array_equal(picture(page)[FRAME], before[FRAME])
    finally:
        (run / "view.json").unlink()


def doubt_everything(table, *, reason):
    """Add the columns by which the list is sorted to a table of objects."""
    header, *rows = table.read_text().splitlines()
    lines = [f"{header},probability_right,reason", *(f"{row},0.5,{reason}" for row in rows)]
    table.write_text("\n".join(lines))


def test_names_are_text_and_nothing_else(look, page, tmp_path, run):
    """A run that somebody sent may call its volumes and objects what it likes."""
    bad = "<img src=x onerror='window.top.hit=1'>"
    sent = tmp_path / bad
    shutil.copytree(run, sent)
    doubt_everything(sent / "measure" / "objects.csv", reason=f"{bad}<script>hit=1</script>")
    truth = save(tmp_path / f"{bad}.zarr", objects(), kind="labels")
    look(sent, truth)
    assert bad in page.inner_text("nav")
    assert page.frame_locator("iframe").get_by_text(bad).count()
    assert page.evaluate("window.hit") is None


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_command_without_a_keyboard(run):
    """Started by another program, at a port of its choice, until it is told to end."""
    port = free_port()
    command = [sys.executable, "-m", "volproc", "view", str(run), "--port", str(port)]
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # tests that run in the background of a shell would hand on that Ctrl-C is ignored
    said["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    with subprocess.Popen(closed, **said) as process:
        address = process.stdout.readline().strip()
        assert address.startswith(f"http://127.0.0.1:{port}/")
        with urllib.request.urlopen(address) as answer:
            assert f'data-id="{BRICK}"'.encode() in answer.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert errors == ""
    (run / "view.json").unlink()


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (("nothing.zarr does not exist",), ["nothing.zarr"]),
        (("is not an OME-Zarr volume", "volproc ingest"), ["."]),
        (("has no finished volume", "volproc status"), ["begun"]),
        (("floats.zarr", "float32", "whole numbers"), ["floats.zarr"]),
        (("double.zarr", "float64", "float32"), ["double.zarr"]),
    ],
)
def test_wrong_places_are_one_line(refused, tmp_path, monkeypatch, words, places):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "floats.zarr", np.zeros((8, 8, 8), np.float32), kind="labels")
    save(tmp_path / "double.zarr", np.zeros((8, 8, 8), np.float64), kind="image")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "workflow.json").write_text("{}")
    refused(*words, by=("view", *places))


def test_a_port_that_is_taken_is_one_line(refused, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(f"port {port}", "--port", by=("view", run, "--port", port))


def test_without_neuroglancer_the_line_says_how_to_get_it(refused, run, monkeypatch):
    monkeypatch.delitem(sys.modules, "volproc.viewing.server", raising=False)
    monkeypatch.setitem(sys.modules, "neuroglancer", None)
    refused("the extra view (pip install", "neuroglancer is missing", by=("view", run))
