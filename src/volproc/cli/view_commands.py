"""Looking at results: view."""

from __future__ import annotations

import os
import socket
import time
from typing import Annotated

import typer

from volproc.cli.app import app
from volproc.errors import INSTALL, ConfigError
from volproc.terminal import show


@app.command()
def view(
    places: Annotated[
        list[str],
        typer.Argument(metavar="RUN/|VOLUME.zarr", help="A run, or volumes, at paths or URLs."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 0,
    host: Annotated[
        str, typer.Option(help="Where it listens; others can look only if told so.")
    ] = "127.0.0.1",
) -> None:
    """Look at a run or at volumes in neuroglancer, until Ctrl-C. Reads, and keeps the view."""
    try:
        from volproc.viewing.server import View
    except ImportError as error:
        raise ConfigError(
            f"looking needs the extra view ({INSTALL.format('view')}); {error.name} is missing"
        ) from error
    from volproc.viewing.scene import scene_of

    opened = View(scene_of(places), port=port, host=host)
    show(opened.address)
    if os.environ.get("SSH_CONNECTION"):
        number = opened.address.split(":")[2].split("/")[0]
        tunnel = f"ssh -L {number}:127.0.0.1:{number} {socket.gethostname()}"
        show(f"from your own machine: {tunnel}, then open that address there")
    show("Ctrl-C ends it")
    try:
        while True:
            time.sleep(2)
            opened.keep()
    except KeyboardInterrupt:
        opened.close()
