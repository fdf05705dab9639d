"""Runs on a cluster that are killed again and again at random, until there were enough kills.

A seed always draws the same kills after the same pauses; where they meet a run differs.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

PER_RUN = 5
"""At most so many kills in one run."""
PAUSES_S = 0.1, 5.0
"""Before the first kill of a run and between two: short, as some runs take ten seconds."""
LIMIT_S = 900
"""A run that takes longer after its last kill hangs."""
AGAIN = 1
"""Exit code of a client that says: run the same command again."""


class Wrong(Exception):
    """A run did not end as it must."""


class Run(Protocol):
    """A run of a workflow whose client can be started again."""

    starts: int
    """How often a client was started."""

    def code(self) -> int | None:
        """How its client ended; None while it is at work."""

    def start(self) -> None:
        """Start a client."""

    def said(self) -> str:
        """What its client said."""

    def is_at_work(self) -> bool:
        """Whether it has asked for workers."""

    def judge(self) -> None:
        """Raises unless its results are those of an undisturbed run and nothing is left."""


Kill = Callable[[Run, random.Random], bool]
"""Kills something of a run; whether there was anything to kill. Its docstring is its name."""


@dataclass
class Storm:
    """Kills at random. `begin` makes a run in a folder of its own and starts its client."""

    begin: Callable[[random.Random], Run]
    kills: Sequence[Kill]
    seed: int = 1

    def rage(self, count: int) -> Counter:
        """So many kills; how often each."""
        rng, done, number = random.Random(self.seed), Counter(), 0
        while done.total() < count:
            number += 1
            began, run = time.monotonic(), self.begin(rng)
            planned = min(rng.randint(1, PER_RUN), count - done.total())
            met = self._disturb(run, rng, planned)
            done.update(met)
            _to_its_end(run)
            run.judge()
            print(
                f"  run {number}: {len(met)} kills, {run.starts} starts of its client, "
                f"{time.monotonic() - began:.0f} s: equal; {done.total()} kills so far",
                flush=True,
            )
        return done

    def _disturb(self, run: Run, rng: random.Random, planned: int) -> list[str]:
        """What was killed: fewer than planned where the run ends before."""
        met: list[str] = []
        if not _goes_on(run, run.is_at_work):
            return met
        while len(met) < planned:
            kill, end = rng.choice(self.kills), time.monotonic() + rng.uniform(*PAUSES_S)
            if not _goes_on(run, lambda end=end: time.monotonic() > end):
                return met
            if kill(run, rng):
                name = str(kill.__doc__).splitlines()[0]
                met.append(name)
                print(f"    {time.strftime('%H:%M:%S')} {name}", flush=True)
        return met


def _goes_on(run: Run, until: Callable[[], bool]) -> bool:
    """Wait; whether the run still goes on then. A client that asks for it is started again."""
    while not until():
        if _is_over(run):
            return False
        time.sleep(0.05)
    return not _is_over(run)


def _is_over(run: Run) -> bool:
    code = run.code()
    if code == AGAIN:
        run.start()
    elif code:
        raise Wrong(f"exit code {code}: {run.said()[-1500:]}")
    return code == 0


def _to_its_end(run: Run) -> None:
    """Wait until the run has done its work."""
    end = time.monotonic() + LIMIT_S
    while not _is_over(run):
        if time.monotonic() > end:
            raise Wrong(f"no end in {LIMIT_S} s: {run.said()[-1500:]}")
        time.sleep(0.1)


def table(done: Counter) -> str:
    """What was killed how often."""
    return "; ".join(f"{name} {times}" for name, times in done.most_common())
