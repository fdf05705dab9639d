"""Who may edit through the viewer, and what buttons do."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from tests.stages.fix.conftest import VOXEL_NM, EditedRun, save_labels

from volproc.errors import ConfigError
from volproc.stages.edits.history import touched_by
from volproc.stages.edits.requests import EditRequest
from volproc.viewing.scene import scene_of
from volproc.volume.store import open_volume

pytest.importorskip("neuroglancer", reason="the extra view is not installed")
server = pytest.importorskip("volproc.viewing.server")

BLOCKS = np.zeros((16, 32, 64), np.uint32)
BLOCKS[2:14, 4:28, 2:20] = 1
BLOCKS[2:14, 4:28, 20:40] = 2
BLOCKS[2:14, 4:28, 44:60] = 3


class Editor(EditedRun):
    """Edits of a folder with labels, without the rest of a run."""

    def label_at(self, point):
        return self.session.label_at(point)

    def edit(self, stated):
        (edit,) = self.session.append([EditRequest(**stated)])
        return f"edit {edit.number}: {edit}"

    def undo_last(self):
        self.session.undo()
        return "undone"

    def touched(self):
        return touched_by(self.session.log.edits.values())

    def apply(self):
        self.fix()
        return open_volume(self.folder / "edited.zarr").info


@pytest.fixture
def view(tmp_path):
    """A viewer of three blocks of objects that may be mended."""
    (tmp_path / "workflow.json").write_text("{}")
    save_labels(tmp_path, BLOCKS)
    opened = server.View(scene_of([str(tmp_path)]), editor=Editor(tmp_path))
    yield opened
    opened.close()


def nm(view, z, y, x):
    """A voxel's middle, where the viewer has it."""
    info = view.scene.measured
    at = zip((z, y, x), VOXEL_NM, info.corner_nm, strict=True)
    return tuple((n + 0.5) * v + c for n, v, c in at)


def post(view, body, path="/edit", **headers):
    """Status and state."""
    known = {"X-Volproc-Edit": view.mending.token}
    content = json.dumps(body).encode()
    asked = urllib.request.Request(
        view.base + path, data=content, headers={**known, **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        content = error.read()
        return error.code, json.loads(content) if error.code == 400 else {}


def applied(view):
    """The labels once all that waits was done."""
    view.mending._one.submit(lambda: None).result()
    view.mending._one.submit(lambda: None).result()
    return view.mending.editor.values()


def test_a_merge_and_a_split_of_picks_reach_the_volume(view):
    view.mending.pick(nm(view, 8, 10, 10))
    view.mending.pick(nm(view, 8, 10, 50))
    status, state = post(view, {"do": "merge", "why": "one"})
    assert (status, state["said"]) == (200, "edit 1: merge 1, 3")
    assert (applied(view) == np.where(BLOCKS == 3, 1, BLOCKS)).all()
    for x in (21, 38):
        view.mending.pick(nm(view, 8, 10, x))
    assert post(view, {"do": "split"})[0] == 200
    found = applied(view)
    assert set(np.unique(found[BLOCKS == 2])) == {2, 4}
    assert view.mending.editor.session.log.active[0].asked.why == "one"
    post(view, {"do": "undo"})
    assert (applied(view)[BLOCKS == 2] == 2).all()


def test_the_layer_shows_a_merge_at_once_and_is_read_again(view):
    def layer(name="objects"):
        return next(x for x in view.viewer.state.to_json()["layers"] if x["name"] == name)

    before, outlines = layer()["source"], layer("objects outlines")["source"]
    view.mending.editor.apply, real = lambda: pytest.fail("later"), view.mending.editor.apply
    view.mending.pick(nm(view, 8, 10, 10))
    assert layer("picked")["annotations"]
    view.mending.pick(nm(view, 8, 10, 30))
    post(view, {"do": "merge"})
    assert layer()["equivalences"] == [["1", "2"]]
    assert layer()["source"] == before
    view.mending.editor.apply = real
    view.mending._apply()
    assert "equivalences" not in layer()
    assert layer()["source"] != before
    assert layer("objects outlines")["source"] != outlines
    view.keep()
    assert "picked" not in (view.mending.editor.folder / "view.json").read_text()


def test_parts_of_a_split_may_have_several_picks(view):
    for x in (4, 10, 18):
        view.mending.pick(nm(view, 8, 10, x))
    assert [
        one["part"] for one in post(view, {"do": "part", "pick": 1, "part": 1})[1]["picks"]
    ] == [*(1, 1, 3)]
    post(view, {"do": "split"})
    assert set(np.unique(applied(view)[BLOCKS == 1])) == {1, 4}


def test_a_stroke_is_of_the_first_pick_over_what_else_was_picked(view):
    """From object 2 through the gap into object 3: voxels of 1 in its way stay."""
    for x in (39, 42, 44):
        view.mending.pick(nm(view, 8, 10, x))
    status, state = post(view, {"do": "paint", "radius_nm": "45"})
    assert (status, state["said"]) == (200, "edit 1: paint 2")
    found = applied(view)
    assert (found[8, 10, 39:45] == 2).all()
    (edit,) = view.mending.editor.session.log.active
    assert (edit.asked.over, edit.asked.radius_nm) == ((0, 3), 45)
    changed = found != BLOCKS
    assert set(np.unique(BLOCKS[changed])) == {0, 3}
    view.mending.pick(nm(view, 0, 0, 0))
    view.mending.pick(nm(view, 8, 10, 10))
    post(view, {"do": "paint", "radius_nm": 30})
    assert applied(view)[8, 10, 10] == 0  # what begins in the background takes away


def test_the_list_follows_the_edits(view):
    def said():
        return {one.id: one.said for one in view.objects}

    before = said()
    for x in (10, 30):
        view.mending.pick(nm(view, 8, 10, x))
    post(view, {"do": "merge"})
    applied(view)
    assert [*said()] == [number for number in before if number != 2]
    assert said()[1].startswith("edited")
    assert said()[3] == before[3]
    page = urllib.request.urlopen(f"{view.base}/list").read().decode()
    assert ('data-id="2"' in page, 'data-id="3"' in page) == (False, True)
    assert view.mending.state()["edition"] == 1
    for x in (46, 58):
        view.mending.pick(nm(view, 8, 10, x))
    post(view, {"do": "split"})
    applied(view)
    assert [*said()][-1] == 4
    view.go(4)
    post(view, {"do": "undo"})
    applied(view)
    assert 4 not in said()


def test_the_view_is_kept_between_starts_though_edits_gave_it_addresses(view, tmp_path):
    view.mending.pick(nm(view, 8, 10, 10))
    post(view, {"do": "delete"})
    applied(view)
    view.keep()
    scene = scene_of([str(tmp_path)])
    view.close()
    again = server.View(scene, editor=view.mending.editor)
    sources = {one["name"]: one["source"] for one in again.viewer.state.to_json()["layers"]}
    made = {one["name"]: one["source"] for one in again._layers(scene.measured)}
    again.close()
    assert sources.keys() == made.keys()
    number = again.base + "/data/"
    assert all(number in str(one) for one in sources.values())
    served = {int(str(one).partition(number)[2].partition("/")[0]) for one in sources.values()}
    assert served == {0, 1}


def test_wrong_edits_are_said_and_nothing_is_recorded(view):
    status, state = post(view, {"do": "merge"})
    assert (status, state["said"][:19]) == (400, "no object is picked")
    assert post(view, {"do": "paint", "radius_nm": 40})[1]["said"].startswith("nothing is picked")
    view.mending.pick(nm(view, 8, 10, 10))
    status, state = post(view, {"do": "split"})
    assert status == 400
    assert "two parts or more" in state["said"]
    assert post(view, {"do": "explode"})[0] == 400
    assert view.mending.editor.session.log.lines == ()
    view.mending.pick(nm(view, 0, 0, 0))
    assert view.mending.said.startswith("background is picked")
    assert post(view, {"do": "paint", "radius_nm": ""})[1]["said"].startswith(
        "paint needs a radius"
    )
    assert post(view, {"do": "clear"})[1]["picks"] == []
    view.mending.pick(nm(view, 0, 0, 0))
    assert post(view, {"do": "delete"})[1]["said"].startswith("no object is picked")


def test_only_the_page_of_this_viewer_may_edit(view):
    """Another site, another address for this machine, no token: refused, and nothing happens."""
    view.mending.pick(nm(view, 8, 10, 10))
    asked = {"do": "delete"}
    assert post(view, asked, **{"X-Volproc-Edit": "guessed"})[0] == 403
    assert post(view, asked, **{"X-Volproc-Edit": ""})[0] == 403
    assert post(view, asked, Origin="https://evil.example")[0] == 403
    assert post(view, asked, Host="evil.example:80")[0] == 403
    assert view.mending.editor.session.log.lines == ()
    assert post(view, asked, Origin=f"http://{view.authority}")[0] == 200


def test_nobody_edits_where_others_may_look(tmp_path):
    save_labels(tmp_path, BLOCKS)
    (tmp_path / "workflow.json").write_text("{}")
    opened = server.View(scene_of([str(tmp_path)]), host="0.0.0.0", editor=Editor(tmp_path))
    assert opened.mending is None
    opened.close()


def test_a_pick_outside_is_an_error(view):
    with pytest.raises(ConfigError, match="outside the volume"):
        view.mending.pick((1e9, 0, 0))
