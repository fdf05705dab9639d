"""Workers on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import spawn
from typing import Any

import dask
from distributed import LocalCluster, Nanny, Status

from volproc.engine.distributed import DaskEngine
from volproc.engine.machine import machine_cores
from volproc.engine.memory import share_of_machine
from volproc.engine.worker_settings import DASK, environment
from volproc.engine.workers import ClusterWorkers
from volproc.errors import VolprocError

SETTINGS = {
    **DASK,
    # A worker that is down this long after it died is given up for good, even if it was started
    # again in between and has just died anew; with none left a run would wait for ever.
    "distributed.deploy.lost-worker-timeout": "1000 days",
    # A worker that is being closed complains of lost heartbeats; what matters comes as outcomes.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
}
"""Dask's configuration while a cluster of this machine is there."""

WORKER_PROCESS = "Dask Worker process (from Nanny)"
"""How Dask calls the processes of workers."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def local_engine(
    *, workers: int = 0, threads: int = 1, worker_bytes: int = 0, gpus: Sequence[str] = ()
) -> DaskEngine:
    """An engine on `workers` processes of this machine (0: one per core) with `threads` each.

    `worker_bytes` 0 shares nine tenths of the machine's memory among them. Each sees one of the
    `gpus`, in turn; without, all there are. Workers die with this process, however it ends.
    VolprocError if one dies before it has started.
    """
    workers = workers or machine_cores()
    worker_bytes = worker_bytes or share_of_machine(workers)
    environ = environment(workers, cores=machine_cores())
    before = {f"distributed.nanny.pre-spawn-environ.{name}": environ[name] for name in environ}
    with ExitStack() as held:
        # for as long as the engine lives: scheduler and nannies read some of them late
        held.enter_context(dask.config.set({**SETTINGS, **before}))
        held.enter_context(_main_not_run_again())
        try:
            cluster = _Workers(
                gpus,
                n_workers=workers,
                threads_per_worker=threads,
                memory_limit=worker_bytes,
                processes=True,
                # None would mean port 8787 of every interface, taken or not
                dashboard_address="127.0.0.1:0",
                silence_logs=40,
            )
        except RuntimeError as error:
            raise VolprocError(
                f"{workers} workers did not start on this machine ({error}); if its memory is "
                "short set [cluster] workers lower, then run the same command again"
            ) from error
        there = ClusterWorkers(cluster, held.pop_all())
        return DaskEngine(there, worker_bytes=worker_bytes, threads=threads)


@contextmanager
def _main_not_run_again() -> Iterator[None]:
    """Meanwhile worker processes do not import the caller's script, as spawned ones usually do.

    Without `if __name__ == "__main__":` a script would start the same work in each of them. They
    need nothing of it: what a script defines travels as code.
    """
    before = spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        found = before(name)
        if name == WORKER_PROCESS:
            found = {key: value for key, value in found.items() if not key.startswith("init_main")}
        return found

    spawn.get_preparation_data = without_main
    try:
        yield
    finally:
        spawn.get_preparation_data = before


class _Workers(LocalCluster):  # type: ignore[misc]
    """Workers that can be killed, also while they start. Number n sees the nth of the `gpus` only,
    also when it was started again."""

    def __init__(self, gpus: Sequence[str], **options: Any) -> None:
        self._gpus, self._nannies = gpus, list[Nanny]()
        try:
            super().__init__(worker_class=self._nanny, **options)
        except KeyboardInterrupt:
            self.kill()
            self.sync(self._abandon)
            raise

    async def _abandon(self) -> None:
        """Close what has been started so far: Dask closes only clusters whose workers are there."""
        parts = [nanny.close() for nanny in self._nannies]
        closing = asyncio.gather(*parts, self.scheduler.close(), return_exceptions=True)
        while not closing.done():  # a process may appear only now
            self._kill_processes()
            await asyncio.sleep(0.05)
        self.status = Status.closed

    def kill(self) -> None:
        """End all workers at once; none is started again."""
        for nanny in self._nannies:
            nanny.close_gracefully(reason="volproc-stopped")
        self._kill_processes()

    def _kill_processes(self) -> None:
        for nanny in self._nannies:
            if nanny.pid:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)

    def _nanny(self, *given: Any, name: int, **more: Any) -> Nanny:
        # Ctrl-C in a terminal and signals of a batch system reach workers too. They are left to
        # this process: what the thread of the nannies blocks, the processes it starts do as well.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        seen = {"CUDA_VISIBLE_DEVICES": self._gpus[name % len(self._gpus)]} if self._gpus else {}
        self._nannies.append(Nanny(*given, name=name, env=seen, **more))
        return self._nannies[-1]
