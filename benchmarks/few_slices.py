"""Going on from a model with few annotated slices: what to freeze or change, how fast to learn.

    python benchmarks/few_slices.py OUT MODEL IMAGE LABELS --slices 10

The image is seen with its greys turned round, as the model never saw them, unless --as-is. It
learns from the first slices of it and is scored on the last half, along each axis by itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from saved_volume import saved

import volproc

SERIAL = volproc.ClusterOptions(kind="serial")
WAYS: dict[str, dict[str, Any]] = {
    "encoder frozen, 5e-4": {"freeze": "encoder", "learning_rate": 5e-4},
    "nothing frozen, 5e-4": {"learning_rate": 5e-4},
    "nothing frozen, 2e-3": {"learning_rate": 2e-3},
    "body frozen, 2e-3": {"freeze": "body", "learning_rate": 2e-3},
    "encoder frozen, 2e-3": {"freeze": "encoder", "learning_rate": 2e-3},
    "light augmentation, 5e-4": {"learning_rate": 5e-4, "augmentation": {"profile": "light"}},
    "from scratch, 2e-3": {"start_from": "", "learning_rate": 2e-3},
}


def main() -> None:
    """Print a row for each way; one that is done is not trained again."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("out", type=Path)
    for name in ("model", "image", "labels"):
        ask.add_argument(name)
    ask.add_argument("--slices", type=int, default=10)
    ask.add_argument("--steps", type=int, default=300)
    ask.add_argument("--patch", type=int, default=192)
    ask.add_argument("--batch", type=int, default=4)
    ask.add_argument("--as-is", action="store_true")
    ask.add_argument("--ways", nargs="+", default=[*WAYS], choices=WAYS, metavar="WAY")
    given = ask.parse_args()
    image, labels = (volproc.open_volume(url) for url in (given.image, given.labels))
    greys, known = (volume.read(volume.info.box) for volume in (image, labels))
    greys, half = greys if given.as_is else 255 - greys, len(greys) // 2
    how: dict[str, Any] = {"start_from": given.model, "validate_steps": given.steps}
    how |= {"steps": given.steps, "patch": given.patch, "batch": given.batch}
    for prefix, rows in (("", slice(0, given.slices)), ("validation_", slice(half, None))):
        parts = ("images", greys, "image", image), ("labels", known, "labels", labels)
        for key, values, kind, like in parts:
            name = f"{prefix}{key}-{given.slices}.zarr"
            how[prefix + key] = (
                saved(given.out / name, values[rows], like.info.voxel_nm, kind=kind),
            )
    spec = volproc.load_card(given.model).spec
    how |= {name: getattr(spec, name) for name in ("slices_in", "slices_out", "widths", "skips")}
    for name, changes in ((way, WAYS[way]) for way in given.ways):
        folder = given.out / name.replace(" ", "-").replace(",", "")
        options = volproc.TrainOptions(**how | changes, model_out=str(folder))
        card = volproc.train(options, cluster=SERIAL, progress=False)
        print(json.dumps({"way": name, **card.scores}), flush=True)


if __name__ == "__main__":
    main()
