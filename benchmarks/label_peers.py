"""Labelling side by side with others, in one run on the same cores.

    python benchmarks/label_peers.py FOLDER [--shape 512 1024 1024] [--peers NAME ...]

Makes a mask of nuclear envelopes and dust (50 nm voxels) and has each peer read it, find its
26-connected components, drop those below 10,000 voxels, and write the rest as uint32, each in
processes of its own whose CPU seconds and memory are counted (processes.py). "label only" drops
nothing and writes all, the least that cc3d can do. volproc writes the pyramid and the table as
well; the CPU seconds before the pyramid stand beside. dask-image is given parts of the mask, larger
and larger, until it takes longer than --limit-s; volproc then labels the largest it finished.
Results must have the same objects: their number and the number of their voxels are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from processes import measured

Shape = tuple[int, int, int]

VOXEL_NM = (50.0, 50.0, 50.0)
MINIMUM = 10_000
MINIMUM_UM3 = MINIMUM * 50**3 * 1e-9
CORNERS = np.ones((3, 3, 3))
PITCH, THICKNESS = 256, 3.0
DUST = 0.002
DASK_IMAGE_CHUNKS = (128, 128, 128)


def make_mask(url: Path, shape: Shape) -> None:
    """Envelopes of ellipsoids on a jittered lattice, 3 voxels thick, and specks of dust."""
    import volproc
    from volproc.grid.blocks import Tiling
    from volproc.grid.scale import parse_voxel_nm

    size = parse_voxel_nm(VOXEL_NM)
    info = volproc.new_volume(str(url), shape=shape, voxel_nm=size, dtype="uint8", max_levels=1)
    volume = volproc.create_volume(info, step="made", digest=f"{shape}", version="0")
    nuclei = _nuclei(shape)
    for block in Tiling(shape, info.write_unit):
        box = block.core
        rng = np.random.default_rng(block.index)
        values = rng.random(box.shape, dtype=np.float32) < DUST
        values[:, :, 1:] |= values[:, :, :-1] & (rng.random(values[:, :, 1:].shape) < 0.5)
        grids = [
            np.arange(a, b, dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
            for axis, (a, b) in enumerate(zip(box.start, box.stop, strict=True))
        ]
        for centre, axes in nuclei:
            parts = [
                slice(max(0, int(c - a) - 3 - s), max(0, min(int(c + a) + 4, e) - s))
                for c, a, s, e in zip(centre, axes, box.start, box.stop, strict=True)
            ]
            if any(part.start >= part.stop for part in parts):
                continue
            terms = [
                ((grid[tuple(part if i == axis else slice(None) for i in range(3))] - c) / a) ** 2
                for axis, (grid, part, c, a) in enumerate(
                    zip(grids, parts, centre, axes, strict=True)
                )
            ]
            distance = (np.sqrt(terms[0] + terms[1] + terms[2]) - 1) * min(axes)
            values[tuple(parts)] |= np.abs(distance) < THICKNESS / 2
        volume.write(box, values.astype(np.uint8) * 255)
    volume.finish()


def _nuclei(shape: Shape) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    rng = np.random.default_rng(1)
    corners = np.argwhere(np.ones([max(1, n // PITCH) for n in shape])) * PITCH + PITCH / 2
    return [(c + rng.uniform(-15, 15, 3), rng.uniform(70, 105, 3)) for c in corners]


def read(url: str) -> npt.NDArray[np.bool_]:
    """The mask, as anyone would read it."""
    import zarr

    return np.asarray(zarr.open_array(f"{url}/0", mode="r")[:]) >= 128


def write(out: str, labels: npt.NDArray[Any]) -> None:
    """Labels in chunks like volproc's, without shards, zstd-1, empty chunks left out."""
    import zarr
    from zarr.codecs import ZstdCodec

    array = zarr.create_array(
        out,
        shape=labels.shape,
        dtype="uint32",
        chunks=(64, 64, 64),
        compressors=ZstdCodec(level=1),
        config={"write_empty_chunks": False},
    )
    array[:] = labels


def without_dust(labels: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Labels of at least the minimum, numbered anew."""
    keep = np.bincount(labels.ravel()) >= MINIMUM
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.uint32)[labels]


def with_cc3d(mask: str, out: str) -> None:
    import cc3d

    labels = cc3d.connected_components(read(mask), connectivity=26, out_dtype=np.uint32)
    counts = cc3d.statistics(labels)["voxel_counts"]  # boxes and centroids come with it
    keep = counts >= MINIMUM
    keep[0] = False
    write(out, np.where(keep, np.cumsum(keep), 0).astype(np.uint32)[labels])


def with_cc3d_only(mask: str, out: str) -> None:
    import cc3d

    write(out, cc3d.connected_components(read(mask), connectivity=26, out_dtype=np.uint32))


def with_scipy(mask: str, out: str) -> None:
    from scipy import ndimage

    write(out, without_dust(ndimage.label(read(mask), CORNERS)[0]))


def with_skimage(mask: str, out: str) -> None:
    from skimage.measure import label

    write(out, without_dust(label(read(mask), connectivity=3)))


def with_dask_image(mask: str, out: str) -> None:
    """Labels as it gives them; nothing dropped."""
    import dask
    import dask.array
    from dask_image import ndmeasure

    lazy = dask.array.from_zarr(f"{mask}/0").rechunk(DASK_IMAGE_CHUNKS) >= 128
    with dask.config.set(scheduler="threads", num_workers=2):
        labels, _ = ndmeasure.label(lazy, structure=CORNERS)
        labels.astype("uint32").to_zarr(out)


def with_volproc(mask: str, out: str, *, workers: int = 0) -> None:
    import volproc
    from volproc import ClusterOptions

    began: dict[str, float] = {}

    def watch(event: Any) -> None:
        name = getattr(event, "step", "")
        used = resource.getrusage(resource.RUSAGE_SELF)
        began.setdefault(name, used.ru_utime + used.ru_stime)

    kind = ClusterOptions(workers=workers) if workers else ClusterOptions(kind="serial")
    options = volproc.LabelOptions(min_volume_um3=MINIMUM_UM3)
    made = volproc.label(mask, out, options, cluster=kind, watchers=(watch,))
    first = next((cpu for name, cpu in began.items() if name.startswith("pyramid")), None)
    note = {"cpu_before_pyramid_s": None if workers else first, "objects": made.objects}
    Path(f"{out}.json").write_text(json.dumps(note))


PEERS: dict[str, Callable[[str, str], None]] = {
    "volproc": with_volproc,
    "volproc, 2 workers": lambda mask, out: with_volproc(mask, out, workers=2),
    "cc3d, label only": with_cc3d_only,
    "cc3d": with_cc3d,
    "scipy": with_scipy,
    "skimage": with_skimage,
    "dask-image": with_dask_image,
}


def cost_of(peer: str, mask: Path, folder: Path, *, limit_s: float) -> dict[str, Any]:
    """Run one peer; its cost, and what it found."""
    out = folder / "out.zarr"
    command = [sys.executable, __file__, str(folder), "--peer", peer, "--mask", str(mask)]
    until = time.monotonic() + limit_s
    read(str(mask))  # all start with the mask in the system's memory
    cost = measured(command, log=folder / "log.txt", enough=lambda: time.monotonic() > until)
    row = {"peer": peer, **asdict(cost)}
    if not cost.code:
        row |= found_in(out)
        note = Path(f"{out}.json")
        row |= json.loads(note.read_text()) if note.exists() else {}
    for path in folder.glob("out.[ztcj]*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return row


def found_in(out: Path) -> dict[str, int]:
    """Large objects and their voxels."""
    import zarr

    level = out / "0" if (out / "0" / "zarr.json").exists() else out
    counts = np.bincount(np.asarray(zarr.open_array(level, mode="r")[:]).ravel())
    large = counts[1:][counts[1:] >= MINIMUM]
    return {"large": len(large), "voxels": int(large.sum())}


COLUMNS = (
    "peer",
    "voxels",
    "wall s",
    "CPU s",
    "CPU, times cc3d's",
    "before the pyramid",
    "peak GB",
    "objects",
)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    least = next((r["cpu_s"] for r in rows if r["peer"] == "cc3d, label only" and not r["code"]), 0)
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        if row["code"]:
            stopped = f"stopped after {row['wall_s']:.0f} s"
            yield f"| {row['peer']} | {row['shape']} | {stopped} {'| ' * 5}|"
            continue
        before = row.get("cpu_before_pyramid_s")
        words = (
            row["peer"],
            row["shape"],
            f"{row['wall_s']:.1f}",
            f"{row['cpu_s']:.1f}",
            f"{row['cpu_s'] / least:.2f}" if least else "",
            f"{before:.1f}" if before else "",
            f"{row['peak_bytes'] / 1e9:.2f}",
            str(row["large"]),
        )
        yield f"| {' | '.join(words)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 1024, 1024))
    parser.add_argument("--limit-s", type=float, default=2400)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=tuple(PEERS))
    parser.add_argument("--peer")
    parser.add_argument("--mask")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.peer:
        PEERS[given.peer](given.mask, str(given.folder / "out.zarr"))
        return
    rows: list[dict[str, Any]] = []

    def run(peer: str, shape: Shape, limit_s: float = 3600) -> dict[str, Any]:
        mask = given.folder / f"mask-{'x'.join(map(str, shape))}.zarr"
        if not mask.exists():
            make_mask(mask, shape)
        row = {"shape": "x".join(map(str, shape))}
        row |= cost_of(peer, mask, given.folder, limit_s=limit_s)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        (given.folder / "label_peers.json").write_text(json.dumps(rows, indent=1))
        return row

    for peer in given.peers:
        if peer != "dask-image":
            run(peer, tuple(given.shape))
    assert len({(row["large"], row["voxels"]) for row in rows}) <= 1, "objects differ"
    print("\n".join(table(rows)), flush=True)
    rows = []
    finished = None
    for shape in PARTS if "dask-image" in given.peers else ():
        if run("dask-image", shape, given.limit_s)["code"]:
            break
        finished = shape
    if finished:
        run("volproc", finished)
    print("\n".join(table(rows) if rows else ()))
    print(f"{prod(given.shape) / 1e6:.4g} Mvoxel; chunks of dask-image {DASK_IMAGE_CHUNKS}")


PARTS: tuple[Shape, ...] = (
    (256, 256, 256),
    (256, 512, 512),
    (512, 512, 512),
    (512, 512, 1024),
    (512, 1024, 1024),
)

if __name__ == "__main__":
    main()
