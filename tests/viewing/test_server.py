"""What is served: the given volumes, the outlines, a list that leads to objects, the kept view."""

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from volproc.errors import ConfigError, VolumeError
from volproc.viewing.scene import object_of, scene_of

pytest.importorskip("neuroglancer", reason="the extra view is not installed")
server = pytest.importorskip("volproc.viewing.server")

TABLE = """id,volume_um3,centroid_z_nm,centroid_y_nm,centroid_x_nm
1,0.5,100,300,500
7,2.5,250,150,50
"""


@pytest.fixture
def run(save_volume, tmp_path):
    """A run's folder with image, labels and a table."""
    (tmp_path / "run").mkdir()
    values = np.arange(10 * 20 * 30, dtype=np.uint8).reshape(10, 20, 30)
    labels = np.zeros(values.shape, np.uint32)
    labels[2:5, 3:9, 4:20] = 7
    save_volume("run/image.zarr", values, voxel_nm=(50, 25, 25))
    save_volume("run/objects.zarr", labels, kind="labels", voxel_nm=(50, 25, 25))
    (tmp_path / "run" / "workflow.json").write_text("{}")
    (tmp_path / "run" / "objects.csv").write_text(TABLE)
    return str(tmp_path / "run")


@pytest.fixture
def opened():
    """Views that are closed at the end."""
    views = []

    def look(*places, **how):
        views.append(server.View(scene_of(places), **how))
        return views[-1]

    yield look
    for view in views:
        view.close()


def get(view, path, **headers):
    """Status, content, and which part of it."""
    asked = urllib.request.Request(view.base + path, headers=headers)
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read(), answer.headers.get("Content-Range")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get("Content-Range")


def names(view):
    return {layer["name"]: layer["visible"] for layer in view.viewer.state.to_json()["layers"]}


def test_image_and_outlines_are_seen_first(run, opened):
    view = opened(run)
    assert [info.kind for info in view.scene.volumes] == ["image", "labels"]
    layers = view.viewer.state.to_json()["layers"]
    assert [one["name"] for one in layers] == ["image", "objects outlines", "objects"]
    assert all(one.get("visible", True) for one in layers)


def test_files_of_the_volumes_are_read_and_no_others(run, opened):
    view = opened(run)
    status, content, _ = get(view, "/data/0/zarr.json")
    assert status == 200
    assert json.loads(content)["attributes"]["ome"]
    assert get(view, "/data/0/zarr.json", Range="bytes=0-3")[1:] == (
        content[:4],
        f"bytes 0-3/{len(content)}",
    )
    assert get(view, "/data/0/zarr.json", Range=f"bytes={len(content)}-")[0] == 416
    assert get(view, "/data/0/0/c/9/9/9")[0] == 404
    assert get(view, "/data/9/zarr.json")[0] == 404
    for path in ("/data/0/..%2fworkflow.json", "/data/0/../objects.csv", "/data/0//etc/passwd"):
        status, said, _ = get(view, path)
        assert status == 403
        assert b"is no file of" in said


def test_a_file_tells_its_length(run, opened):
    """neuroglancer asks for that before it reads the index at the end of a shard."""
    view = opened(run)
    for key in ("/data/0/zarr.json", "/data/1/0/zarr.json", "/data/2/0/zarr.json"):
        size = len(get(view, key)[1])
        asked = urllib.request.Request(view.base + key, method="HEAD")
        with urllib.request.urlopen(asked) as answer:
            assert int(answer.headers["Content-Length"]) == size > 0
            assert answer.read() == b""


def test_another_address_than_the_one_that_was_told_reads_nothing(run, opened):
    view = opened(run)
    elsewhere = view.base.replace(view.token, "guessed")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{elsewhere}/data/0/zarr.json")


def test_links_lead_nowhere(run, opened, tmp_path):
    (tmp_path / "secret").write_text("no")
    (tmp_path / "run" / "image.zarr" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "run" / "image.zarr" / "up").symlink_to(tmp_path)
    view = opened(run)
    for path in ("/data/0/out", "/data/0/up/secret"):
        status, said, _ = get(view, path)
        assert status == 403
        assert b"leads out of" in said


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil"])
def test_a_page_whose_name_was_turned_to_this_machine_reads_nothing(run, opened, host):
    """Not even with the token: DNS rebinding."""
    view = opened(run)
    ours = "/" + view.viewer.get_viewer_url().split("/", 3)[3]
    root = view.base.rpartition("/")[0]
    for address in (f"{view.base}/", f"{view.base}/data/0/zarr.json", f"{root}{ours}"):
        assert urllib.request.urlopen(address).status == 200
        asked = urllib.request.Request(address, headers={"Host": host})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(asked)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:9000", "10.1.2.3:80"])
def test_a_tunnel_leads_to_it(run, opened, host):
    assert get(opened(run), "/data/0/zarr.json", Host=host)[0] == 200


def test_the_list_has_the_largest_first_and_leads_there(run, opened):
    view = opened(run)
    page = get(view, "/")[1].decode()
    assert page.index('data-id="7"') < page.index('data-id="1"')
    assert urllib.request.urlopen(f"{view.base}/go/7", data=b"").status == 200
    # from the corner in nm to voxels from the middle of the first one, x first
    assert view.viewer.state.to_json()["position"] == [
        50 / 25 - 0.5,
        150 / 25 - 0.5,
        250 / 50 - 0.5,
    ]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{view.base}/go/2", data=b"")


def test_the_view_is_kept_and_comes_again(run, opened, tmp_path):
    first = opened(run)
    first.go(7)
    first.keep()
    kept = (tmp_path / "run" / "view.json").read_text()
    assert first.token not in kept  # it is of use to a colleague, at another address
    again = opened(run)
    assert again.viewer.state.to_json()["position"] == first.viewer.state.to_json()["position"]
    assert get(again, "/data/0/zarr.json")[0] == 200
    assert again.token in json.dumps(again.viewer.state.to_json())


def test_a_view_begins_at_an_object_that_is_asked_for(run, opened):
    """Of the table, also where the list is too short for it."""
    view = opened(run)
    view.move_to(object_of(replace(view.scene, objects=()), 7))
    state = view.viewer.state.to_json()
    assert state["position"] == [50 / 25 - 0.5, 150 / 25 - 0.5, 250 / 50 - 0.5]
    assert "7" in state["layers"][-1]["segments"]
    with pytest.raises(ConfigError, match=r"--object 2: there is no such object in .*objects\.csv"):
        object_of(view.scene, 2)


def test_a_view_that_cannot_be_kept_is_looked_at_all_the_same(run, opened, monkeypatch, capsys):
    """A colleague's run may be read only."""
    from volproc.cli import view_commands

    def refused(*_):
        raise VolumeError("cannot write view.json: Permission denied")

    view = opened(run)
    monkeypatch.setattr(server, "write_file", refused)
    assert not view_commands._keep(view)
    assert "the view is not kept: cannot write view.json" in "".join(capsys.readouterr())
    assert get(view, "/")[0] == 200


def test_an_unchanged_view_is_written_once(run, opened, monkeypatch):
    view, written = opened(run), []
    monkeypatch.setattr(server, "write_file", lambda *what: written.append(what))
    view.keep()
    view.keep()
    view.go(7)
    view.keep()
    assert len(written) == 2


@pytest.mark.parametrize("damage", ["{", "[]", '{"layers": [{"name": "another"}]}'])
def test_a_view_of_something_else_is_made_anew(run, opened, tmp_path, damage):
    (tmp_path / "run" / "view.json").write_text(damage)
    assert len(names(opened(run))) == 3


def test_volumes_without_a_run(run, opened):
    view = opened(f"{run}/objects.zarr")
    assert [*names(view)] == ["objects outlines", "objects"]
    assert view.scene.saved_as == ""
    assert "<nav" not in get(view, "/")[1].decode()


def test_a_port_that_is_taken_is_one_line(run, opened):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} of 127.0.0.1 cannot be had .*--port"):
            opened(run, port=port)


def test_wrong_places_are_one_line(tmp_path, run):
    with pytest.raises(VolumeError, match=r"nothing\.zarr"):
        scene_of([str(tmp_path / "nothing.zarr")])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "workflow.json").write_text("{}")
    with pytest.raises(ConfigError, match="has no finished volume to look at yet"):
        scene_of([str(tmp_path / "empty")])
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "info").write_text("{}")
    with pytest.raises(ConfigError, match="has meshes only"):
        scene_of([str(tmp_path / "meshes")])
