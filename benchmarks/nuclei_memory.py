"""What the steps of `interior` promise to need at most, and what they need.

    python benchmarks/nuclei_memory.py ENVELOPE.zarr FOLDER

Blocks run one after another in this process. Before each step it gives back what it can, and its
record of its peak is cleared (Linux, /proc/self/clear_refs). What it holds then are the libraries,
compiled kernels and caches, for which workers set memory aside; `needed` is the peak above it.
Steps that occur more than once: the most of any.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import shutil
from pathlib import Path

import psutil
from clock import Clock

import volproc
from volproc import (
    ClusterOptions,
    InteriorOptions,
)
from volproc.engine.events import Event, StepStarted
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.stage import plan_interior
from volproc.stages.label import STAGE as LABEL


class Held:
    """What the process holds when each step begins; from there on its peak is that of the step."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            self.rows.append(psutil.Process().memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("envelope")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    out, options = str(args.folder / "nuclei.zarr"), InteriorOptions()
    envelope = volproc.open_volume(args.envelope)
    plan = plan_interior(envelope.info, out, options, labelling=Labelling(LABEL))
    promised: dict[str, int] = {}
    for step in plan.steps:
        promised[step.name] = max(promised.get(step.name, 0), step.peak_bytes)
    held, clock = Held(), Clock()
    volproc.interior(
        args.envelope,
        out,
        options,
        cluster=ClusterOptions(kind="serial"),
        watchers=(held, clock),
    )
    print(f"{envelope.info.shape}, blocks of {plan.output.write_unit}")
    print("| step | promised MB | needed MB | held MB | CPU s |\n|---|---|---|---|---|")
    for name, most in promised.items():
        rows = [pair for pair in zip(clock.rows, held.rows, strict=True) if pair[0].step == name]
        needed = max(row.peak_bytes - before for row, before in rows)
        before = max(before for _, before in rows)
        seconds = sum(row.cpu_s for row, _ in rows)
        print(
            f"| {name} | {most / 1e6:.0f} | {needed / 1e6:.0f} | {before / 1e6:.0f} "
            f"| {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
