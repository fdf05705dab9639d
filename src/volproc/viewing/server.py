"""neuroglancer's own server, with files, a list of objects, and the view that is kept.

    /TOKEN/                  the page: the list, and neuroglancer beside it
    /TOKEN/list              the list alone
    /TOKEN/data/N/KEY        a file of store N (`stores.py`, `outlines.py`)
    /TOKEN/go/ID             moves the view to an object
    /TOKEN/edit              what is picked, and edits of it (`mending.py`)
    /v/...                   neuroglancer

It listens on this machine only (or where `host` says), and TOKEN is drawn anew for each start, so
another page or user who does not know it reads nothing. Under another machine's name it answers
nobody.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

import neuroglancer
import tornado.web
from jinja2 import Environment, PackageLoader, Template
from neuroglancer import server as neuroglancer_server
from tornado.ioloop import IOLoop

from volproc.errors import ConfigError, VolprocError
from volproc.faults import first_line
from volproc.grid.box import each
from volproc.viewing.edit_handler import EditHandler
from volproc.viewing.layers import Layer, Shown, image_layers, label_layers
from volproc.viewing.mending import (
    LOOPBACK,
    PICKED,
    ChangeLayers,
    Editor,
    Mending,
    state_of,
)
from volproc.viewing.outlines import Outlines
from volproc.viewing.scene import MOST_MESHES, Listed, Scene, listed_after_edits
from volproc.viewing.stores import ForbiddenError, Store, byte_range
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

READERS = 4
"""Files that are read at a time."""
PANEL_PIXELS = 500
"""About the side of one of four panels, in which a slice is seen as a whole at first."""
NM = 1e-9
PLACE = "{data}"
"""Stands in a kept view for the address of the files, which another start changes."""


@dataclass
class View:
    """A scene that is served from now on, until `close`."""

    scene: Scene
    port: int = 0
    host: str = "127.0.0.1"
    token: str = field(default_factory=lambda: token_urlsafe(16))
    stores: list[Store | Outlines] = field(default_factory=list)
    editor: Editor | None = None
    """Records edits of the labels; where others than this machine may look, nobody edits."""
    objects: tuple[Listed, ...] = field(init=False)
    """The list: that of the scene, and as edits left it."""
    _written: str = ""
    """The view that the scene's file has."""

    def __post_init__(self) -> None:
        self.objects = self.scene.objects
        _require_free(self.host, self.port)
        neuroglancer.set_server_bind_address(self.host, self.port)
        self.viewer = neuroglancer.Viewer()
        self._pool = ThreadPoolExecutor(READERS)
        state = self._state()  # which adds the stores
        server = neuroglancer_server.global_server
        own = rf"/{self.token}"
        foreign = _foreign(self.host, urlsplit(server.server_url).hostname or "")
        server.app.add_handlers(foreign, [(".*", tornado.web.ErrorHandler, {"status_code": 403})])
        may_edit = self.editor and self.host in LOOPBACK and self.scene.measured
        self.mending = Mending(self, self.editor) if self.editor and may_edit else None
        mends = {"mending": self.mending, "authority": self.authority}
        server.app.add_handlers(
            ".*",
            [
                (rf"{own}/", _Page, {"view": self}),
                (rf"{own}/list", _List, {"view": self}),
                (rf"{own}/data/(\d+)/(.*)", _Files, {"view": self}),
                (rf"{own}/go/(\d+)", _Go, {"view": self}),
                *([(rf"{own}/edit", EditHandler, mends)] if self.mending else ()),
            ],
        )
        self.viewer.set_state(self._kept(state) or state)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"{self.base}/"

    @cached_property
    def base(self) -> str:
        """The address below which everything of ours is."""
        return f"{neuroglancer_server.global_server.server_url}/{self.token}"

    @property
    def authority(self) -> str:
        """Host and port of the address."""
        return urlsplit(self.base).netloc

    def show_again(self, info: VolumeInfo, change_layers: ChangeLayers) -> None:
        """Read the labels' layers again, from `info`: at new addresses, or browsers keep theirs."""
        name = self.scene.name(info)
        fresh = {one["name"]: one["source"] for one in self._layers(info)}

        def renewed(layer: Layer) -> Layer:
            own = name if layer["type"] == "segmentation" else f"{name} outlines"
            return {**layer, "source": _at_address(layer["source"], fresh[own])}

        change_layers(renewed)
        if self.editor:
            self.objects = listed_after_edits(self.scene, info, self.editor.touched())

    def close(self) -> None:
        """Serve no more."""
        if self.mending:
            self.mending.close()
        neuroglancer.stop()
        self._pool.shutdown(cancel_futures=True)

    def keep(self) -> None:
        """Write the view into the scene's file if it changed; VolumeError where that cannot be."""
        state = state_of(self.viewer)
        state["layers"] = [layer for layer in state["layers"] if layer["name"] != PICKED]
        text = json.dumps(state, indent=1)
        if self.scene.saved_as and text != self._written:
            write_file(self.scene.saved_as, text.replace(self.base, PLACE).encode())
            self._written = text

    def go(self, number: int) -> None:
        """Move to an object of the list and choose it."""
        self.move_to(self._by_id[number])

    def move_to(self, found: Listed) -> None:
        """Move to an object and choose it."""
        with self.viewer.txn() as state:
            state.position = self.position(found.place_nm)
            for layer in state.layers:
                if layer.layer.type == "segmentation":
                    layer.layer.segments.add(found.id)

    @property
    def _by_id(self) -> dict[int, Listed]:
        return {one.id: one for one in self.objects}

    def _state(self) -> dict[str, Any]:
        first = self.scene.first
        nm = dict(zip("zyx", first.voxel_nm, strict=True))
        middle = each(lambda c, n, v: c + n * v / 2, first.corner_nm, first.shape, first.voxel_nm)
        return {
            "dimensions": {axis: [nm[axis] * NM, "m"] for axis in "xyz"},
            "position": self.position(middle),
            "crossSectionScale": max(first.shape[1:]) / PANEL_PIXELS,
            "projectionScale": 2.5 * max(first.shape),
            "layout": "4panel",
            "layers": [layer for info in self.scene.volumes for layer in self._layers(info)],
        }

    def position(self, place_nm: Sequence[float]) -> list[float]:
        """x, y, z in voxels of the first volume."""
        return [n / v for n, v in zip(place_nm, self.scene.first.voxel_nm, strict=True)][::-1]

    def _layers(self, info: VolumeInfo) -> list[Layer]:
        visible = info.url in self.scene.visible
        address = self._served(Store(info.url))
        shown = Shown(self.scene.name(info), info, address, visible)
        if info.kind != "labels":
            return image_layers(shown)
        mine = self.scene.meshes and info is self.scene.measured
        meshes = self._served(Store(self.scene.meshes)) if mine else ""
        ids = [one.id for one in self.scene.objects[:MOST_MESHES]] if mine else []
        return label_layers(shown, self._served(Outlines(Volume(info))), meshes, ids)

    def _served(self, store: Store | Outlines) -> str:
        self.stores.append(store)
        return f"{self.base}/data/{len(self.stores) - 1}"

    def _kept(self, made: dict[str, Any]) -> dict[str, Any] | None:
        """The view of the last time, if it was of the volumes of the view `made` now."""
        place = self.scene.saved_as
        if not (place and exists(place)):
            return None
        try:
            state: dict[str, Any] = json.loads(read_file(place).decode().replace(PLACE, self.base))
            names = {layer["name"] for layer in state["layers"]}
            fresh = {layer["name"]: layer["source"] for layer in made["layers"]}
            if names != fresh.keys():
                return None
            for layer in state["layers"]:  # edits gave it addresses that are no more
                layer["source"] = _at_address(layer["source"], fresh[layer["name"]])
        except (ValueError, TypeError, KeyError):
            return None  # a view is no result: what cannot be read is made anew
        return state


def _at_address(source: Any, fresh: Any) -> Any:
    """A layer's sources as browsers write them (a word, an object, or a list of those), the first
    one at a new address; further ones, meshes, stay."""
    if isinstance(source, list):
        return [_at_address(source[0], fresh), *source[1:]]
    url = fresh[0] if isinstance(fresh, list) else fresh
    return {**source, "url": url} if isinstance(source, dict) else url


def _require_free(host: str, port: int) -> None:
    """ConfigError if something else listens there, or nothing can."""
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be had ({first_line(error)}); take another --port, or "
            "leave it out"
        ) from error


def _foreign(*own: str) -> str:
    """A pattern of all hosts but this machine's `own` names and addresses in numbers.

    A page of elsewhere may turn its own name to this machine, and a browser takes what is here for
    that page's then (DNS rebinding); but the name it asks for stays that of the page.
    """
    names = "|".join(re.escape(name.lower()) for name in ("localhost", socket.gethostname(), *own))
    return rf"(?!({names}|[\d.]+|\[[\da-f:.]+\])$).*$"


class _Handler(tornado.web.RequestHandler):
    def initialize(self, view: View) -> None:
        self.view = view


class _List(_Handler):
    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(_template("list.html.j2").render(objects=self.view.objects))


def _template(name: str) -> Template:
    loader = PackageLoader("volproc", "viewing")
    return Environment(autoescape=True, loader=loader).get_template(name)


class _Page(_Handler):
    def get(self) -> None:
        page = _template("page.html.j2")
        self.finish(
            page.render(
                objects=self.view.objects,
                viewer=self.view.viewer.get_viewer_url(),
                token=self.view.mending.token if self.view.mending else "",
                edition=self.view.mending.edition if self.view.mending else 0,
            )
        )


class _Go(_Handler):
    def post(self, number: str) -> None:
        if int(number) not in self.view._by_id:
            self.send_error(404)
            return
        self.view.go(int(number))
        self.finish()


class _Files(_Handler):
    async def get(self, number: str, key: str) -> None:
        store, asked = self.view.stores, self.request.headers.get("Range")
        await self._answer(lambda: _content(store[int(number)], key, asked))

    async def head(self, number: str, key: str) -> None:
        await self._answer(lambda: _size(self.view.stores[int(number)], key))

    async def _answer(self, content: Callable[[], Answer]) -> None:
        loop = IOLoop.current()
        status, headers, found = await loop.run_in_executor(self.view._pool, _refused(content))
        self.set_status(status)
        for name, value in {"Cache-Control": "no-cache", **headers}.items():
            self.set_header(name, value)
        self.finish(found)


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and content."""


def _size(store: Store | Outlines, key: str) -> Answer:
    """The length of a file without the file."""
    size = len(store.read(key)) if isinstance(store, Outlines) else store.size(key)
    return 200, {"Accept-Ranges": "bytes", "Content-Length": str(size)}, b""


def _content(store: Store | Outlines, key: str, asked: str | None) -> Answer:
    """A file, or the part of it that is asked for."""
    if isinstance(store, Outlines):
        return 200, {}, store.read(key)
    size = store.size(key)
    headers = {"Accept-Ranges": "bytes"}
    if not asked:
        return 200, headers, store.read(key, 0, size)
    part = byte_range(asked, size)
    if part is None:
        return 416, {**headers, "Content-Range": f"bytes */{size}"}, b""
    start, stop = part
    ranged = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return 206, ranged, store.read(key, start, stop)


def _refused(content: Callable[[], Answer]) -> Callable[[], Answer]:
    """The same with an error as an answer: 403 outside, 404 for what is not there."""

    def answered() -> Answer:
        try:
            return content()
        except ForbiddenError as error:
            return 403, {}, str(error).encode()
        except (FileNotFoundError, NotADirectoryError, IndexError):
            return 404, {}, b""
        except VolprocError as error:
            return 500, {}, str(error).encode()

    return answered
