"""Damaged files for every reader of ingest, `check`, and all documents. See scripts/fuzz.

File number n of a reader is always the same: a sound one, damaged by a generator seeded with n.
What is right: a VolprocError of one line, or an array of the shape and type that the source
announces; of a file cut short the array as it was. Wrong are another exception, an array that is
not as announced, more than 10 s, and a need of more than 2 GB. Files that were wrong are kept.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import tifffile
import zarr
from fuzz_documents import DOCUMENTS
from fuzz_documents import tests_file as _tests
from PIL import Image

from volproc import IngestOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import VolprocError
from volproc.grid.box import Box, whole_box
from volproc.stages.check.stage import plan_check, run_check
from volproc.stages.ingest.formats import hdf5
from volproc.stages.ingest.reader import open_source

ROOT = Path(__file__).parents[1]
MAX_BYTES = 2 * 2**30
MAX_SECONDS = 10
MAX_VOXELS = 2**22
"""Of larger announced volumes only corners are read: a run reads them block by block as well."""

STACK = np.random.default_rng(3).integers(0, 255, (4, 24, 20), dtype="u1")
Files = dict[str, bytes]
"""Names and contents; a reader opens the first, or the folder where they have one in common."""


def _tiff(values: Any = STACK, **how: Any) -> bytes:
    file = io.BytesIO()
    bigtiff, order = how.pop("bigtiff", False), how.pop("byteorder", "<")
    kinds = {key: how.pop(key) for key in ("imagej", "ome") if key in how}
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder=order, **kinds) as tiff:
        tiff.write(values, **({} if kinds else {"photometric": "minisblack"}) | how)
    return file.getvalue()


def tiffs() -> Iterator[tuple[Files, Any]]:
    wide = STACK.astype("u2") * 200
    for number, (values, how) in enumerate(
        [
            (STACK, {}),
            (STACK, {"compression": "zlib", "rowsperstrip": 7}),
            (wide, {"compression": "lzw", "predictor": True, "byteorder": ">"}),
            (STACK, {"compression": "packbits", "bigtiff": True}),
            (STACK, {"compression": "zstd", "tile": (16, 16)}),
            (STACK, {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 0.05, "unit": "um"}}),
            (STACK, {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": 0.05}}),
            (STACK.astype("f4"), {"compression": "zlib", "predictor": 3}),
            (STACK > 99, {"compression": "packbits"}),
        ]
    ):
        yield {f"a{number}.tif": _tiff(values, **how)}, values


def images() -> Iterator[tuple[Files, Any]]:
    plane = STACK[0]
    for name, values in {
        "a.png": plane, "b.png": plane.astype("u2") * 200, "c.png": plane > 99, "d.jpg": plane,
    }.items():  # fmt: skip
        file = io.BytesIO()
        Image.fromarray(values).save(file, "JPEG" if name.endswith("jpg") else "PNG")
        shown = values.astype("u1") * 255 if values.dtype == bool else values
        yield {name: file.getvalue()}, None if name.endswith("jpg") else shown[None]


def dms() -> Iterator[tuple[Files, Any]]:
    writers = _tests("ingest/formats/test_dm")
    for version, order in writers.FORMATS:
        tags = {"ImageList": writers.listed(writers.image(STACK[0], [(2.0, "nm"), (2.0, "nm")]))}
        data = writers.Writer(version, order).file(tags)
        yield {f"a.dm{version}": data}, STACK[:1]


def mrcs() -> Iterator[tuple[Files, Any]]:
    made = _tests("ingest/formats/test_mrc").mrc_bytes
    yield {"a.mrc": made(STACK.astype("i2"), cell=(200, 240, 200))}, STACK.astype("i2")
    yield {"b.mrc": made(STACK.astype("f4"), order=">", extended=96)}, STACK.astype("f4")
    yield {"c.rec": made(STACK.view("i1"), imod=0)}, STACK
    yield {"d.mrc": made(STACK.astype("u2"), axes=(2, 1, 3))}, None
    yield {"e.mrc.gz": gzip.compress(made(STACK.astype("i2")))}, STACK.astype("i2")


def hdf5s() -> Iterator[tuple[Files, Any]]:
    ways: list[dict[str, Any]] = [
        {},
        {"chunks": (2, 8, 8), "compression": "gzip", "shuffle": True},
        {"chunks": (2, 8, 8), "compression": "lzf", "fletcher32": True},
        {"chunks": (4, 24, 20), "compression": "gzip", "maxshape": (None, None, None)},
    ]
    for number, how in enumerate(ways):
        file = io.BytesIO()
        with h5py.File(file, "w", libver="latest" if number == 3 else "earliest") as made:
            data = made.create_dataset("volumes/raw", data=STACK, **how)
            data.attrs["resolution"] = [50.0, 10.0, 10.0]
            made.create_dataset("other", data=STACK[0, 0])
        yield {f"a{number}.h5": file.getvalue()}, STACK


def zarrs() -> Iterator[tuple[Files, Any]]:
    ome = {
        "axes": [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"],
        "datasets": [
            {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for n, scale in enumerate([[50.0, 10.0, 10.0], [50.0, 20.0, 20.0]])
        ],
    }
    for version in 2, 3:
        with tempfile.TemporaryDirectory() as folder:
            group = zarr.open_group(f"{folder}/v.zarr", mode="w", zarr_format=version)
            shards = {"shards": (4, 16, 16)} if version == 3 else {}
            for number, values in enumerate([STACK, STACK[:, ::2, ::2]]):
                array = group.create_array(
                    str(number), shape=values.shape, dtype="u1", chunks=(2, 8, 8), **shards
                )
                array[:] = values
            stated = {"ome": {"version": "0.5", "multiscales": [ome]}}
            old = {"multiscales": [{**ome, "version": "0.4"}]}
            group.attrs.update(stated if version == 3 else old)
            yield _packed(folder, "v.zarr"), STACK
            yield _packed(folder, "v.zarr/0"), STACK


def n5s() -> Iterator[tuple[Files, Any]]:
    import tensorstore

    writers = _tests("ingest/formats/test_zarr")
    with tempfile.TemporaryDirectory() as folder:
        note = {"resolution": [10, 10, 50], "units": ["nm", "nm", "nm"]}
        writers.write_n5(tensorstore, Path(folder) / "v.n5", STACK, attributes=note)
        yield _packed(folder, "v.n5"), STACK


def _packed(folder: str, name: str) -> Files:
    paths = sorted(path for path in Path(folder, name).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def series() -> Iterator[tuple[Files, Any]]:
    """Names are damaged here, not contents."""
    for names in ("z={}um.tif", "roi1_z{:03d}_8nm.tif", "s{}.tif"):
        yield {f"s/{names.format(n)}": _tiff(plane) for n, plane in enumerate(STACK)}, None


def colours() -> Iterator[tuple[Files, Any]]:
    """Palettes, colour that is grey, white as 0, and pixels that are turned."""
    ramp = np.arange(256, dtype="u2")
    grey = np.array([ramp * 257] * 3)
    rgb = np.stack([STACK] * 3, axis=-1)
    for number, how in enumerate(
        [
            {"photometric": "palette", "colormap": grey},
            {"photometric": "palette", "colormap": grey, "compression": "zlib"},
            {"photometric": "miniswhite", "rowsperstrip": 5},
            {"photometric": "minisblack", "extratags": [(274, "H", 1, 6, True)]},
        ]
    ):
        yield {f"a{number}.tif": _tiff(STACK, **how)}, None
    yield {"b.tif": _tiff(rgb, photometric="rgb", compression="zlib")}, None
    yield {"c.png": imagecodecs.png_encode(rgb[0].astype("u2") * 257)}, None
    yield {"d.png": imagecodecs.png_encode(rgb[0, ..., :2].copy())}, None
    for bits in 2, 8:
        file = io.BytesIO()
        indexed = Image.fromarray(STACK[0] & (2**bits - 1), "P")
        indexed.putpalette(np.repeat(np.arange(2**bits, dtype="u1"), 3).tobytes())
        indexed.save(file, "PNG", bits=bits)
        yield {f"e{bits}.png": file.getvalue()}, None


def slices() -> Iterator[tuple[Files, Any]]:
    """Series of each format, and an OME-TIFF in several files: contents of one are damaged."""
    planes = dict(enumerate(STACK))
    yield {f"s/a{n}.tif": _tiff(one, compression="zlib") for n, one in planes.items()}, None
    made = _tests("ingest/formats/test_mrc").mrc_bytes
    yield {f"s/b{n}.mrc": made(one[None].astype("i2")) for n, one in planes.items()}, None
    pngs = {f"s/c{n}.png": imagecodecs.png_encode(one) for n, one in planes.items()}
    yield pngs, None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "s").mkdir()
        _tests("ingest/formats/test_tiff_metadata").write(Path(folder) / "s")
        yield _packed(folder, "s"), None


READERS: dict[str, Callable[[], Iterator[tuple[Files, Any]]]] = {
    "tiff": tiffs, "image": images, "dm": dms, "mrc": mrcs, "hdf5": hdf5s, "zarr": zarrs,
    "n5": n5s, "series": series, "colour": colours, "slices": slices, "check": zarrs,
    **{name: one.sound for name, one in DOCUMENTS.items()},
}  # fmt: skip

ODD_NUMBERS = [0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63]
ODD_JSON: list[Any] = [
    None, True, -1, 0, 1e308, -1e-300, float("nan"), 2**70, "", "x", "\0", [], {}, [[]], ["z", "y"],
    [0, 0, 0], [-1.0, 1.0, 1.0], {"type": "scale"}, [None], [2**40, 2**40, 2**40], "../..", "/",
]  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> tuple[bytes, bool]:
    """The file with one to four faults, and whether all that happened is that it was cut short."""
    if chance.random() < 0.15:
        return data[: chance.randrange(len(data) + 1)], True
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if not out:
            break
        # most of what can confuse a reader stands in front or at the end
        near = chance.choice([len(out), min(len(out), 1200), min(len(out), 200)])
        place = chance.randrange(near)
        place = len(out) - 1 - place if chance.random() < 0.3 else place
        match chance.randrange(7):
            case 0:
                out[place] ^= 1 << chance.randrange(8)
            case 1:
                out[place] = chance.randrange(256)
            case 2:
                order, kind = chance.choice("<>"), chance.choice("BHIQ")
                limit = 2 ** (8 * struct.calcsize(kind)) - 1
                odd = struct.pack(order + kind, min(limit, chance.choice(ODD_NUMBERS)))
                out[place : place + len(odd)] = odd
            case 3:
                length = chance.choice([1, 4, 16, 300])
                out[place : place + length] = bytes(len(out[place : place + length]))
            case 4:
                del out[place : place + chance.choice([1, 2, 8, 100])]
            case 5:
                out[place:place] = chance.randbytes(chance.choice([1, 2, 8, 100]))
            case 6:
                other = chance.randrange(len(out))
                out[place : place + 16] = out[other : other + 16]
    return bytes(out), False


def damaged_lines(data: bytes, chance: random.Random) -> bytes:
    """Lines of JSON, one of them damaged."""
    lines = data.splitlines()
    number = chance.randrange(len(lines))
    lines[number] = damaged_json(lines[number], chance)
    return b"\n".join(lines) + b"\n"


def damaged_cells(data: bytes, chance: random.Random) -> bytes:
    """A table in which a cell of JSON is damaged, or another one is replaced by an odd value."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    row = chance.choice(rows[1:])
    number = chance.randrange(len(row))
    if row[number].startswith(("{", "[")):
        row[number] = damaged_json(row[number].encode(), chance).decode()
    else:
        row[number] = str(chance.choice(ODD_JSON))
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def damaged_toml(data: bytes, chance: random.Random) -> bytes:
    """Keys of a TOML file with values gone, doubled or odd: as JSON writes most of them."""
    lines = data.decode().splitlines()
    number = chance.choice([n for n, line in enumerate(lines) if "=" in line])
    key, _, value = lines[number].partition("=")
    odd = [value, json.dumps(chance.choice(ODD_JSON)), "[" * 5000, "1979-05-27", "1_000", "-nan"]
    lines[number] = f"{key} = {chance.choice(odd)}"
    if chance.random() < 0.2:
        lines[number] = lines[chance.randrange(len(lines))]
    return "\n".join(lines).encode()


DAMAGE = {".jsonl": damaged_lines, ".csv": damaged_cells, ".toml": damaged_toml}
DESCRIBED = ("json", ".zarray", ".zattrs", ".zgroup", *DAMAGE)


def damaged_json(data: bytes, chance: random.Random) -> bytes:
    """Metadata with a value gone, doubled, or replaced by an odd one."""
    document = json.loads(data)
    for _ in range(chance.choice([1, 1, 2])):
        places: list[tuple[Any, Any]] = []
        _collect(document, places)
        if not places:
            break
        inside, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                del inside[key]
            case 1:
                inside[key] = [inside[key], deepcopy(inside[key])]
            case _:
                inside[key] = deepcopy(chance.choice(ODD_JSON))
    return json.dumps(document).encode()


def _collect(node: Any, places: list[tuple[Any, Any]]) -> None:
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        places.append((node, key))
        _collect(node[key], places)


def damaged_name(name: str, chance: random.Random) -> str:
    letters = list(name)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(letters) + 1)
        letters[place : place + chance.randrange(2)] = chance.choice("0123456789.,-_ %[]*?:~#é²१a")
    return "".join(letters).replace("/", "_") or "_"


def one_case(reader: str, number: int, sound: list[tuple[Files, Any]]) -> tuple[Files, Any]:
    """The files of a case, and what they must be read as where nothing can have been lost."""
    chance = random.Random(f"{reader}/{number}")
    files, values = sound[number % len(sound)]
    files = dict(files)
    if reader == "series":
        for name in list(files):
            if chance.random() < 0.4:
                folder, _, last = name.rpartition("/")
                files[f"{folder}/{damaged_name(last, chance)}"] = files.pop(name)
        return files, None
    names = list(files)
    described = [name for name in names if name.endswith(DESCRIBED)]
    name = chance.choice(described if described and chance.random() < 0.7 else names)
    if len(names) > 1 and chance.random() < 0.05:
        del files[name]
        return files, None
    if name in described and chance.random() < 0.8:
        kind = next(end for end in DESCRIBED if name.endswith(end))
        change = DAMAGE.get(kind, damaged_json)
        files[name] = change(files[name], chance)
        return files, None
    files[name], cut = damaged(files[name], chance)
    return files, values if cut and len(names) == 1 else None


class Late(BaseException):
    """More than 10 s."""


def _late(*_: Any) -> None:
    raise Late


def judged(reader: str, files: Files, values: Any, folder: Path) -> str:
    """What became of the files: "refused: ...", "read", or "WRONG: ..."."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    first = next(iter(files), "x")
    top = folder / first if "/" not in first else folder / first.partition("/")[0]
    if first.startswith("v.zarr/0") and all(name.startswith("v.zarr/0") for name in files):
        top = folder / "v.zarr/0"
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(MAX_SECONDS)
    try:
        return _tried(reader, str(top), values, folder)
    except VolprocError as error:
        said = str(error)
        memory = _has_memory_error(error)
        if "\n" in said or not said or memory:
            return f"WRONG: {'MemoryError behind ' if memory else ''}not one line: {said!r}"
        return f"refused: {said}"
    except Late:
        return "WRONG: it takes more than 10 s"
    except BaseException as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
        return f"WRONG: {type(error).__name__}: {str(error)[:200]} ({place})"
    finally:
        signal.alarm(0)


def _has_memory_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tried(reader: str, top: str, values: Any, folder: Path) -> str:
    if reader in DOCUMENTS:
        return DOCUMENTS[reader].read(folder)
    if reader == "check":
        found = run_check(plan_check(top, depth="deep"), Runner(SerialEngine(), folder / "records"))
        return "refused: findings" if found else "read"
    source = open_source(top, IngestOptions(missing="blank"))
    boxes = [whole_box(source.shape)]
    if whole_box(source.shape).size > MAX_VOXELS:
        start = tuple(max(0, n - 8) for n in source.shape)
        boxes = [Box((0, 0, 0), tuple(min(n, 8) for n in source.shape)), Box(start, source.shape)]
    for box in boxes:
        got = source.read(box)
        if got.shape != box.shape or str(got.dtype) != source.dtype:
            return f"WRONG: {got.dtype} {got.shape}, announced {source.dtype} {box.shape}"
    if values is not None and not np.array_equal(got, values):
        return "WRONG: cut short, and read without a word"
    return "read"


def run_cases(reader: str, first: int, number: int) -> Iterator[tuple[int, str]]:
    """Cases in this process: the number of each and what became of it."""
    sound = list(READERS[reader]())
    for case in range(first, first + number):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield case, judged(reader, *one_case(reader, case, sound), Path(folder))


def _limited_run(reader: str, first: int, number: int, results: Path, *, probing: bool) -> None:
    """In a child: the cases under a limit of memory, each noted before the next begins."""
    if not probing:  # this child is as good, and 100 times as fast
        hdf5.refuse_deadly = lambda url: None
    for _ in run_cases(reader, 0, 3):  # everything is imported and warm
        pass
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, used + MAX_BYTES))
    with results.open("a", buffering=1) as notes:
        for case, said in run_cases(reader, first, number):
            notes.write(json.dumps([case, said]) + "\n")


def _in_child(work: Callable[..., None], *arguments: Any, **named: Any) -> None:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work(*arguments, **named)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def fuzz(reader: str, first: int, number: int, kept: Path) -> bool:
    """All cases of a reader, in children that may die; True if none was wrong."""
    results = kept / f"{reader}.jsonl"
    results.unlink(missing_ok=True)
    results.touch()
    place, end = first, first + number
    while place < end:
        _in_child(_limited_run, reader, place, end - place, results, probing=False)
        place = first + sum(1 for _ in results.open())
        if place < end:  # it died there; alone, with all that readers do about it, it may not
            _in_child(_limited_run, reader, place, 1, results, probing=True)
            if first + sum(1 for _ in results.open()) == place:
                results.open("a").write(json.dumps([place, "WRONG: the process died"]) + "\n")
            place += 1
    found = dict(json.loads(line) for line in results.open())
    wrong = {case: said for case, said in found.items() if said.startswith("WRONG")}
    read = sum(said == "read" for said in found.values())
    print(f"{reader}: {len(found)} files, {read} read, {len(found) - read - len(wrong)} refused, "
          f"{len(wrong)} wrong", flush=True)  # fmt: skip
    for said, count in Counter(said for said in wrong.values()).most_common(15):
        case = next(case for case, one in wrong.items() if one == said)
        print(f"  {count} x {said} (first: --first {case} --number 1)", flush=True)
    return not wrong


def main() -> int:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("readers", nargs="*", default=list(READERS), metavar="READER")
    asked.add_argument("--number", type=int, default=10_000)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--keep", type=Path, default=None, help="write the damaged files here")
    chosen = asked.parse_args()
    unknown = set(chosen.readers) - set(READERS)
    if unknown:
        asked.error(f"{', '.join(unknown)}: known are {', '.join(READERS)}")
    if chosen.keep:
        for reader in chosen.readers:
            sound = list(READERS[reader]())
            for case in range(chosen.first, chosen.first + chosen.number):
                files, _ = one_case(reader, case, sound)
                for name, data in files.items():
                    path = chosen.keep / f"{reader}-{case}" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
        return 0
    kept = Path(tempfile.mkdtemp())
    sound = [fuzz(reader, chosen.first, chosen.number, kept) for reader in chosen.readers]
    shutil.rmtree(kept)
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
