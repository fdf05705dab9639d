"""What the command line prints: tables, volumes, a transfer, and the one line of an error."""

from __future__ import annotations

import json
import sys
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as Speed
from rich.table import Table

from volproc.engine.memory import human

if TYPE_CHECKING:
    from volproc.engine.protocol import Step
    from volproc.stages.annotate.stage import AnnotateResult
    from volproc.stages.ingest.empiar.fetch import FetchPlan
    from volproc.stages.ingest.empiar.transfer import FetchProgress
    from volproc.stages.label.stage import LabelResult
    from volproc.volume.store import Volume

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 130)


def fail(message: str, code: int) -> NoReturn:
    """One line on standard error, and the end; codes in what a message quotes do nothing."""
    plain = "".join(one if one.isprintable() else " " for one in message)
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
        f"volproc: {' '.join(plain.split())}"
    )
    sys.exit(code)


def costs(step: Step, rate: float | None) -> tuple[str, ...]:
    """A row of the plan; `rate` is voxels per second of an earlier run, for the blocks left."""
    voxels = sum(block.core.size for block in step.blocks)
    voxels = voxels * (len(step.blocks) - step.recorded) // max(1, len(step.blocks))
    return (
        step.name,
        f"{len(step.blocks):,}",
        f"{len(step.blocks) - step.recorded:,}",
        human(step.bytes_read) if step.bytes_read else "-",
        human(step.bytes_written) if step.bytes_written else "-",
        human(step.peak_bytes),
        f"{step.flop / 1e12:.3g}" if step.flop else "-",
        f"{voxels / rate:.3g} s" if rate else "-",
    )


def describe(volume: Volume) -> None:
    """A finished volume in a line."""
    info = volume.info
    size = " x ".join(map(str, info.shape))
    voxel = " x ".join(f"{v:g}" for v in info.voxel_nm)
    out.print(
        f"{info.url}: {size} voxels of {voxel} nm, {len(info.levels)} levels, "
        f"{prod(info.shape) / 1e6:.4g} Mvoxel"
    )
    if "files_taken" in info.provenance:
        out.print(info.provenance["files_taken"], markup=False)
    filled = info.provenance.get("filled_slices")
    if filled:
        out.print(f"{len(filled)} slices are in no file and were filled: {filled}")
    for note in info.provenance.get("model_notes", ()):
        out.print(f"its model: {note}", markup=False)
    if "nothing_found" in info.provenance:
        out.print(info.provenance["nothing_found"], markup=False)
    if "skipped_blocks" in info.provenance:
        skipped, blocks = (info.provenance[key] for key in ("skipped_blocks", "blocks"))
        out.print(f"{skipped:,} of {blocks:,} blocks hold nothing and were skipped")


def certified(prediction: str) -> str:
    """The seam certificate beside `prediction`, in a line."""
    from volproc.volume.file_io import read_file, sibling

    found = json.loads(read_file(sibling(prediction, "-certificate.json")))
    said = {True: "certified", False: "NOT certified", None: "measured"}[found["passed"]]
    return (
        f"seams {said}: {found['places']} places predicted again with other tiles, votes differ by "
        f"up to {found['largest']} of 255, {found['mean']:.3g} on average; "
        f"{100 * found['changed']:.3g}% of the voxels change sides"
    )


def print_annotated(made: AnnotateResult) -> None:
    """What became of an export, and where to look."""
    found, written = made.gathered.summary, made.written
    out.print(
        f"{found.rows:,} rows, {found.votes:,} votes on {found.slices:,} slices by "
        f"{found.volunteers:,} volunteers"
    )
    unused, left_out = (sum(counts.values()) for counts in (found.rejected, found.left_out))
    out.print(f"{unused:,} rows could not be used, {left_out:,} were left out: {written.rejected}")
    for name, scores in made.scores.items():
        distance = "" if scores.masd_nm is None else f", {scores.masd_nm:.1f} nm off (MASD)"
        dice = "nothing to find" if scores.dice is None else f"Dice {scores.dice:.4f}"
        out.print(f"{name}: {dice}{distance}")
    out.print(f"quality: {written.page}")


def print_labelled(result: LabelResult) -> None:
    """What a labelling kept and dropped, and why."""
    out.print(f"{result.objects} objects in {result.labels.info.url}, listed in {result.table}")
    if not result.objects:
        out.print(result.why, markup=False)
    elif result.dropped:
        why = ", ".join(f"{n} by {option}" for option, n in result.reasons.items())
        most = result.largest_dropped_um3
        largest = f", the largest of {most:.3g} um³" if most else ""
        out.print(f"{result.dropped} dropped ({why}){largest}")


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Rows of one kind as a table."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    out.print(table)


def print_transfer(plan: FetchPlan) -> None:
    """What an entry is, and what fetching it would take."""
    entry, cost = plan.entry, plan.estimate
    out.print(f"{entry.accession}: {entry.title}", markup=False)
    for images in entry.imagesets:
        facts = [images.format, images.voxel_type]
        if images.shape_yx:
            facts.append(" x ".join(map(str, images.shape_yx)))
        if images.pixel_nm_yx:
            facts.append(f"pixels of {' x '.join(f'{v:g}' for v in images.pixel_nm_yx)} nm")
        out.print(f"  {images.directory}: {', '.join(f for f in facts if f)}", markup=False)
    table = Table("files", "number", "size")
    for group in cost.groups:
        table.add_row(group.name, f"{group.files:,}", human(group.bytes))
    out.print(table)
    about = "" if cost.exact else "about "
    out.print(
        f"{about}{human(cost.bytes)} in {cost.files} files, {human(cost.here_bytes)} of it here; "
        f"{human(cost.free_bytes)} free in {plan.folder}"
    )
    out.print(
        f"about {duration(cost.seconds)} with {plan.options.connections} connections, if each "
        "brings 1.5 MB/s as people measured"
    )
    if plan.changed:
        out.print(f"{len(plan.changed)} files changed on the server since and come anew")


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, in a few characters.

    >>> duration(0.25), duration(75), duration(300), duration(7384)
    ('0.2 s', '75 s', '5 min', '2.1 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class TransferBar:
    """Bytes, speed and time left of a transfer. A context manager."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
        self._bars = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self._bar = self._bars.add_task("fetching", total=None)

    def __call__(self, progress: FetchProgress) -> None:
        """Show how far it is."""
        self._bars.start()
        text = f"{progress.files} of {progress.files_total} files"
        self._bars.update(
            self._bar, description=text, completed=progress.bytes, total=progress.bytes_total
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars.live.is_started:
            self._bars.stop()
