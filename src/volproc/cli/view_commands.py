"""Looking at results: view."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Annotated

import typer

from volproc.cli.app import app
from volproc.errors import INSTALL, ConfigError, VolprocError
from volproc.terminal import note, show

if TYPE_CHECKING:
    from volproc.viewing.mending import Editor
    from volproc.viewing.server import View


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
    chosen: Annotated[
        int | None,
        typer.Option("--object", metavar="ID", help="Begin at this object of a run's table."),
    ] = None,
) -> None:
    """Look at a run or at volumes in neuroglancer, until Ctrl-C; mend a run's objects there."""
    try:
        from volproc.viewing.server import View
    except ImportError as error:
        raise ConfigError(
            f"looking needs the extra view ({INSTALL.format('view')}); {error.name} is missing"
        ) from error
    from volproc.viewing.scene import object_of, scene_of

    scene = scene_of(places)
    first = None if chosen is None else object_of(scene, chosen)
    editor = _editor(places[0]) if scene.saved_as else None
    opened = View(scene, port=port, host=host, editor=editor)
    if first:
        opened.move_to(first)
    show(opened.address)
    if os.environ.get("SSH_CONNECTION"):
        number = opened.address.split(":")[2].split("/")[0]
        tunnel = f"ssh -L {number}:127.0.0.1:{number} {socket.gethostname()}"
        show(f"from your own machine: {tunnel}, then open that address there")
    show("Ctrl-C ends it")
    _serve(opened)


def _editor(folder: str) -> Editor | None:
    """What records edits of a run's objects; None for a run without options of its own."""
    from volproc.workflow.fixing import edited_run

    try:
        return edited_run(folder)
    except VolprocError as error:
        note(f"nothing can be mended here: {error}")
        return None


def _serve(opened: View) -> None:
    """Keep the view every two seconds, as long as it can be kept, until Ctrl-C."""
    kept = True
    try:
        while True:
            time.sleep(2)
            if kept:
                kept = _keep(opened)
    except KeyboardInterrupt:
        if kept:
            _keep(opened)
    finally:
        opened.close()


def _keep(opened: View) -> bool:
    """Whether the view could be written; a colleague's run may be read only."""
    try:
        opened.keep()
    except VolprocError as error:
        note(f"the view is not kept: {error}")
        return False
    return True
