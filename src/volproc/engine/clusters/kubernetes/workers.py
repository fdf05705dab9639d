"""The workers of one DaskCluster: made with it, watched through its pods, gone with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import Any

from distributed import Client

from volproc.engine.clusters.kubernetes import pod_states
from volproc.engine.clusters.kubernetes.api_server import CORE, DASK, ApiServer, Object, in_pod
from volproc.engine.clusters.kubernetes.manifests import (
    CLUSTER_LABEL,
    IDLE_TIMEOUT_S,
    SCHEDULER_PORT,
    scheduler_address,
)
from volproc.engine.distributed import DaskEngine
from volproc.engine.protocol import Outcomes, Step, Waiting
from volproc.errors import TransientError
from volproc.grid.blocks import Block
from volproc.retry import patient

LOOK_EVERY_S = 5.0
"""How often the API server is asked for the pods."""
PAUSE_S = 1.0
"""Between two looks for a scheduler that has to come."""
CONNECT_WITHIN_S = 60
HELD_S, GONE_WITHIN_S, GONE_PAUSE_S = 15.0, 120.0, 0.5
LOG_LINES = 5
CLUSTERS = "daskclusters"


class KubernetesWorkers:
    """The workers of a DaskCluster that is created with this, and deleted in the end."""

    def __init__(self, api: ApiServer, cluster: Object, *, pool: str) -> None:
        """`pool` is the table of options that describes the workers."""
        self.name: str = cluster["metadata"]["name"]
        self._api, self._pool = api, pool
        self._held = ExitStack()
        self._pods: list[Object] = []
        self._looked = float("-inf")
        api.create(DASK, CLUSTERS, cluster)

    @cached_property
    def client(self) -> Client:
        """Dask's client; the first one to ask waits until the scheduler answers."""
        for _ in self.connecting():
            time.sleep(PAUSE_S)
        return self.client

    def connecting(self) -> Iterator[str]:
        """What is waited for until the scheduler answers; VolprocError if it never will."""
        while "client" not in self.__dict__:
            ready = [pod for pod in self._look() if _is_scheduler(pod) and pod_states.is_ready(pod)]
            if ready:
                self.__dict__["client"] = self._connected(ready[0]["metadata"]["name"])
                return
            yield self.waiting_for()

    def _connected(self, pod: str) -> Client:
        address = scheduler_address(self.name, self._api.namespace)
        if not in_pod():
            port = self._held.enter_context(self._api.forwarded(pod, SCHEDULER_PORT))
            address = f"tcp://127.0.0.1:{port}"
        try:
            client = Client(address, timeout=CONNECT_WITHIN_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            way = "a network policy may forbid it" if in_pod() else "port-forwarding may be off"
            raise TransientError(
                f"the Dask scheduler in the pod {pod} does not answer at {address} within "
                f"{CONNECT_WITHIN_S} s: {way}"
            ) from error
        self._held.callback(client.close)
        self._held.enter_context(_kept_awake(client))
        return client

    def _look(self) -> list[Object]:
        """The pods; those of a moment ago where the server does not answer."""
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            with suppress(TransientError):
                labels = f"{CLUSTER_LABEL}={self.name}"
                self._pods = self._api.list(CORE, "pods", labels=labels)
            self._looked = time.monotonic()
        return self._pods

    def waiting_for(self) -> str:
        """Why no worker is there yet, for people; VolprocError if none will come."""
        try:
            pods, complaints = self._look(), self._complaints()
        except TransientError as error:
            return str(error)
        return pod_states.why_none_runs(pods, complaints, self._log, pool=self._pool)

    def _complaints(self) -> list[str]:
        """What keeps pods from being made, as their makers and the operator say."""
        events = self._api.list(CORE, "events", fields="reason=FailedCreate")
        here = [str(one.get("message", "")) for one in events if _about(one).startswith(self.name)]
        clusters = self._api.list(DASK, CLUSTERS, fields=f"metadata.name={self.name}")
        return [*here, *(said for one in clusters for said in pod_states.operator_failures(one))]

    def _log(self, pod: str) -> str:
        with suppress(Exception):  # it only adds to what is known
            return self._api.log(pod, lines=LOG_LINES, previous=True)
        return ""

    def leaving(self, block_seconds: float) -> Collection[str]:
        """Workers in pods that are being deleted, or whose nodes are taken away."""
        leaving = [p["metadata"]["name"] for p in self._look() if pod_states.is_leaving(p)]
        if not leaving:
            return ()
        there = self.client.scheduler_info(n_workers=-1)["workers"]
        return [address for address, one in there.items() if _is_in(str(one["name"]), leaving)]

    def kill(self) -> None:
        """End all of them at once, whatever they do."""
        remove(self._api, self.name)

    def close(self) -> None:
        """Let them go; their pods are gone when it returns."""
        with self._held:
            self.kill()
        wait_until_gone(self._api, [self.name])


class KubernetesEngine(DaskEngine):
    """An engine whose scheduler may still have to come."""

    workers: KubernetesWorkers

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        before = ""
        for why in self.workers.connecting():
            if why != before:
                yield Waiting(why)
            before = why
            time.sleep(PAUSE_S)
        yield from super().map(step, blocks)


@patient
def remove(api: ApiServer, name: str) -> None:
    """Delete a DaskCluster: the operator and Kubernetes remove what belongs to it."""
    api.delete(DASK, CLUSTERS, name)


def wait_until_gone(api: ApiServer, names: Collection[str]) -> None:
    """Return when nothing of deleted clusters is left; TransientError if something stays.

    The operator holds clusters back until it has seen that they are deleted: for ever if it does
    not run, or still tries to make one that Kubernetes refuses. After a while they are let go.
    """
    began = time.monotonic()
    while left := _left(api, names):
        waited = time.monotonic() - began
        if waited > GONE_WITHIN_S:
            raise TransientError(
                f"{', '.join(left)} are still there {GONE_WITHIN_S:g} s after they were deleted: "
                "kubectl says why"
            )
        if waited > HELD_S:
            for name in set(left) & set(names):
                patient(api.let_go)(DASK, CLUSTERS, name)
        time.sleep(GONE_PAUSE_S)


@patient
def _left(api: ApiServer, names: Collection[str]) -> list[str]:
    """Clusters and pods of these clusters that are there."""
    if not names:
        return []
    labels = f"{CLUSTER_LABEL} in ({', '.join(names)})"
    found = [*api.list(DASK, CLUSTERS), *api.list(CORE, "pods", labels=labels)]
    there = [one["metadata"]["name"] for one in found]
    return [name for name in there if name.startswith(tuple(names))]


def _about(event: Object) -> str:
    return str(event["involvedObject"].get("name", ""))


def _is_scheduler(pod: Object) -> bool:
    return pod_states.component(pod) == "scheduler"


def _is_in(worker: str, pods: list[str]) -> bool:
    """Whether a worker is in one of the pods: it has the pod's name, with a number if several."""
    return any(worker == pod or worker.startswith(f"{pod}-") for pod in pods)


class _kept_awake:
    """Within it the operator is told that the client lives: idle clusters are removed by it."""

    def __init__(self, client: Client) -> None:
        self._client, self._stop = client, threading.Event()
        self._thread = threading.Thread(target=self._tell, name="volproc-awake", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._stop.wait(IDLE_TIMEOUT_S / 10):
            with suppress(Exception):  # a scheduler that is gone is noticed elsewhere
                self._client.run_on_scheduler(not_idle)


def not_idle(dask_scheduler: Any) -> None:
    """Run on a scheduler: it counts as idle from now on only."""
    dask_scheduler.idle_since = None
