"""Fit the doubt models that ship with volproc, and say what they are worth on held-out phantoms.

    python benchmarks/doubt_fit.py fit CASES [--write]    from the cases of doubt_cases.py
    python benchmarks/doubt_fit.py run RUN TRUTH.zarr [--values 1 2]     a run against its truth

Right is an object whose IoU with one of the truth is above 0.5, as PQ counts matches. A logistic
regression on hinges, whose weights cannot be negative (scipy's L-BFGS-B); its scores, each of
a fold that did not fit it, are calibrated by isotonic regression. Phantoms from HELD_OUT on are
never fitted; each kind of damage is left out in turn as well.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cc3d
import numpy as np
from doubt_cases import AXES, SHIPPED, Case, cases_in, matches
from doubt_damage import DAMAGES, without_small
from scipy.optimize import isotonic_regression, lsq_linear, minimize

from volproc.grid.box import whole_box
from volproc.model.doubt_model import UNFAMILIAR, DoubtModel, Hinges, Judge, Recall, judged
from volproc.model.doubt_model import unfamiliarity as far_of
from volproc.stages.doubt.expected_scores import (
    Traces,
    expected_precision,
    expected_recall,
    traces_of,
)
from volproc.stages.objects.sampled_volume import sampled_at
from volproc.stages.scores.contingency import MATCH_IOU
from volproc.volume.store import open_volume

HELD_OUT = 104
"""Seeds of made phantoms from here on are for judging only, also when features are thought of."""
FOLDS = 5
PENALTY = 0.008
MOST_DEPENDENT = 5
"""Factor on what axes that err independently would miss: more is fitted to chance."""
LEAST_SHARE, MOST_SHARE = 0.01, 0.99
OWN = "predicted"
"""In the names of cases with votes of nuclei-50nm; of damaged ones it is "spoilt"."""
NO_RECALL = Recall(missed=0, lumps=0, base=0, spread=0)


def hinges_of(names: Sequence[str], values: np.ndarray, right: np.ndarray) -> list[Hinges]:
    """Knots of every feature: the median, 90% and 99% of the right objects."""
    found = []
    for name, own in zip(names, values.T, strict=True):
        good = own[right]
        middle = float(np.median(good))
        spread = 1.4826 * float(np.median(abs(good - middle)))
        spread = max(spread, 0.1 * float(np.ptp(own)), 1e-3)
        knots = sorted({round(float(np.quantile(good, q)), 6) for q in (0.5, 0.9, 0.99)})
        zero = (0.0,) * len(knots)
        found.append(
            Hinges(name=name, middle=middle, spread=spread, knots=tuple(knots), weights=zero)
        )
    return found


def scored(cases: Sequence[Case], kind: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, features and rightness of the objects of all cases."""
    names = next(one.features[kind][0] for one in cases)
    values = [one.features[kind][1] for one in cases if len(one.iou)]
    return names, np.concatenate(values), np.concatenate([one.right for one in cases])


def weighed(cases: Sequence[Case], kind: str) -> tuple[float, tuple[Hinges, ...]]:
    """Bias and hinges that separate right from wrong."""
    names, values, right = scored(cases, kind)
    hinges = hinges_of(names, values, right)
    known = dict(zip(names, values.T, strict=True))
    far = far_of(tuple(hinges), known, len(values))
    hinges += hinges_of([UNFAMILIAR], far[:, None], right)
    known[UNFAMILIAR] = far
    units = [(h, k) for h in hinges for k in h.knots]
    parts = [np.maximum(0, known[h.name] - k) / h.spread for h, k in units]
    columns = np.clip(np.stack(parts, axis=1), 0, 10)
    bias, weights = logistic(columns, right)
    for n, hinge in enumerate(hinges):
        own = [w / hinge.spread for (h, _), w in zip(units, weights, strict=True) if h is hinge]
        hinges[n] = hinge.model_copy(update={"weights": tuple(round(w, 6) for w in own)})
    return bias, tuple(hinges)


def logistic(columns: np.ndarray, right: np.ndarray) -> tuple[float, np.ndarray]:
    """Bias and weights >= 0 of the least penalised loss of score = bias - columns @ weights."""
    sign = np.where(right, 1.0, -1.0)

    def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (given[0] - columns @ given[1:])
        pull = -sign / (1 + np.exp(np.clip(margin, -30, 30))) / len(right)
        slope = np.r_[pull.sum(), -columns.T @ pull + 2 * PENALTY * given[1:]]
        value = np.logaddexp(0, -margin).mean() + PENALTY * (given[1:] ** 2).sum()
        return float(value), slope

    start = np.zeros(columns.shape[1] + 1)
    bounds = [(None, None), *[(0, None)] * columns.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]


def scores_of(bias: float, hinges: tuple[Hinges, ...], cases: Sequence[Case], kind: str):
    """Scores before calibration, of all objects of some cases."""
    line = Judge(
        bias=bias,
        hinges=hinges,
        calibration=((0.0, 0.5),),
        spread=0,
        recall=NO_RECALL,
    )
    names, values, _ = scored(cases, kind)
    return bias - judged(line, names, values).badness.sum(axis=1)


def curve_of(scores: np.ndarray, right: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Isotonic regression: each step of it as its middle, so that the curve has no jumps."""
    order = np.argsort(scores)
    fit = isotonic_regression(right[order].astype(float))
    at, share = scores[order], fit.x
    points: list[tuple[float, float]] = []
    for first, last in zip(fit.blocks[:-1], fit.blocks[1:], strict=True):
        n = last - first
        mean = (share[first] * n + 0.5) / (n + 1)  # of a single object nothing is certain
        points.append((float(at[first:last].mean()), float(np.clip(mean, LEAST_SHARE, MOST_SHARE))))
    rising = np.maximum.accumulate([share for _, share in points])
    return tuple(
        (round(x, 4), round(float(y), 4)) for (x, _), y in zip(points, rising, strict=True)
    )


def folds_of(cases: Sequence[Case]) -> list[list[int]]:
    """Cases in folds; those of one phantom are together."""
    phantoms = {name: n for n, name in enumerate(sorted({phantom(one) for one in cases}))}
    fold = [phantoms[phantom(one)] % FOLDS for one in cases]
    found = [[n for n, own in enumerate(fold) if own == f] for f in range(FOLDS)]
    return [one for one in found if one]


def phantom(case: Case) -> str:
    return " ".join(case.name.split()[:2]).replace("spoilt", OWN)


def judge_of(cases: Sequence[Case], kind: str, recall_on: str = "") -> Judge:
    """A judge fitted on some cases; its recall on those whose names have the word, if it is given:
    how many objects a network misses is its own."""
    cases = [one for one in cases if len(one.iou)]
    bias, hinges = weighed(cases, kind)
    scores, right, owner = [], [], []
    for fold in folds_of(cases):
        rest = [one for n, one in enumerate(cases) if n not in fold]
        own = [cases[n] for n in fold]
        scores.append(scores_of(*weighed(rest, kind), own, kind))
        right.append(np.concatenate([one.right for one in own]))
        owner += [n for n in fold for _ in cases[n].iou]
    curve = curve_of(np.concatenate(scores), np.concatenate(right))
    probability = np.interp(np.concatenate(scores), *np.array(curve).T)
    by_case = [(cases[n], probability[np.array(owner) == n]) for n in range(len(cases))]
    spread = left_over([(p, one.right) for one, p in by_case])
    by_case = [(one, p) for one, p in by_case if recall_on in one.name.replace("spoilt", OWN)]
    recall = recall_of(by_case) if AXES[kind] > 1 else recall_without_votes(by_case)
    return Judge(
        bias=round(bias, 6),
        hinges=tuple(one for one in hinges if any(one.weights) or one.name != UNFAMILIAR),
        calibration=curve,
        spread=spread,
        recall=recall,
    )


def left_over(runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Spread over runs of true less expected precision that chance does not explain."""
    off = np.array([right.mean() - p.mean() for p, right in runs])
    chance = np.array([(p * (1 - p)).sum() / len(p) ** 2 for p, _ in runs])
    return round(float(np.sqrt(max(0.0, (off**2 - chance).mean()))), 4)


def traces(case: Case, probability: np.ndarray) -> Traces:
    return traces_of(case.yes, case.voxels, probability, case.lumps)


def recall_of(runs: Sequence[tuple[Case, np.ndarray]]) -> Recall:
    """Factors by bounded least squares; runs weigh by the objects that are right."""
    known = [traces(case, p) for case, p in runs]
    rows = np.array([[one.missed_by_axes, one.lumps, 1.0] for one in known])
    right = np.array([max(1.0, case.right.sum()) for case, _ in runs])
    missed = np.array([case.missed for case, _ in runs]) / right
    weight = np.sqrt(right)
    bounds = (0, [MOST_DEPENDENT, 1, np.inf])
    found = lsq_linear(rows * weight[:, None], np.minimum(missed, 3) * weight, bounds=bounds)
    return with_spread(runs, *found.x)


def recall_without_votes(runs: Sequence[tuple[Case, np.ndarray]]) -> Recall:
    """What the fit's runs missed on average: nothing else is known."""
    missed = sum(case.missed for case, _ in runs)
    return with_spread(runs, 0.0, 0.0, missed / sum(case.right.sum() for case, _ in runs))


def with_spread(runs: Sequence[tuple[Case, np.ndarray]], missed: float, lumps: float, base: float):
    found = Recall(missed=round(missed, 4), lumps=round(lumps, 4), base=round(base, 4), spread=0)
    off, chance = [], []
    for case, p in runs:
        there = case.right.sum() + case.missed
        value = recall_by(found, case, p)
        if there and value is not None:
            off.append(case.right.sum() / there - value)
            chance.append(value * (1 - value) / there)
    spread = np.sqrt(max(0.0, np.mean(np.square(off)) - np.mean(chance)))
    return found.model_copy(update={"spread": round(float(spread), 4)})


def recall_by(recall: Recall, case: Case, probability: np.ndarray) -> float | None:
    line = Judge(bias=0, hinges=(), calibration=((0.0, 0.5),), spread=0, recall=recall)
    return expected_recall(probability, traces(case, probability), line).value


def auc(probability: np.ndarray, right: np.ndarray) -> float:
    """Of a wrong and a right object, how often the wrong one is less probable; ties are halves."""
    good, bad = probability[right], probability[~right]
    if not len(good) or not len(bad):
        return float("nan")
    return float((good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2)


def judgement(judge: Judge, cases: Sequence[Case], kind: str = "votes") -> dict[str, float]:
    """What a judge is worth on cases."""
    cases = [one for one in cases if len(one.iou)]
    runs = [(one, judged(judge, *one.features[kind]).probability) for one in cases]
    p = np.concatenate([own for _, own in runs])
    right = np.concatenate([one.right for one in cases])
    inside = [expected_precision(own, judge) for _, own in runs]
    held = [e.low <= one.right.mean() <= e.high for e, one in zip(inside, cases, strict=True)]
    recalls = [expected_recall(own, traces(one, own), judge) for one, own in runs]
    truth = np.array([one.right.sum() + one.missed for one in cases], float)
    known = np.array([e.value or 0.0 for e in recalls])
    true = np.array([one.right.sum() for one in cases]) / np.maximum(truth, 1)
    first = np.argsort(p)[: -(-len(p) // 5)]
    wrong = int((~right).sum())
    return {
        "runs": len(cases),
        "objects": len(p),
        "wrong": wrong,
        "AUC": auc(p, right),
        "precision": float(right.mean()),
        "expected precision": float(p.mean()),
        "runs in its interval": float(np.mean(held)),
        "recall": float((true * truth).sum() / truth.sum()),
        "expected recall": float((known * truth).sum() / truth.sum()),
        "errors in first 20%": float((~right[first]).sum() / max(1, wrong)),
        "most there can be": min(1.0, len(first) / max(1, wrong)),
    }


def calibration_table(judge: Judge, cases: Sequence[Case], kind: str = "votes") -> str:
    cases = [one for one in cases if len(one.iou)]
    p = np.concatenate([judged(judge, *one.features[kind]).probability for one in cases])
    right = np.concatenate([one.right for one in cases])
    lines = ["| said | objects | mean said | were right |", "|---|---|---|---|"]
    for low, high in zip(
        (0, 0.2, 0.4, 0.6, 0.8, 0.9), (0.2, 0.4, 0.6, 0.8, 0.9, 1.01), strict=True
    ):
        own = (p >= low) & (p < high)
        if own.any():
            row = f"| {low:g} to {min(1, high):g} | {own.sum()} | {p[own].mean():.2f} |"
            lines.append(f"{row} {right[own].mean():.2f} |")
    return "\n".join(lines)


def fit(folder: Path, *, write: bool) -> None:
    """Fit both models, print what they are worth, and write them where they ship."""
    made = cases_in(folder, "made-*")
    held = [one for one in made if int(one.name.split()[1]) >= HELD_OUT]
    fitted = [one for one in made if int(one.name.split()[1]) < HELD_OUT and len(one.kinds) > 1]
    mixed = [one for one in held if len(one.kinds) > 1]
    spoilt, natural = cases_in(folder, "spoilt-*"), cases_in(folder, "predicted-*")
    half = sorted({phantom(one) for one in spoilt})[::2]
    own = [one for one in (*spoilt, *natural) if phantom(one) in half]
    rest = [one for one in (*spoilt, *natural) if phantom(one) not in half]
    general = model_of(fitted, "general", "phantoms with made votes, damaged")
    nuclei = model_of(
        [*fitted, *own],
        "nuclei-50nm",
        "phantoms with made votes and with its own, damaged",
        recall_on=OWN,
    )
    tables: list[tuple[str, Judge, Sequence[Case], str]] = [
        ("general, held-out phantoms", general.votes, mixed, "votes"),
        ("the same, one probability", general.probability, mixed, "probability"),
        ("the same, labels alone", general.labels, mixed, "labels"),
        ("nuclei-50nm, held-out phantoms", nuclei.votes, mixed, "votes"),
        ("nuclei-50nm, its own votes, held out", nuclei.votes, rest, "votes"),
        ("general, votes of nuclei-50nm", general.votes, rest, "votes"),
    ]
    for kind in DAMAGES:
        without = [one for one in fitted if kind not in one.kinds]
        having = [one for one in held if kind in one.kinds]
        if having:
            tables.append((f"{kind}, never fitted", judge_of(without, "votes"), having, "votes"))
    print_table([(name, judgement(*given)) for name, *given in tables if given[1]])
    print(f"\ngeneral, held-out phantoms\n\n{calibration_table(general.votes, mixed)}")
    print(f"\nweights\n{weights_table(nuclei.votes)}")
    if write:
        for model, place in ((general, SHIPPED), (nuclei, SHIPPED / "nuclei-50nm")):
            (place / "doubt.json").write_text(model.model_dump_json(indent=1) + "\n")


def model_of(
    cases: Sequence[Case], name: str, fitted_on: str, *, recall_on: str = ""
) -> DoubtModel:
    objects = sum(len(one.iou) for one in cases)
    judges = {kind: judge_of(cases, kind, recall_on) for kind in AXES}
    return DoubtModel(
        name=name,
        right=f"IoU with an object of the truth above {MATCH_IOU:g}",
        fitted_on=f"{objects} objects of {len(cases)} {fitted_on} (benchmarks/doubt_fit.py)",
        **judges,
    )


def print_table(rows: Sequence[tuple[str, dict[str, float]]]) -> None:
    names = [*rows[0][1]]
    print(f"| | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for name, found in rows:
        cells = (f"{v}" if isinstance(v, int) else f"{v:.3f}" for v in found.values())
        print(f"| {name} | {' | '.join(cells)} |")


def weights_table(judge: Judge) -> str:
    def most(hinge: Hinges) -> float:
        return sum(w * hinge.spread for w in hinge.weights)

    ordered: Callable[[Hinges], float] = most
    lines = ["| feature | usual | weight of a spread |", "|---|---|---|"]
    for one in sorted(judge.hinges, key=ordered, reverse=True):
        lines.append(f"| {one.name} | {one.middle:.3g} | {most(one):.2f} |")
    return "\n".join(lines)


def run(folder: Path, truth_url: str, values: Sequence[int]) -> None:
    """Of a finished run: what doubt said, and what the truth says. Truth of the same values that
    touches is one object, if `values` are given."""
    with open(folder / "objects.csv") as file:
        rows = list(csv.DictReader(file))
    labels, truth = (open_volume(str(url)) for url in (folder / "objects.zarr", truth_url))
    box = whole_box(labels.info.shape)
    there = sampled_at(labels.info, truth.info).read(box)
    if values:
        there = cc3d.connected_components(np.isin(there, values), connectivity=26)
        there = without_small(there.astype(np.uint32))
    ids = np.array([int(row["id"]) for row in rows])
    iou, missed = matches(there, labels.read(box), ids)
    p, right = np.array([float(row["probability_right"]) for row in rows]), iou > MATCH_IOU
    said = json.loads((folder / "doubt.json").read_text())
    print(f"{len(ids)} objects, {(~right).sum()} wrong, {missed} missed; AUC {auc(p, right):.3f}")
    print(f"precision {right.mean():.3f}, expected {said['expected_precision']}")
    print(f"recall {right.sum() / (right.sum() + missed):.3f}, {said['expected_recall']}")
    for n in np.argsort(p):
        print(f"{ids[n]:4d} {p[n]:.2f} IoU {iou[n]:.2f} {rows[n]['reason']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fit", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("truth", nargs="?", default="")
    parser.add_argument("--values", type=int, nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.what == "fit":
        fit(given.folder, write=given.write)
    else:
        run(given.folder, given.truth, given.values)


if __name__ == "__main__":
    main()
