"""Cases for doubt: features of objects, and whether each is right; made once, kept in files.

    python benchmarks/doubt_cases.py made FOLDER SEED ... [--variants 8] [--only KIND]
    python benchmarks/doubt_cases.py predicted FOLDER SEED ...        phantoms of 50 nm, predicted
    python benchmarks/doubt_cases.py spoilt FOLDER SEED ...           the same, damaged

On one core a phantom of "made" takes seconds, and a variant of it one; "predicted" two minutes.
"""

from __future__ import annotations

import argparse
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from doubt_damage import DAMAGES, damaged, labels_of, truth_of, votes_of, without_small

import volproc
from volproc import PhantomOptions
from volproc.grid.box import whole_box
from volproc.stages.doubt.doubt_tasks import axes_of, block_counts, counted
from volproc.stages.doubt.object_features import features_of
from volproc.stages.doubt.profiles import axis_profiles
from volproc.stages.objects.components import equal_values
from volproc.stages.scores.contingency import MATCH_IOU, Contingency, block_contingency
from volproc.volume.store import open_volume

SHIPPED = Path(volproc.__file__).parent / "model" / "shipped"
AXES = {"votes": 3, "probability": 1, "labels": 0}
SHAPE_50_NM = (240, 512, 512)


@dataclass
class Case:
    """One volume: of each set its features; what is right; what its votes say of missed ones."""

    name: str
    features: dict[str, tuple[tuple[str, ...], np.ndarray]]
    iou: np.ndarray
    missed: int
    yes: np.ndarray
    voxels: np.ndarray
    lumps: np.ndarray
    kinds: tuple[str, ...] = ()

    @property
    def right(self) -> np.ndarray:
        return self.iou > MATCH_IOU


def case_of(name: str, truth: np.ndarray, votes: np.ndarray, labels: np.ndarray) -> Case:
    """Everything that is measured of one volume, in one block."""
    shape, voxel_nm = labels.shape, (50.0, 50.0, 50.0)
    mean = ((2 * votes.sum(axis=0, dtype=np.int32) + 3) // 6).astype(np.uint8)
    features, kept = {}, None
    for kind, values in (("votes", votes), ("probability", mean)):
        one = block_counts(labels, values, level=128, core=whole_box(shape), shape=shape)
        found = counted([one], shape)
        kept = kept or found
        axes = axes_of(found, voxel_nm=voxel_nm)["axes"]
        local, ids = equal_values(labels)
        profiles = axis_profiles(local, ids, axes, origin=(0, 0, 0), voxel_nm=voxel_nm)
        for own in (kind, "labels"):  # of the same counts, those of form alone
            made = features_of(found, profiles, voxel_nm=voxel_nm, axes=AXES[own])
            features[own] = made.names, made.values
    iou, missed = matches(truth, labels, kept.ids)
    return Case(
        name, features, iou, missed, kept.yes(3), kept.objects.voxels.astype(float), kept.lumps
    )


def matches(truth: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, int]:
    """The best IoU of each object, and how many of the truth have no match."""
    overlaps = Contingency.of(block_contingency(truth, labels)).overlaps
    best = overlaps.swapped().best()
    iou = np.array([best.get(int(n), (0, 0.0))[1] for n in ids])
    matched = {int(t) for t in overlaps.here[overlaps.iou > MATCH_IOU]}
    return iou, len(set(np.unique(truth).tolist()) - {0} - matched)


def truth_kept(folder: Path, seed: int) -> np.ndarray:
    """Nuclei of a phantom of coarse voxels, made once."""
    place = folder / f"truth-{seed}.npy"
    if not place.exists():
        nm = float(np.random.default_rng(seed).uniform(200, 300))
        look = ("hela", "varied")[seed % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(place, truth_of(seed, look=look, shape=(104,) * 3, nm=nm))
    return without_small(np.load(place))


def made(folder: Path, seed: int, variant: int, *, only: str = "") -> Case:
    """A phantom with made votes, damaged in three ways of the many."""
    rng = np.random.default_rng([seed, variant, len(only)])
    truth = truth_kept(folder, seed)
    kinds = [only] if only else [str(one) for one in rng.choice([*DAMAGES], 3, replace=False)]
    votes, labels = damaged(truth, votes_of(truth, rng), rng, kinds=kinds)
    case = case_of(f"made {seed} {variant}", truth, votes, labels)
    return replace(case, kinds=tuple(kinds))


def look_of_phantom(seed: int) -> dict:
    """Of every third seed a bad microscope: noise, little contrast, blur."""
    rng = np.random.default_rng(seed)
    size, cytoplasm = float(rng.uniform(0.45, 0.9)), float(rng.uniform(0.3, 1))
    how = {"look": ("hela", "varied")[seed % 2], "nucleus_size": size, "cytoplasm": cytoplasm}
    if seed % 3 == 0:
        how |= {"noise": float(rng.uniform(1.5, 4)), "contrast": float(rng.uniform(0.3, 0.8))}
        how |= {"blur_nm": float(rng.uniform(0, 250))}
    return how


def predict(folder: Path, seed: int) -> Path:
    """A phantom of 50 nm and what nuclei-50nm says of it, made once."""
    place = folder / "predicted" / str(seed)
    if not (place / "done").exists():
        place.mkdir(parents=True, exist_ok=True)
        how = PhantomOptions(
            shape=SHAPE_50_NM, voxel_nm=(50, 50, 50), seed=seed, **look_of_phantom(seed)
        )
        volproc.phantom(str(place / "image.zarr"), how)
        image, out = str(place / "image.zarr"), str(place / "prediction.zarr")
        volproc.predict(image, out, votes=str(place / "votes.zarr"))
        (place / "done").touch()
    return place


def read(url: Path, level: int) -> np.ndarray:
    """A level of a volume; of one that its pyramid lacks, every second voxel of its last."""
    volume = open_volume(str(url))
    there = min(level, len(volume.info.levels) - 1)
    values = volume.read(whole_box(volume.info.levels[there].shape), there)
    step = slice(None, None, 2 ** (level - there))
    return np.ascontiguousarray(values[..., step, step, step])


def predicted(folder: Path, seed: int, *, level: int = 2, spoil: int = -1) -> Case:
    """A predicted phantom at a level of its pyramid: as it is, or damaged with the seed `spoil`."""
    place = predict(folder, seed)
    votes = read(place / "votes.zarr", level)
    truth = without_small(read(place / "image.zarr" / "labels" / "nuclei", level).astype("u4"))
    if spoil < 0:
        return case_of(f"predicted {seed}", truth, votes, labels_of(votes))
    rng = np.random.default_rng([seed, spoil])
    votes, labels = damaged(truth, votes / np.float32(255), rng, kinds=[*DAMAGES])
    return case_of(f"spoilt {seed} {spoil}", truth, votes, labels)


def cases_in(folder: Path, pattern: str) -> list[Case]:
    """All that were kept under names like `pattern`."""
    found = sorted(folder.glob(f"{pattern}.cases"))
    return [case for file in found for case in pickle.loads(file.read_bytes())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("made", "predicted", "spoilt"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--variants", type=int, default=8)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    folder, count = given.folder, given.variants
    for seed in given.numbers:
        name = f"{given.what}-{seed}-{given.only}".removesuffix("-")
        if given.what == "made":
            cases = [made(folder, seed, n, only=given.only) for n in range(count)]
        elif given.what == "spoilt":
            cases = [predicted(folder, seed, spoil=n) for n in range(count)]
        else:
            cases = [predicted(folder, seed)]
        (folder / f"{name}.cases").write_bytes(pickle.dumps(cases))
        print(
            name,
            sum(len(c.iou) for c in cases),
            sum(int((~c.right).sum()) for c in cases),
            flush=True,
        )


if __name__ == "__main__":
    main()
