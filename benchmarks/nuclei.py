"""Nuclei from envelopes, scored object by object: expert labels of a HeLa cell, and a phantom.

    python benchmarks/nuclei.py DATA FOLDER [--voxel-nm 40] [--phantom-um 8 30 30] [--only ...]

DATA holds hela-roi329/labels4_multinuclei_10nm.tif: class 1 is the envelope of the cell in the
middle, class 2 the nuclei of all cells in view. Cases:

    drawn      class 1 as it is: rings drawn slice by slice, open between slices where slices shift
    all        the other nuclei get an envelope as well: their outermost 77 nm in every slice
    broken     of all, one voxel in 20 is taken away, in balls of 300 nm
    shells     as all, but their outermost 77 nm in space, closed at the top and at the bottom
    phantom    outermost 77 nm of every nucleus, broken the same way; scraps of envelope around the
               cell that divides, which has no nucleus; nuclei cut by the volume's border

The truth are nuclei with their envelopes, of 1.25 um³ or more. PQ counts an object as found from an
IoU of 0.5 on (Kirillov et al., CVPR 2019).
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cc3d
import numpy as np
import tifffile
from saved_volume import saved
from scipy.ndimage import binary_dilation, distance_transform_edt

import volproc
from volproc import ClusterOptions, InteriorOptions, PhantomOptions

THICKNESS_NM = 77
MIN_UM3 = 1.25
CASES = ("drawn", "all", "broken", "shells", "phantom")
METHODS = {
    "volume or z": {},
    "volume": {"axes": ""},
    "z": {"volume": False},
    "two of zyx": {"axes": "zyx", "volume": False},
    "z, gap_nm 0": {"volume": False, "gap_nm": 0.0},
}


def expert(data: Path, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of every voxel, `factor` times coarser in the plane: the envelope, and nuclei."""
    path = data / "hela-roi329" / "labels4_multinuclei_10nm.tif"
    envelope, nuclei = [], []
    for plane in tifffile.imread(path):
        rows, columns = (n // factor for n in plane.shape)
        cells = plane[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
        envelope.append((cells == 1).mean(axis=(1, 3)) >= 0.5)
        nuclei.append(((cells == 1) | (cells == 2)).mean(axis=(1, 3)) >= 0.5)
    return np.array(envelope), np.array(nuclei) & ~np.array(envelope)


def instances(inside: np.ndarray, envelope: np.ndarray, size: tuple) -> np.ndarray:
    """Nuclei as ids: the pieces of the inside that are large enough, and the envelope by them."""
    labels = cc3d.connected_components(inside, connectivity=6)
    least = MIN_UM3 * 1e9 / np.prod(size)
    labels = cc3d.dust(labels, threshold=int(least), connectivity=6)
    labels = cc3d.connected_components(labels, connectivity=6, out_dtype=np.uint32)
    room = _bounds(envelope, 10)
    here = labels[room]
    far, nearest = distance_transform_edt(here == 0, sampling=size, return_indices=True)
    here[...] = np.where(envelope[room] & (far < 300), here[tuple(nearest)], here)
    return labels


def _bounds(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """The smallest box around a mask, and some more."""
    along = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return tuple(slice(max(0, n[0] - margin), n[-1] + 1 + margin) for n in along)


def outermost(labels: np.ndarray, size: tuple, *, in_slices: bool) -> np.ndarray:
    """Voxels within 77 nm of where a nucleus ends; the volume's border is no end."""
    if in_slices:
        size = (1e9, *size[1:])
    # a voxel's centre is half a voxel nearer to the end than to the next centre beyond it
    within = THICKNESS_NM + size[2] / 2
    found = np.zeros(labels.shape, bool)
    for number, place in enumerate(cc3d.statistics(labels)["bounding_boxes"]):
        if number and (mask := labels[place] == number).any():
            ends = [
                (int(s.start > 0), int(s.stop < n))
                for s, n in zip(place, labels.shape, strict=True)
            ]
            padded = np.pad(np.pad(mask, ends), [(1 - a, 1 - b) for a, b in ends], mode="edge")
            near = distance_transform_edt(padded, sampling=size) <= within
            found[place] |= mask & near[1:-1, 1:-1, 1:-1]
    return found


def broken(envelope: np.ndarray, size: tuple) -> np.ndarray:
    """The envelope with balls of 300 nm taken out until a twentieth of it is gone."""
    rng = np.random.default_rng(0)
    places = np.argwhere(envelope)
    ball = np.stack(
        np.meshgrid(
            *[np.arange(-n, n + 1) for n in (150 // np.array(size)).astype(int)], indexing="ij"
        ),
        -1,
    ).reshape(-1, 3)
    ball = ball[((ball * size) ** 2).sum(axis=1) <= 150**2]
    out, left = envelope.copy(), int(0.95 * len(places))
    while np.count_nonzero(out) > left:
        for centre in places[rng.integers(0, len(places), max(1, len(places) // 5000))]:
            there = np.clip(centre + ball, 0, np.array(out.shape) - 1)
            out[tuple(there.T)] = False
    return out


def scored(found: np.ndarray, truth: np.ndarray, few: np.ndarray) -> dict:
    """IoU of every true object with its best match; PQ; wrong objects. `few` are ids to score."""
    width = int(found.max()) + 1
    counts = np.bincount((truth.astype(np.int64) * width + found).ravel(), minlength=width)
    table = np.pad(counts, (0, -len(counts) % width)).reshape(-1, width)
    sizes_t, sizes_f = table.sum(axis=1), table.sum(axis=0)
    iou = {}
    for t in few.tolist():
        for f in (np.flatnonzero(table[t, 1:]) + 1).tolist():
            iou[t, f] = table[t, f] / (sizes_t[t] + sizes_f[f] - table[t, f])
    best = {t: max((v for (a, _), v in iou.items() if a == t), default=0.0) for t in few.tolist()}
    matched = [v for v in iou.values() if v > 0.5]
    wrong = len(np.flatnonzero(sizes_f[1:])) - len(matched)
    missed = len(few) - len(matched)
    quality = sum(matched) / max(1e-9, len(matched) + 0.5 * wrong + 0.5 * missed)
    return {"best": best, "matched": matched, "wrong": wrong, "missed": missed, "pq": quality}


def cases(
    args: argparse.Namespace,
) -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple, np.ndarray]]:
    """Name, envelope, truth, voxel size, and the ids of the truth to be found."""
    size = (50.0, args.voxel_nm, args.voxel_nm)
    envelope, inside = expert(args.data, int(args.voxel_nm // 10))
    truth = instances(inside, envelope, size)
    drawn = np.unique(truth[envelope & (truth > 0)])
    yield "drawn", envelope, truth, size, drawn
    others = np.where(np.isin(truth, drawn), 0, truth)
    whole = envelope | outermost(others, size, in_slices=True)
    everyone = np.unique(truth[truth > 0])
    yield "all", whole, truth, size, everyone
    yield "broken", broken(whole, size), truth, size, everyone
    shells = envelope | outermost(others, size, in_slices=False)
    yield "shells", shells, truth, size, everyone
    yield from phantom(args)


def phantom(args: argparse.Namespace) -> Iterator[tuple]:
    """A made volume, whose dividing cell has scraps of envelope."""
    url, size = str(args.folder / "made.zarr"), (50.0, args.voxel_nm, args.voxel_nm)
    shape = tuple(int(um * 1000 / nm) for um, nm in zip(args.phantom_um, size, strict=True))
    volproc.phantom(url, PhantomOptions(shape=shape, voxel_nm=size, seed=3), cluster=ALONE)
    labels = volproc.open_volume(f"{url}/labels/nuclei")
    truth = labels.read(labels.info.box)
    envelope = broken(outermost(truth, size, in_slices=False), size)
    rng = np.random.default_rng(1)
    for centre in labels.info.provenance["scene"]["dividing_cells_nm"]:
        grids = np.ogrid[tuple(map(slice, truth.shape))]
        parts = ((g + 0.5) * s - c for g, s, c in zip(grids, size, centre, strict=True))
        distance = np.sqrt(sum(part**2 for part in parts))
        shell = np.abs(distance - 3000) < 40
        scraps = np.zeros(truth.shape, bool)
        places = np.argwhere(shell)
        chosen = places[rng.integers(0, len(places), max(1, len(places) // 4000))]
        scraps[tuple(chosen.T)] = True
        envelope |= shell & binary_dilation(scraps, iterations=12) & (truth == 0)
    volumes = np.bincount(truth.ravel()) * np.prod(size) * 1e-9
    ids = np.flatnonzero(volumes >= MIN_UM3)
    yield "phantom", envelope, truth, size, ids[ids > 0]


ALONE = ClusterOptions(kind="serial")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voxel-nm", type=float, default=40.0)
    parser.add_argument("--phantom-um", type=float, nargs=3, default=(8.0, 30.0, 30.0))
    parser.add_argument("--only", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    print("| case | options | found / true | wrong | mean IoU of found | least IoU | PQ | CPU s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, envelope, truth, size, ids in cases(args):
        if name not in args.cases:
            continue
        source = saved(args.folder / f"{name}.zarr", envelope.astype(np.uint8), size)
        lines = []
        for title in args.only:
            options = METHODS[title]
            began = time.process_time()
            out = str(args.folder / f"{name}-{title.replace(' ', '-').replace(',', '')}.zarr")
            made = volproc.interior(source, out, InteriorOptions(**options), cluster=ALONE)
            seconds = time.process_time() - began
            score = scored(made.read(made.info.box), truth, ids)
            matched = score["matched"]
            mean, least = (np.mean(matched), min(matched)) if matched else (0, 0)
            print(
                f"| {name} | {title} | {len(matched)} / {len(ids)} | {score['wrong']} | {mean:.4f} "
                f"| {least:.4f} | {score['pq']:.4f} | {seconds:.0f} |",
                flush=True,
            )
            if title == "volume or z":
                lines = [f"{n}: {v:.4f}" for n, v in score["best"].items()]
        print(f"\nIoU of each, volume or z, {name}: {', '.join(lines)}\n", flush=True)


if __name__ == "__main__":
    main()
