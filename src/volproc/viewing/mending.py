"""Mending objects in the viewer: places that were picked, buttons that merge, split, delete, paint.

    ctrl-click, or p under the mouse ──▶ picks ──▶ POST edit ──▶ the log, at once
                                                      └──▶ blocks written again ──▶ layer read again

Until then merged objects have one colour and deleted ones are black.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from secrets import token_urlsafe
from typing import Any, Protocol

from volproc.errors import ConfigError, VolprocError
from volproc.grid.box import each
from volproc.viewing.scene import Scene
from volproc.volume.metadata import VolumeInfo

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PICK, PICKED = "volproc-pick", "picked"
BACKGROUND = "background is picked: places of it are for paint alone"
PointNm = tuple[float, float, float]
ChangeLayers = Callable[[Callable[[dict[str, Any]], dict[str, Any]]], None]
"""Changes the layers of the labels by a function of each."""


class Shown(Protocol):
    """What is looked at (`server.py`)."""

    viewer: Any
    """neuroglancer's."""
    scene: Scene

    def position(self, place_nm: Sequence[float]) -> list[float]:
        """x, y, z in the viewer's voxels."""

    def show_again(self, info: VolumeInfo, change_layers: ChangeLayers) -> None:
        """Read the labels' layers again."""


class Editor(Protocol):
    """Records edits of a run and applies them."""

    def label_at(self, point: PointNm) -> int:
        """The object at a position in nm from the labels' corner; 0 for background."""

    def edit(self, stated: Mapping[str, Any]) -> str:
        """Record an edit; what it is, in words."""

    def undo_last(self) -> str:
        """Record that the last edit is undone; which, in words."""

    def apply(self) -> VolumeInfo:
        """The labels with all edits, once they are written."""

    def touched(self) -> set[int]:
        """Ids of all objects that edits changed, also those that were undone since."""


def state_of(viewer: Any) -> dict[str, Any]:
    """A copy of what is shown: neuroglancer gives out its own, and once that was changed by
    others it takes the new one for the same, and tells no browser."""
    return deepcopy(dict(viewer.state.to_json()))


@dataclass(frozen=True)
class Pick:
    """A place that was picked: its object, where it is in nm, and the part it begins in a split."""

    id: int
    place_nm: PointNm
    part: int


@dataclass
class Mending:
    """The edits of one viewer. Whatever is recorded and applied, one after another."""

    view: Shown
    editor: Editor
    token: str = field(default_factory=lambda: token_urlsafe(16))
    picks: list[Pick] = field(default_factory=list)
    said: str = "ctrl-click an object, or press p over it, to pick it"
    waiting: int = 0
    """Edits that no block has yet."""
    edition: int = 0
    """How often the labels were read again: the list of objects is another one then."""

    def __post_init__(self) -> None:
        self._one = ThreadPoolExecutor(1)
        self._same: list[list[str]] = []
        self._gone: list[str] = []
        viewer = self.view.viewer
        viewer.actions.add(PICK, self._picked)
        with viewer.config_state.txn() as config:
            config.input_event_bindings.data_view["control+mousedown0"] = PICK
            config.input_event_bindings.viewer["keyp"] = PICK

    def close(self) -> None:
        """Finish what was begun."""
        self._one.shutdown(cancel_futures=True)

    def state(self) -> dict[str, Any]:
        """For the page."""
        picks = [asdict(one) for one in self.picks]
        return {
            "picks": picks,
            "said": self.said,
            "waiting": self.waiting,
            "edition": self.edition,
        }

    def do(self, stated: Mapping[str, Any]) -> Future[None]:
        """What a button says, done after all before it; VolprocError where that cannot be."""
        what = stated.get("do")
        if what == "clear":
            self.picks.clear()
            self._show_picks()
        elif what == "part":
            self._set_part(stated)
        elif what in ("merge", "split", "delete", "paint", "undo"):
            return self._one.submit(self._record, str(what), stated)
        else:
            raise ConfigError(f"no button says {what!r}")
        return self._one.submit(lambda: None)

    def pick(self, place_nm: PointNm) -> None:
        """Pick the object at a position in nm, in the space of the viewer."""
        labels = self._labels
        inside = each(lambda n, c: n - c, place_nm, labels.corner_nm)
        identifier = self.editor.label_at(inside)
        self.picks.append(Pick(identifier, inside, len(self.picks) + 1))
        self.said = f"object {identifier} is picked" if identifier else BACKGROUND
        self._show_picks()

    @property
    def _labels(self) -> VolumeInfo:
        measured = self.view.scene.measured
        assert measured
        return measured

    def _picked(self, action: Any) -> None:
        place = action.mouse_voxel_coordinates
        if place is None or len(place) != 3:
            return
        size = self.view.scene.first.voxel_nm
        try:
            self.pick(each(lambda n, v: float(n) * v, [*place][2::-1], size))
        except VolprocError as error:
            self.said = str(error)

    def _set_part(self, stated: Mapping[str, Any]) -> None:
        number, part = int(stated.get("pick", -1)), int(stated.get("part", 0))
        if not (0 <= number < len(self.picks) and 0 < part <= len(self.picks)):
            raise ConfigError(f"pick {number} and part {part} are not there")
        self.picks[number] = Pick(self.picks[number].id, self.picks[number].place_nm, part)

    def _record(self, what: str, stated: Mapping[str, Any]) -> None:
        if what == "undo":
            self.said = self.editor.undo_last()
        else:
            asked = self._painted(stated) if what == "paint" else self._stated(what)
            self.said = self.editor.edit({**asked, "why": str(stated.get("why", ""))})
            self._preview(what)
        self.picks.clear()
        self._show_picks()
        self.waiting += 1
        self._one.submit(self._apply)

    def _stated(self, what: str) -> dict[str, Any]:
        """The edit of the picks as a request states it."""
        picks = [one for one in self.picks if one.id]
        ids = [*dict.fromkeys(one.id for one in picks)]
        if not ids:
            raise ConfigError("no object is picked: ctrl-click one, or press p over it")
        if what == "split":
            parts: dict[int, list[PointNm]] = {}
            for one in picks:
                parts.setdefault(one.part, []).append(one.place_nm)
            return {"do": what, "objects": ids, "parts": [parts[n] for n in sorted(parts)]}
        return {"do": what, "objects": ids}

    def _painted(self, stated: Mapping[str, Any]) -> dict[str, Any]:
        """A stroke along the picks, of the first one's object or background. It changes voxels of
        what else was picked; of everything, if nothing else was."""
        if not self.picks:
            raise ConfigError("nothing is picked: press p where the stroke begins, and further on")
        radius = stated.get("radius_nm")
        if not radius:
            raise ConfigError("paint needs a radius in nm: half the width of the stroke")
        own, *others = dict.fromkeys(one.id for one in self.picks)
        points = [one.place_nm for one in self.picks]
        shape = {"points": points, "radius_nm": float(radius), "over": others}
        return {"do": "paint", "objects": [own], **shape}

    def _preview(self, what: str) -> None:
        """Show a merge or a deletion by colours, before blocks are written."""
        ids = [str(identifier) for identifier in dict.fromkeys(one.id for one in self.picks)]
        if what == "merge":
            self._same.append(ids)
        if what == "delete":
            self._gone += ids
        self._change_labels(lambda layer: layer)

    def _apply(self) -> None:
        """Write the blocks of what was recorded, and read the layer again."""
        waited = self.waiting
        try:
            labels = self.editor.apply()
        except Exception as error:
            self.said = f"recorded, but not applied yet: {error}"
            return
        self._same, self._gone = [], []
        self.view.show_again(labels, self._change_labels)
        self.edition += 1
        self.waiting -= waited

    def _change_labels(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change the layer of the labels, and show what is merged and deleted by now."""
        state = state_of(self.view.viewer)
        name = self.view.scene.name(self._labels)
        for layer in state["layers"]:
            if layer["name"] in (name, f"{name} outlines"):
                layer.update(change(layer))
            if layer["name"] == name:
                black = dict.fromkeys(self._gone, "#000000")
                for key, shown in (("equivalences", self._same), ("segmentColors", black)):
                    layer.pop(key, None)
                    layer.update({key: shown} if shown else {})
        self.view.viewer.set_state(state)

    def _show_picks(self) -> None:
        """Mark the places that are picked."""
        state = state_of(self.view.viewer)
        layers = [layer for layer in state["layers"] if layer["name"] != PICKED]
        corner = self._labels.corner_nm
        places = [each(lambda n, c: n + c, one.place_nm, corner) for one in self.picks]
        if places:
            layers.append(
                {
                    "type": "annotation",
                    "name": PICKED,
                    "source": {
                        "url": "local://annotations",
                        "transform": {"outputDimensions": state["dimensions"]},
                    },
                    "annotations": [
                        {"type": "point", "id": str(n), "point": self.view.position(place)}
                        for n, place in enumerate(places)
                    ],
                    "annotationColor": "#ff3355",
                }
            )
        self.view.viewer.set_state({**state, "layers": layers})
