"""What else is read than voxels, for scripts/fuzz: exports, cards, workflow files, records.

A sound set of files each, and what reads them: any VolprocError of one line is right, and any
answer. Names of files say what they are.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.engine.ledger import Ledger, recorded_blocks
from volproc.errors import VolprocError
from volproc.grid.box import Box
from volproc.lease import lease_file, owner
from volproc.model.foreign import weights_file
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, load_model, save_model
from volproc.stages.annotate.export import vote_store
from volproc.stages.annotate.export.export_summary import Summary
from volproc.stages.annotate.export.subject_metadata import read_manifest
from volproc.stages.annotate.export.vote_reader import read_vote_index, store_votes
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.objects.array_files import packed, read_packed
from volproc.stages.provenance import read_provenance
from volproc.stages.report.object_listing import NUMBERS, read_objects
from volproc.stages.report.step_times import history_of
from volproc.stages.subjects.upload import UploadRecord
from volproc.workflow import found, rates, running, saved, status
from volproc.workflow.workflow_file import load_workflow

ROOT = Path(__file__).parents[1]
Files = dict[str, bytes]


def tests_file(name: str) -> Any:
    """A test file as a module: it has writers that are not written twice."""
    path = ROOT / f"tests/stages/{name}.py"
    spec = importlib.util.spec_from_file_location(f"writers_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Documents:
    """Sound files of a kind, and what reads a folder of them."""

    sound: Callable[[], Iterator[tuple[Files, Any]]]
    read: Callable[[Path], str]


def exports() -> Iterator[tuple[Files, Any]]:
    made = tests_file("annotate/exports")
    rows = [
        made.row_of(1, made.task(made.mark_2())),
        made.row_of(2, made.task(made.mark_1(closed=True)), user=2),
        made.row_of(3, made.task(made.mark_2(frame=1)), user=3, frames=2),
        made.row_of(4, made.task(), user=4, about=made.subject(slices=(1, 2), roi="ROI_2")),
    ]
    table = b"roi,roi_z,roi_y,roi_x,roi_depth,roi_height,roi_width\n"
    table += b"ROI_1,0,0,0,4,100,100\nROI_2,0,0,0,4,100,100\n"
    with tempfile.TemporaryDirectory() as folder:
        content = Path(made.write_export(f"{folder}/e.csv", rows)).read_bytes()
    yield {"e.csv": content}, None
    yield {"e.csv.gz": gzip.compress(content)}, None
    yield {"e.csv": content, "m.csv": table}, None


def _votes(folder: Path) -> str:
    export = min(folder.glob("e.csv*"), default=folder / "e.csv")
    table = folder / "m.csv"
    manifest = read_manifest(str(table)) if table.exists() else None
    out, whole = str(folder / "votes"), Box((0, 0, 0), (4, 100, 100))
    index = store_votes(str(export), out, AnnotateOptions(), volume=whole, manifest=manifest)
    for block in index.blocks:
        vote_store.read_votes(out, block)
    return "read"


def cards() -> Iterator[tuple[Files, Any]]:
    torch.manual_seed(1)
    spec = UNetSpec(3, 1, (2, 3))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), UNet(spec), card_for(spec, name="a", voxel_nm=(50, 50, 50)))
        own = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    yield {f"own/{name}": data for name, data in own.items()}, None
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    sides = [
        {"type": "space", "id": a, "size": {"min": 16, "step": 2}, "scale": 50, "unit": "nanometer"}
        for a in "yx"
    ]
    rdf = {
        "format_version": "0.5.4", "type": "model", "name": "tiny",
        "inputs": [{
            "id": "raw", "axes": [*axes, *sides],
            "preprocessing": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
        }],
        "outputs": [{"id": "p", "axes": [*axes, *({"type": "space", "id": a} for a in "yx")]}],
        "weights": {"onnx": {"source": "net.onnx", "sha256": "0" * 64}},
    }  # fmt: skip
    extents = {"min": [1, 1, 16, 16], "step": [0, 0, 2, 2]}
    tensor = {"name": "raw", "axes": "bcyx", "shape": extents}
    old = {
        **rdf, "format_version": "0.4.9",
        "inputs": [tensor], "outputs": [{**tensor, "halo": [0, 0, 4, 4]}],
    }  # fmt: skip
    packages = {"rdf.yaml.json": rdf, "old.yaml.json": old}
    for name, description in packages.items():
        yield {f"p/{name}": json.dumps(description).encode(), "p/net.onnx": b"net"}, None
    cellmap = {
        "model_name": "a", "spatial_dims": 3, "in_channels": 1, "channels_names": ["a", "b"],
        "input_voxel_size": [8, 8, 8], "output_voxel_size": [8, 8, 8],
    }  # fmt: skip
    card = b'name = "a"\nvoxel_nm = [50, 8, 8]\naxes = "bcyx"\nsize = {least = 64, step = 16}\n'
    card += b'channel = "b"\nchannels = ["a", "b"]\nstride = 4\ntolerance = 1e-3\n'
    card += b'preprocessing = [{id = "scale_linear", gain = 0.1}]\n'
    described = {"metadata.json": json.dumps(cellmap).encode(), "model.onnx": b"net"}
    yield {"card.toml": card, **{f"c/{name}": data for name, data in described.items()}}, None
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("rdf.yaml", json.dumps(rdf))
        archive.writestr("net.onnx", b"net")
    yield {"p.zip": file.getvalue()}, None


def _described(folder: Path) -> str:
    for name in ("rdf", "old"):  # JSON is YAML; only JSON is damaged by its keys
        written = folder / f"p/{name}.yaml.json"
        if written.exists():
            written.rename(folder / "p/rdf.yaml")
    if (folder / "own").exists():
        load_model(folder / "own")
        return "read"
    there = [folder / name for name in ("p.zip", "p", "c") if (folder / name).exists()]
    model = there[0] if there else folder
    card = folder / "card.toml"
    weights_file.find(model, str(card) if card.exists() else "")
    return "read"


def workflows() -> Iterator[tuple[Files, Any]]:
    for path in sorted((ROOT / "examples").glob("*.toml")):
        yield {"w.toml": path.read_bytes()}, None
    text = b"""[run]
source = "stack.tif"
out = "run"
[cluster]
workers = 2
memory = "4 GB"
[ingest]
voxel_nm = [50, 8, 8]
box = "0:64,0:512,0:512"
[predict]
axes = "zyx"
threshold = 0.5
[label]
smallest_um3 = 0.5
"""
    yield {"w.toml": text}, None


def _workflow(folder: Path) -> str:
    load_workflow(folder / "w.toml", environment={})
    return "read"


def records() -> Iterator[tuple[Files, Any]]:
    """One file each of what volproc notes beside its results."""
    arrays = {"a": np.arange(12).reshape(3, 4), "b": np.arange(3.0)}
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"{folder}/ledger.jsonl", digest="d", blocks=3)
        for block in range(3):
            ledger.add(block, {"voxels": block, "seconds": 0.5})
        yield {"ledger.jsonl": Path(folder, "ledger.jsonl").read_bytes()}, None
        points = np.ones((4, 2), np.float32)
        vote = Vote("v", (Stroke(points, True),))
        vote_store.write_votes(folder, 0, [SliceVotes(0, (0, 0), (9, 9), (vote,), "r")])
        yield {"votes-000000.npz": Path(folder, "votes-000000.npz").read_bytes()}, None
    yield {"lease-000001.json": owner.this_process("o").text()}, None
    yield {"table": packed(arrays, digest="d")}, None
    notes = [{"set": "1"}, {"subject_set": "1"}, {"row": 0, "subject": "7"}, {"linked": ["7"]}]
    yield {"upload.jsonl": _lines(notes)}, None
    events: list[dict[str, Any]] = [
        {"event": "StepStarted", "step": "label", "time": 1.0},
        {"event": "BlockDone", "step": "label", "time": 2.0, "voxels": 5, "peak_bytes": 9},
        {
            "event": "StepFinished", "step": "label", "time": 3.0,
            "blocks": 0, "voxels": 5, "seconds": 2.0,
        },
    ]  # fmt: skip
    yield {"log.jsonl": _lines(events)}, None
    certificate = {"passed": True, "places": 3, "largest": 0, "mean": 0.0, "changed": 0.0}
    yield {"prediction-certificate.json": json.dumps(certificate).encode()}, None
    made = {"step": "label", "version": "1", "digest": "d", "recipe": {}, "finished": True}
    yield {"made.json": json.dumps(made).encode()}, None
    summary = {one.name: 0 for one in fields(Summary)}
    index = {"blocks": [0], "telling": [0], "summary": summary}
    yield {"votes.json": json.dumps(index).encode()}, None
    table = ",".join([*NUMBERS, "touches_border"]) + "\n" + "1,5,1,1,1,0,0,0,2,2,2,false\n" * 3
    yield {"objects.csv": table.encode()}, None
    options = {"run": {"source": "a.tif", "out": "."}, "ingest": {"voxel_nm": [5, 5, 5]}}
    finished = {"key": "k", "files": {"a.tif": ""}, "found": ["3 objects"]}
    written = {"workflow.json": options, "ledger/finished.json": finished}
    yield {name: json.dumps(one).encode() for name, one in written.items()}, None


def _lines(objects: list[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def _record(folder: Path) -> str:
    """Everything that reads what is there; of several that refuse it the last one is told."""
    refused: VolprocError | None = None
    for name, read in RECORDS.items():
        if (folder / name).exists():
            try:
                read(folder)
            except VolprocError as error:
                if "\n" in str(error):
                    raise
                refused = error
    if refused:
        raise refused
    return "read"


def _ledger(folder: Path) -> None:
    recorded_blocks(folder, "ledger", digest="d")
    Ledger(folder / "ledger.jsonl", digest="d", blocks=3).flush()


def _table(folder: Path) -> None:
    table = read_packed(str(folder / "table"), digest="d")
    for name in "ab":
        if name in table:
            table[name]


def _lease(folder: Path) -> None:
    found = owner.parsed(lease_file.newest(str(folder))[1])
    if found:
        found.described()


def _certificate(folder: Path) -> None:
    from volproc.stages.predict import _certificate as line

    line(str(folder / "prediction.zarr"))


def _run_folder(folder: Path) -> None:
    for look in (saved, status, running, lambda where: found(saved(where))):
        with suppress(VolprocError):
            look(folder)
    saved(folder)


RECORDS: dict[str, Callable[[Path], Any]] = {
    "ledger.jsonl": _ledger,
    "votes-000000.npz": lambda folder: vote_store.read_votes(str(folder), 0),
    "votes.json": lambda folder: read_vote_index(str(folder)),
    "lease-000001.json": _lease,
    "table": _table,
    "upload.jsonl": lambda f: UploadRecord(str(f / "upload.jsonl"), head={"set": "1"}),
    "log.jsonl": lambda folder: (
        rates(str(folder)),
        history_of((folder / "log.jsonl").read_text(errors="replace").splitlines()),
    ),
    "prediction-certificate.json": _certificate,
    "made.json": lambda folder: read_provenance(str(folder)),
    "objects.csv": lambda folder: read_objects(
        (folder / "objects.csv").read_text(errors="replace").splitlines(), name="objects.csv"
    ),
    "workflow.json": _run_folder,
}

DOCUMENTS = {
    "export": Documents(exports, _votes),
    "card": Documents(cards, _described),
    "workflow": Documents(workflows, _workflow),
    "record": Documents(records, _record),
}
