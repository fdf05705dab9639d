"""Workers that outlive their clients, as those of any cluster do, and tasks that trouble them.

As a program it starts two workers and writes the scheduler's address into a file.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faults.shots import wait_for

WORKERS = 2


@dataclass(frozen=True)
class Held:
    """A task whose block 0 is troubled once, right before it is stored.

    "": none. "hold": its worker says so in `folder`/held and waits for `folder`/go. "die": it
    kills itself.
    """

    task: Any
    folder: str
    trouble: str

    def load(self, block):
        """As the task does, where its client is: workers of this machine are begun there."""
        os.chdir(self.folder)
        return self.task.load(block)

    def compute(self, block, loaded):
        """As the task does."""
        return self.task.compute(block, loaded)

    def store(self, block, result):
        """As the task does, but for the trouble."""
        held = Path(self.folder, "held")
        if block.index or not self.trouble or held.exists():
            return self.task.store(block, result)
        _write(held, str(os.getpid()))
        if self.trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for(Path(self.folder, "go"))
        try:
            return self.task.store(block, result)
        finally:
            _write(Path(self.folder, "gone"), type(sys.exc_info()[1]).__name__)


def _write(path, text):
    partial = path.with_suffix(".new")
    partial.write_text(text)
    partial.rename(path)


def on_crew(address, folder, trouble, step):
    """Arms a command: its blocks go to the workers at `address`; one of its `step` is troubled."""

    def arm():
        from distributed import Client

        from volproc.engine.distributed import DaskEngine
        from volproc.engine.workers import ForeignWorkers
        from volproc.workflow import single_stage as runner

        class Outlived(DaskEngine):
            """An engine whose workers are not closed with it."""

            maps = 0

            def map(self, of, blocks):
                """One outcome per block."""
                chosen = self.maps == step
                self.maps += 1
                held = Held(of.task, str(folder), trouble if chosen else "")
                return super().map(replace(of, task=held), blocks)

        @contextmanager
        def engine_of(options):
            workers = ForeignWorkers(Client(address, set_as_default=False), close_client=True)
            with Outlived(workers, worker_bytes=2**31) as engine:
                yield engine

        runner.engine_of = engine_of

    return arm


@contextmanager
def crew(folder):
    """The address of a scheduler with two workers, in processes of their own."""
    ready, log = folder / "address", folder / "crew.txt"
    command = [sys.executable, "-m", "faults.crew", str(ready)]
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            wait_for(ready)
            yield ready.read_text()
        finally:
            process.terminate()


def main(ready):
    """Start the workers, and wait to be stopped."""
    import dask
    from distributed import LocalCluster

    from volproc.engine.clusters.local import SETTINGS

    dask.config.set(SETTINGS)
    with LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        _write(Path(ready), cluster.scheduler_address)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
