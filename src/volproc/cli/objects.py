"""What follows labels and envelopes: interior, measure."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import SerialFlag, WorkersFlag, app, cluster_of, option, stated
from volproc.config import InteriorOptions
from volproc.engine.progress import TerminalBar
from volproc.terminal import describe


@app.command()
def interior(
    envelope: Annotated[str, typer.Argument(metavar="ENVELOPE.zarr")],
    url: Annotated[str, typer.Argument(metavar="NUCLEI.zarr")],
    threshold: Annotated[float | None, option(InteriorOptions, "threshold")] = None,
    gap_nm: Annotated[float | None, option(InteriorOptions, "gap_nm")] = None,
    reach_nm: Annotated[float | None, option(InteriorOptions, "reach_nm")] = None,
    axes: Annotated[str | None, option(InteriorOptions, "axes")] = None,
    votes: Annotated[int | None, option(InteriorOptions, "votes")] = None,
    open_share: Annotated[float | None, option(InteriorOptions, "open_share")] = None,
    max_volume_um3: Annotated[float | None, option(InteriorOptions, "max_volume_um3")] = None,
    min_volume_um3: Annotated[float | None, option(InteriorOptions, "min_volume_um3")] = None,
    envelope_nm: Annotated[float | None, option(InteriorOptions, "envelope_nm")] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Fill what an envelope encloses: numbered nuclei, each with its envelope."""
    options, cluster = stated(InteriorOptions, locals()), cluster_of(workers, serial)
    with TerminalBar() as bar:
        made = volproc.interior(envelope, url, options, cluster=cluster, watchers=(bar,))
    describe(made)
