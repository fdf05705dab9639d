"""A run that is killed again and again at random, its options changed in between."""

import os
import random
import shutil
import time

import numpy as np
import tifffile

from faults import injuries
from faults.columns import tiny_model
from faults.shots import Shot, in_this_process

WORKFLOW = """
[run]
source = "stack.tif"
folder = "run"
[cluster]
kind = "serial"
[ingest]
voxel_nm = [50, 50, 50]
[predict]
model = "model"
[label]
block = [16, 32, 32]
min_volume_um3 = 0.05
[measure]
meshes = "none"
[evaluate]
ground_truth = "phantom.zarr/labels/nuclei"
"""
CHOICES = {
    "predict.fusion": ("mean", "max", "majority"),
    "predict.threshold": ("0.5", "0.4"),
    "label.threshold": ("0.5", "0.45"),
    "label.connectivity": ("26", "6"),
    "measure.smooth_nm": ("60", "80"),
}
STAGES = "ingest,predict,label,measure,evaluate"
LEFT_OUT = ("ledger/", "log.jsonl", "workflow.json", ".volproc/", "made.json")
"""Under run/: what tells of times, and of the way there."""
MAX_STARTS = 20
"""For each kill: a run may reach its end before it."""


def main(folder, kills, seed):
    """0 if the end equals a fresh run with the last options, byte by byte."""
    rng, began = random.Random(seed), time.monotonic()
    disturbed, calm = folder / "disturbed", folder / "calm"
    _prepare(folder, disturbed, calm)
    options = {key: values[0] for key, values in CHOICES.items()}
    for name in [name for name in os.environ if name.startswith("VOLPROC_")]:
        del os.environ[name]  # all options are the workflow's
    injuries.SMALL()
    in_this_process(calm, _words(options))
    shutil.rmtree(calm / "run")
    changes = _changes(calm, options)
    shutil.rmtree(calm / "run")
    died = 0
    for start in range(kills * MAX_STARTS):
        if died == kills:
            break
        number = rng.randint(1, changes)
        ended = _run(disturbed, options, injuries.at_change(number, injuries.die))
        died += ended.code == -9
        print(f"start {start + 1}, killed {died}: {ended.code} {options}", flush=True)
        if ended.code not in (0, -9):
            print(ended.said)
            return 1
        key = rng.choice(list(CHOICES))
        options[key] = rng.choice([one for one in CHOICES[key] if one != options[key]])
    return _compare(disturbed, calm, options, died, time.monotonic() - began)


def _prepare(folder, *places):
    """A phantom, the same as TIFF, a network, and the workflow, in each place."""
    source = folder / "source"
    source.mkdir()
    words = ("phantom", "phantom.zarr", "--shape", "16", "120", "120", "--serial")
    in_this_process(source, (*words, "--voxel-nm", "50", "50", "50"))
    from volproc.volume.store import open_volume

    volume = open_volume(source / "phantom.zarr")
    tifffile.imwrite(source / "stack.tif", np.asarray(volume.read(volume.info.box)))
    tiny_model(source / "model")
    (source / "workflow.toml").write_text(WORKFLOW)
    for place in places:
        shutil.copytree(source, place)


def _words(options):
    flags = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    return ("run", "workflow.toml", "--quiet", "--stages", STAGES, *flags)


def _run(place, options, *faults):
    return Shot(place, _words(options), injuries.SMALL, *faults).ended()


def _changes(place, options):
    """How many changes a whole run makes."""
    counted = place / "changes"
    ended = _run(place, options, injuries.count_changes(counted))
    if ended.code:
        raise RuntimeError(ended.said)
    return int(counted.read_text())


def _compare(disturbed, calm, options, died, seconds):
    for place in (disturbed, calm):
        ended = _run(place, options)
        if ended.code:
            print(f"the last run in {place.name} ends with {ended.code}: {ended.said}")
            return 1
    found, wanted = (_results(place / "run") for place in (disturbed, calm))
    wrong = sorted(found.keys() ^ wanted.keys())
    wrong += [name for name in found.keys() & wanted.keys() if found[name] != wanted[name]]
    same = "is not that of a fresh run" if wrong else "equals a fresh run, byte by byte"
    print(f"{died} kills in {seconds:.0f} s: the end {same} ({len(wanted)} files)")
    for name in wrong:
        print(f"WRONG {name}")
    return int(bool(wrong))


def _results(run):
    return {
        name: path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
        for name in [str(path.relative_to(run))]
        if not any(part in f"{name}/" or name.endswith(part) for part in LEFT_OUT)
    }
