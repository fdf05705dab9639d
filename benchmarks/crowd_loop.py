"""Networks that learn from a crowd's labels against one that learns from the truth.

    python benchmarks/crowd_loop.py FOLDER [--volunteers 7 21] [--crowd typical] [--steps 500]
        [--lessons cria-nothing ...] [--shape 64 384 384]

Two phantoms are made. Simulated volunteers (stages/crowd) draw the nuclei of the first;
`volproc annotate` turns their drawings into labels; a small network learns from those, with the
same steps, patches and first weights as one that learns from the truth; all predict the second
phantom, which no network has seen. Dice is of all its voxels; MASD and NSD are means over its
slices with nuclei (stages/annotate/quality/slice_scores.py has the formulas). "labels" is the
Dice of what the network learns from, against the truth of the first phantom.

Rows are kept in FOLDER: the same command goes on where it was stopped. The table is printed and
written as Markdown and JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

import volproc
from volproc.stages.annotate.quality.slice_scores import means_of, score_slice

NM = 50.0
SHAPE = (64, 384, 384)
LEARNT, HELD_OUT = 21, 22
"""Seeds of the two phantoms."""
SERIAL = volproc.ClusterOptions(kind="serial")
LESSONS = ("cria-2021-nothing", "cria-nothing", "cria-labels", "cria-weights")
"""Methods of `annotate`, and what agreement is used for."""
SHOWN = ("labels", "dice", "masd_nm", "nsd_50", "nsd_100")


@dataclass(frozen=True)
class Lesson:
    """What a network learns from: labels by `method` of so many volunteers, or the truth."""

    method: str = "truth"
    volunteers: int = 0
    agreement_as: str = "nothing"

    @property
    def name(self) -> str:
        return f"{self.method}-{self.volunteers}-{self.agreement_as}"


def lessons(volunteers: list[int], chosen: list[str]) -> Iterator[Lesson]:
    yield Lesson()
    for n in volunteers:
        for method, use in (one.rsplit("-", 1) for one in chosen):
            yield Lesson(method, n, use)


@dataclass(frozen=True)
class Bench:
    """The folder in which everything is made, once."""

    folder: Path
    steps: int
    crowd: str = "typical"
    shape: tuple[int, ...] = SHAPE

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def named(self, lesson: Lesson, seed: int) -> str:
        return f"{self.crowd}-{lesson.name}-{seed}-{self.steps}"

    def phantom(self, seed: int) -> str:
        url = self.path(f"phantom-{seed}.zarr")
        if not (self.folder / f"phantom-{seed}.zarr.done").exists():
            options = volproc.PhantomOptions(shape=self.shape, voxel_nm=(NM,) * 3, seed=seed)
            volproc.phantom(url, options, cluster=SERIAL)
            (self.folder / f"phantom-{seed}.zarr.done").touch()
        return url

    def labels(self, lesson: Lesson) -> str:
        """Of the first phantom."""
        image = self.phantom(LEARNT)
        truth = f"{image}/labels/nuclei"
        if lesson.method == "truth":
            return truth
        export = self.path(f"{self.crowd}-{lesson.volunteers}.csv")
        crowd = volproc.CrowdOptions(volunteers=lesson.volunteers, crowd=self.crowd)
        volproc.crowd(truth, export, crowd, cluster=SERIAL)
        out = self.path(f"{self.crowd}-{lesson.method}-{lesson.volunteers}.zarr")
        options = volproc.AnnotateOptions(method=lesson.method)
        volproc.annotate(export, image, out, options, cluster=SERIAL)
        return out

    def model(self, lesson: Lesson, labels: str, seed: int) -> str:
        beside = labels.removesuffix(".zarr")
        drawn = lesson.method != "truth"
        out = self.path(f"model-{self.named(lesson, seed)}")
        options = volproc.TrainOptions(
            images=(self.phantom(LEARNT),),
            labels=(labels,),
            ignore=(f"{beside}-ignore.zarr",) if drawn else (),
            agreement=(f"{beside}-agreement.zarr",) if drawn else (),
            agreement_as=lesson.agreement_as,
            model_out=out,
            voxel_nm=NM,
            slices_in=6,
            slices_out=4,
            widths=(12, 24, 36),
            patch=96,
            batch=6,
            steps=self.steps,
            seed=seed,
            device="cpu",
        )
        volproc.train(options)
        return out

    def row(self, lesson: Lesson, seed: int) -> dict[str, Any]:
        """Scores of one network."""
        labels = self.labels(lesson)
        model = self.model(lesson, labels, seed)
        held_out = self.phantom(HELD_OUT)
        out = self.path(f"prediction-{self.named(lesson, seed)}.zarr")
        options = volproc.PredictOptions(model=model)
        volproc.predict(held_out, out, options, cluster=SERIAL)
        truth = voxels(f"{held_out}/labels/nuclei") > 0
        learnt = dice(voxels(f"{self.phantom(LEARNT)}/labels/nuclei") > 0, voxels(labels) > 0)
        return {"labels": learnt, **scores(truth, voxels(out) > 127)}


def voxels(url: str) -> np.ndarray:
    volume = volproc.open_volume(url)
    return volume.read(volume.info.box)


def dice(truth: np.ndarray, answer: np.ndarray) -> float:
    return 2 * float((truth & answer).sum()) / float(truth.sum() + answer.sum())


def scores(truth: np.ndarray, answer: np.ndarray) -> dict[str, float | None]:
    of_slices = [
        score_slice(a, b, nm=(NM, NM)) for a, b in zip(truth, answer, strict=True) if a.any()
    ]
    found = means_of(of_slices)
    return {
        "dice": dice(truth, answer),
        "masd_nm": found.masd_nm,
        "nsd_50": found.nsd_50,
        "nsd_100": found.nsd_100,
    }


def markdown(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A row per lesson: means over seeds, Dice with the smallest and the largest."""
    yield "| learns from | volunteers | agreement as | Dice of the labels | Dice, held out | "
    yield "MASD nm | NSD 50 nm | NSD 100 nm |\n|---|---|---|---|---|---|---|---|\n"
    names = dict.fromkeys((r["method"], r["volunteers"], r["agreement_as"]) for r in rows)
    for name in names:
        own = [r for r in rows if (r["method"], r["volunteers"], r["agreement_as"]) == name]
        labels, found, masd, near, nearer = (mean(r[key] for r in own) for key in SHOWN)
        dices = [r["dice"] for r in own]
        spread = f" ({min(dices):.4f} to {max(dices):.4f})" if len(own) > 1 else ""
        yield f"| {name[0]} | {name[1] or '-'} | {name[2]} | {labels:.4f} | {found:.4f}{spread} | "
        yield f"{masd:.0f} | {near:.3f} | {nearer:.3f} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--volunteers", type=int, nargs="+", default=[7, 21])
    parser.add_argument("--crowd", default="typical", choices=["clean", "typical", "bad"])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--lessons", nargs="+", default=[*LESSONS], choices=LESSONS)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE, help="of the phantoms")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    bench = Bench(given.folder, given.steps, given.crowd, tuple(given.shape))
    kept = given.folder / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for seed in given.seeds:
        for lesson in lessons(given.volunteers, given.lessons):
            about = {**vars(lesson), "crowd": given.crowd, "seed": seed, "steps": given.steps}
            if not any(about.items() <= row.items() for row in rows):
                rows.append({**about, **bench.row(lesson, seed)})
                with kept.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(rows[-1], flush=True)
    asked = {"steps": given.steps, "crowd": given.crowd}
    table = "".join(markdown([row for row in rows if asked.items() <= row.items()]))
    print(table)
    (given.folder / "loop.md").write_text(table)
    (given.folder / "loop.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
