"""The preview model beside the full one on phantoms that neither learnt from: Dice at 50 nm.

    python benchmarks/preview.py FOLDER [--models nuclei-50nm nuclei-100nm]

Phantoms of 9.6 x 16 x 16 µm, one as HeLa cells and some of varied looks, made and predicted by the
product's own commands; each prediction is scored on the grid of its truth. For the real cell see
benchmarks/real_cell.py --model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import volproc
from volproc import ClusterOptions, PhantomOptions, PredictOptions

SERIAL = ClusterOptions(kind="serial")
PHANTOMS = [("hela", 301), ("varied", 302), ("varied", 303), ("varied", 304)]
SHAPE = (192, 320, 320)


def dice(image: Path, model: str, out: Path) -> float:
    """Of a model's nuclei on a phantom."""
    volproc.predict(image, out, PredictOptions(model=model), cluster=SERIAL, progress=False)
    found = volproc.evaluate(
        out, image / "labels" / "nuclei", surfaces="none", cluster=SERIAL, progress=False
    )
    return float(found.scores[0].whole.dice or 0)


def main() -> None:
    """Print a row per phantom."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("folder", type=Path)
    ask.add_argument("--models", nargs="+", default=["nuclei-50nm", "nuclei-100nm"])
    given = ask.parse_args()
    print(f"| phantom | {' | '.join(given.models)} |\n|---{'|---' * len(given.models)}|")
    for look, seed in PHANTOMS:
        image = given.folder / f"{look}-{seed}.zarr"
        if not image.exists():
            how = PhantomOptions(shape=SHAPE, voxel_nm=(50, 50, 50), seed=seed, look=look)
            volproc.phantom(image, how, cluster=SERIAL, progress=False)
        scores = [
            dice(image, model, given.folder / f"{look}-{seed}-{Path(model).name}.zarr")
            for model in given.models
        ]
        cells = " | ".join(f"{score:.3f}" for score in scores)
        print(f"| {seed}, {look} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
