"""A split and a merge done in the viewer with mouse and keyboard, and found in the volume."""

import io
import time

import numpy as np
import pytest
from PIL import Image
from tests.browser import browser_page
from tests.stages.fix.conftest import VOXEL_NM, save_labels
from tests.viewing.test_mending import BLOCKS, Editor, nm

from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

pytest.importorskip("neuroglancer", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
server = pytest.importorskip("volproc.viewing.server")
from volproc.viewing.scene import scene_of  # noqa: E402

SCALE = 0.1
"""Voxels of 20 nm in a pixel of the screen: ten pixels a voxel."""
PATIENCE_S = 240


@pytest.fixture
def view(tmp_path):
    """A viewer of one slice of three blocks, in front of an image."""
    (tmp_path / "workflow.json").write_text("{}")
    save_labels(tmp_path, BLOCKS)
    info = new_volume(
        str(tmp_path / "image.zarr"),
        shape=BLOCKS.shape,
        voxel_nm=VOXEL_NM,
        dtype="uint8",
        max_levels=1,
    )
    image = create_volume(info, step="test", digest="test", version="0")
    image.write(info.box, (BLOCKS * 60 + 20).astype(np.uint8))
    image.finish()
    opened = server.View(scene_of([str(tmp_path)]), editor=Editor(tmp_path))
    with opened.viewer.txn() as state:
        state.layout = "xy"
        state.cross_section_scale = SCALE
        state.position = opened.position(nm(opened, 8, 16, 32))
    yield opened
    opened.close()


def screen(page, z, y, x):
    """Where a voxel of the middle slice is on the page: the view has (16, 32) in the middle."""
    box = page.locator("iframe").bounding_box()
    panel = page.frame_locator("iframe").locator(".neuroglancer-rendered-data-panel").bounding_box()
    middle = panel["x"] + panel["width"] / 2, panel["y"] + panel["height"] / 2
    assert box["width"] > 500
    return middle[0] + (x - 32) / SCALE, middle[1] + (y - 16) / SCALE


def pick(page, view, count, *voxel):
    """Point at a voxel and press p, until it is picked."""
    end = time.monotonic() + PATIENCE_S
    while len(view.mending.picks) < count:
        assert time.monotonic() < end, view.mending.said
        across, down = screen(page, *voxel)
        page.mouse.move(across - 3, down)
        page.mouse.move(across, down)
        page.wait_for_timeout(300)
        page.keyboard.press("p")
        page.wait_for_timeout(700)
    page.get_by_text(f"object {view.mending.picks[-1].id} ", exact=False).last.wait_for()


def colour(page, *voxel):
    """Of the screen at a voxel."""
    seen = Image.open(io.BytesIO(page.screenshot()))
    return seen.getpixel([*map(int, screen(page, *voxel))])


def until(page, found):
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end
        page.wait_for_timeout(200)


def test_a_split_and_a_merge_by_mouse_and_keyboard(view, tmp_path):
    with browser_page() as page:
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(view.address)
        panel = page.frame_locator("iframe").locator(".neuroglancer-rendered-data-panel")
        panel.wait_for()
        page.mouse.click(*screen(page, 8, 2, 42))  # keys go to the viewer
        pick(page, view, 1, 8, 16, 10)
        pick(page, view, 2, 8, 16, 52)
        assert [one.id for one in view.mending.picks] == [1, 3]
        page.get_by_label("why").fill("one nucleus")
        page.screenshot(path=tmp_path / "picked.png")
        assert colour(page, 8, 10, 24) == colour(page, 8, 10, 36)
        page.get_by_role("button", name="merge").click()
        page.get_by_role("status").get_by_text("merge 1, 3").wait_for()
        until(page, lambda: not view.mending.waiting)
        assert (view.mending.editor.values() == np.where(BLOCKS == 3, 1, BLOCKS)).all()

        page.mouse.click(*screen(page, 8, 2, 42))
        pick(page, view, 1, 8, 16, 22)
        pick(page, view, 2, 8, 16, 38)
        page.get_by_role("button", name="split").click()
        page.get_by_role("status").get_by_text("split 2").wait_for()
        until(page, lambda: not view.mending.waiting)
        until(page, lambda: colour(page, 8, 10, 24) != colour(page, 8, 10, 36))  # nobody reloads
        found = view.mending.editor.values()
        assert (found[8, 16, [22, 38]] == [2, 4]).all()
        assert (np.isin(found, [2, 4]) == (BLOCKS == 2)).all()
        (merge, split) = view.mending.editor.session.log.active
        assert (merge.asked.why, split.new_ids) == ("one nucleus", (4,))
        assert colour(page, 8, 10, 10) == colour(page, 8, 10, 12)
        page.get_by_role("button", name="undo").click()
        until(page, lambda: colour(page, 8, 10, 24) == colour(page, 8, 10, 36))
        page.screenshot(path=tmp_path / "mended.png")
