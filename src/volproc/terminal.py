"""What the command line prints: tables, volumes, a transfer, and the one line of an error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as Speed
from rich.table import Table

from volproc.credentials import masked
from volproc.engine.memory import human

if TYPE_CHECKING:
    from volproc.engine.protocol import Step
    from volproc.stages.ingest.empiar.download import FetchProgress
    from volproc.stages.ingest.empiar.fetch import FetchPlan

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 130)


def fail(message: str, code: int) -> NoReturn:
    """One line on standard error, and the end; codes in what a message quotes do nothing."""
    note(message)
    sys.exit(code)


def note(message: str) -> None:
    """One line on standard error."""
    plain = "".join(one if one.isprintable() else " " for one in masked(message))
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
        f"volproc: {' '.join(plain.split())}"
    )


def costs(step: Step, rate: float | None) -> tuple[str, ...]:
    """A row of the plan; `rate` is voxels per second of an earlier run, for the blocks left."""
    rate = rate or step.rate
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
        duration(voxels / rate) if rate else "-",
    )


def show(line: Any) -> None:
    """Print a line, or a table."""
    out.print(line, markup=False) if isinstance(line, str) else out.print(line)


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
