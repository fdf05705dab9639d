"""What the steps of `interior` promise to need at most, and what they need.

    python benchmarks/nuclei_memory.py ENVELOPE.zarr FOLDER

Blocks run one after another in this process, whose record of its peak is cleared before each step
(Linux, /proc/self/clear_refs). Of both numbers the libraries are left out: what the process held
when the plan was made. Steps that occur more than once: the most of any.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import psutil
from clock import Clock

import volproc
from volproc.config import ClusterOptions, InteriorOptions
from volproc.engine.progress import Event, StepStarted
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.stage import plan_interior
from volproc.stages.label.stage import plan_label, run_label


def clear_peak(event: Event) -> None:
    """From here on the process' peak is that of this step."""
    if isinstance(event, StepStarted):
        Path("/proc/self/clear_refs").write_text("5")


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
    plan = plan_interior(envelope.info, out, options, labelling=Labelling(plan_label, run_label))
    promised: dict[str, int] = {}
    for step in plan.steps:
        promised[step.name] = max(promised.get(step.name, 0), step.peak_bytes)
    libraries = psutil.Process().memory_info().rss
    clock = Clock()
    volproc.interior(
        args.envelope,
        out,
        options,
        cluster=ClusterOptions(kind="serial"),
        watchers=(clear_peak, clock),
    )
    print(f"{envelope.info.shape}, blocks of {plan.output.write_unit}")
    print("| step | promised MB | needed MB | CPU s |\n|---|---|---|---|")
    for name, most in promised.items():
        rows = [row for row in clock.rows if row.step == name]
        needed = max((row.peak_bytes for row in rows), default=libraries) - libraries
        seconds = sum(row.cpu_s for row in rows)
        print(f"| {name} | {most / 1e6:.0f} | {needed / 1e6:.0f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
