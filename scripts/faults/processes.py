"""Rows: processes that are killed, that live on, or that are two."""

import os

from faults import crew, injuries
from faults.cells import (
    IDENTICAL,
    Wrong,
    calm_of,
    either,
    require_identical,
    require_refusal,
    require_same,
)
from faults.shots import wait_for

KILLS, MEETINGS = (0.1, 0.5, 0.9), (0.15, 0.5, 0.85)
"""At which shares of a command's changes it is killed, or meets another one."""


def client_killed(cell):
    """kill -9 of the client, three times on its way"""
    for share in KILLS:
        ended = cell.ends(injuries.at_change(cell.change(share), injuries.die))
        if ended.code not in (-9, 0):
            raise Wrong(f"killed at {share}: exit code {ended.code}: {ended.said[-600:]}")
    require_identical(cell, cell.ends(), "after three kills")
    return IDENTICAL


def on_crew(cell, trouble):
    """Arms the command: on workers that outlive it, one of which is in trouble."""
    return crew.on_crew(cell.address, cell.place.folder, trouble, cell.column.held)


def worker_killed(cell):
    """kill -9 of a worker with a block in hand"""
    return either(cell, cell.ends(on_crew(cell, "die")), "a worker was killed")


def client_lost(cell):
    """Kill the client while a worker holds a block; the worker's process number."""
    client = cell.start(on_crew(cell, "hold"))
    wait_for(cell.place.folder / "held")
    client.kill()
    return int((cell.place.folder / "held").read_text())


def both_killed(cell):
    """kill -9 of the client and of the worker with a block in hand"""
    os.kill(client_lost(cell), 9)
    require_identical(cell, cell.ends(), "after both were killed")
    return IDENTICAL


def ghost(cell):
    """Client killed, its worker lives; started with another option; the worker then writes"""
    client_lost(cell)
    folder = cell.place.folder
    other = calm_of(cell.column, cell.fresh("other"), *cell.column.other)
    ended = cell.ends(more=(*cell.column.other, *cell.column.anew))
    require_identical(cell, ended, "with the other option", calm=other)
    (folder / "go").touch()
    wait_for(folder / "gone")
    cell.said.append(f"the ghost's store ended with {(folder / 'gone').read_text()}")
    require_same(cell.place.files("out"), other.files, "after the ghost has written")
    return IDENTICAL


def terminated(cell):
    """SIGTERM on its way"""
    ended = cell.ends(injuries.at_change(cell.change(0.5), injuries.terminate))
    if ended.code == 0:
        raise Wrong(f"SIGTERM did not end it: {ended.said[-600:]}")
    return either(cell, ended, "SIGTERM")


def two_clients(cell):
    """A second client with another option, at three moments of the first's way"""
    folder = cell.place.folder
    for number, share in enumerate(MEETINGS):
        place = cell.place if not number else cell.fresh(f"meeting-{number}")
        flags = folder / f"flags-{number}"
        flags.mkdir()
        first = cell.start(
            injuries.at_change(cell.change(share), injuries.pause(flags)), place=place
        )
        wait_for(flags / "paused")
        second = cell.ends(more=(*cell.column.other, *cell.column.anew), place=place)
        (flags / "go").touch()
        ended = cell.told(first.ended())
        require_refusal(second, f"the second at {share}", "is being written by")
        require_identical(cell, ended, f"the first, met at {share}", place=place)
    return "identical, the second refused"
