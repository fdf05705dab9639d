"""An output has one owner at a time, named by a lease file among the output's records.

The records of an output (`OUT.volproc`, or `RUN/ledger`) include `lease-000007.json`. Its number,
the epoch, only grows: the next owner claims the next number, which exactly one of two racers gets.
Right before its work becomes visible, every writer checks that the newest lease is still its own.
So tasks on workers that outlived a dead owner write nothing.

    owner A   lease-000007.json ──beat──beat──   dies, or is cut off
    owner B                     watches 3 beats   lease-000008.json ──beat── ...
    A's task                                       newest is 8, not 7: LeaseLostError
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import uuid4

from volproc.errors import LeaseError, LeaseLostError
from volproc.lease.lease_file import create, newest, overwrite, remove_alone, remove_older
from volproc.lease.neighbours import around, guarded, inside, reaching, resolved
from volproc.lease.owner import Owner, State, machine, parsed, started, this_process

BEAT_S = 10.0
"""How often an owner shows that it is alive."""
PATIENCE_BEATS = 3
"""An owner on another machine that misses so many beats is dead."""
sleep = time.sleep
_living: set[str] = set()
"""The owners in this process."""
SEEN_WITHIN_S = 60.0
"""So late may a shared file system show another machine a file."""


@dataclass(frozen=True)
class Lease:
    """The right to write the output with records at `root`. It travels to workers with tasks.

    `tidy`: the owner before released it, so it left no partial files.
    """

    root: str
    epoch: int
    owner: str
    tidy: bool = True

    def is_held(self) -> bool:
        """Whether no other owner has taken over."""
        return self.mine(*newest(self.root)) is not None

    def mine(self, epoch: int, text: bytes) -> Owner | None:
        """The owner, if the newest lease is this one."""
        found = parsed(text)
        return found if found and (epoch, found.owner) == (self.epoch, self.owner) else None

    def seconds_until_seen(self) -> float | None:
        """How long this machine took to see the file; None if it does not within a minute."""
        began, pause = time.monotonic(), 0.05
        while newest(self.root)[0] < self.epoch:
            if time.monotonic() - began > SEEN_WITHIN_S:
                return None
            sleep(pause)
            pause = min(1.0, 2 * pause)
        return time.monotonic() - began

    def require(self) -> None:
        """LeaseLostError if another owner has taken over, or its owner has ended; LeaseError where
        nobody can tell."""
        with reaching(self.root):
            epoch, text = newest(self.root)
        mine = self.mine(epoch, text)
        if mine and mine.state == "held":
            return
        found = parsed(text)
        how = f"was taken over by {found.described()}" if found else "lost its records"
        if mine:
            how = "was released by the process that sent this work"
        raise LeaseLostError(
            f"{guarded(self.root)} {how}, while this process was taken for dead or {self.root} was "
            "removed: nothing more is written; run the same command again when nobody else does"
        )


_held: ContextVar[tuple[Lease, ...]] = ContextVar("held", default=())


def current() -> tuple[Lease, ...]:
    """The leases under which this thread writes; none where parts of volproc are used directly."""
    return _held.get()


@contextmanager
def under(leases: tuple[Lease, ...]) -> Iterator[None]:
    """Within it this thread writes under `leases`."""
    token = _held.set(leases)
    try:
        yield
    finally:
        _held.reset(token)


def require() -> None:
    """LeaseLostError if the output that this thread writes has another owner by now."""
    for lease in current():
        lease.require()


def left_by_dead() -> bool:
    """Whether the last owner died and may have left partial files."""
    return any(not lease.tidy for lease in current())


@contextmanager
def holding(*roots: str) -> Iterator[None]:
    """This process owns the outputs with records at `roots` until the end of the block.

    LeaseError if another live process writes one of them, a folder around it, or a part of it.
    """
    owner = uuid4().hex
    taken: list[Lease] = []
    _living.add(owner)
    ended_well = False
    try:
        for root in dict.fromkeys(map(resolved, roots)):
            taken.append(_taken(root, owner))
            taken[-1] = _with_neighbours(taken[-1])
        with _beating(taken), under(tuple(taken)):
            yield
        ended_well = True
    finally:
        for lease in taken:
            # after an early failure, what a dead owner had left may still be there
            _release(lease, "released" if ended_well or lease.tidy else "died")
        _living.discard(owner)


def _taken(root: str, owner: str) -> Lease:
    """A lease of the next epoch; LeaseError if the owner of the newest one is alive."""
    with reaching(root):
        return _next(root, owner)


def _next(root: str, owner: str) -> Lease:
    while True:
        epoch, former = _ended(root, owner)
        tidy = former is not None and former.state == "released"
        lease = Lease(root, epoch + 1, owner, tidy)
        create(root, lease.epoch, this_process(owner).text())
        if lease.is_held():  # else another was faster: is that one alive?
            remove_older(root, lease.epoch)
            return lease


def _with_neighbours(lease: Lease) -> Lease:
    """The lease, once no live process has one around or inside it; those of dead ones are ended."""
    for root in (*around(lease.root), *inside(lease.root)):
        with suppress(OSError):  # a folder above that is not ours to see
            epoch, former = _ended(root, lease.owner)
            while former and former.state == "held" and former.owner != lease.owner:
                create(root, epoch + 1, replace(former, state="died").text())
                lease = replace(lease, tidy=False)
                epoch, former = _ended(root, lease.owner)
    return lease


def _ended(root: str, mine: str) -> tuple[int, Owner | None]:
    """Epoch and owner of the newest lease there, (0, None) without any; LeaseError if it is alive.

    A process of this machine is looked up. Of one elsewhere, the file is watched: it is rewritten
    with every beat. Clocks are not compared, as they differ between machines.
    """
    epoch, text = newest(root)
    owner = parsed(text)
    if not epoch or (owner and (owner.state != "held" or owner.owner == mine)):
        return epoch, owner
    if owner and owner.machine and owner.machine == machine():
        own_process = owner.pid == os.getpid()
        lives = owner.owner in _living if own_process else started(owner.pid) == owner.started
    else:
        later = _watched(root, (epoch, text))
        lives = later != (epoch, text) and getattr(parsed(later[1]), "state", "held") == "held"
        epoch, owner = later[0], parsed(later[1])
    if lives:
        raise LeaseError(
            f"{guarded(root)} is being written by "
            f"{owner.described() if owner else 'another process'}; wait until it has ended, or "
            "stop it, or choose another output"
        )
    return epoch, owner


def _watched(root: str, seen: tuple[int, bytes]) -> tuple[int, bytes]:
    """The newest lease as soon as it differs from what was seen, or the same after three beats."""
    looks = 4 * PATIENCE_BEATS
    for _ in range(looks):
        sleep(PATIENCE_BEATS * BEAT_S / looks)
        now = newest(root)
        if now != seen:
            return now
    return seen


@contextmanager
def _beating(leases: list[Lease]) -> Iterator[None]:
    """Within it a thread rewrites the files of `leases` with every beat."""
    stop = threading.Event()

    def beats() -> None:
        while not stop.wait(BEAT_S):
            for lease in leases:
                with suppress(Exception):  # a store may be down for a moment: the next beat counts
                    beat(lease)

    thread = threading.Thread(target=beats, name="volproc-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def beat(lease: Lease) -> None:
    """Show that the owner is alive; nothing if it no longer is the owner."""
    if mine := lease.mine(*newest(lease.root)):
        alive = replace(mine, heard=time.time(), beats=mine.beats + 1)
        overwrite(lease.root, lease.epoch, alive.text())


def _release(lease: Lease, state: State) -> None:
    """Release it. The file stays, but if nothing else was recorded nothing is left at all."""
    with suppress(Exception):  # the next owner will find this process gone
        mine = lease.mine(*newest(lease.root))
        if mine and not remove_alone(lease.root, lease.epoch):
            overwrite(lease.root, lease.epoch, replace(mine, state=state).text())
