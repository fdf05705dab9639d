"""Workers in pods that the Dask operator makes: one DaskCluster for each pool.

    client (a pod of a Job, or a laptop)
      ├ DaskCluster NAME-cpu-...   scheduler, N workers     from its first step to its last
      └ DaskCluster NAME-gpu-...   scheduler, M workers     likewise, asked for ahead

Two clusters rather than two worker groups of one: a block then needs no rule of where it may go,
and pods of a group go by deletion alone. The operator scales a group down by asking the scheduler
which workers to retire, over an HTTP interface that is off by default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.config.kubernetes import LABEL, NODE_LABEL, require_form
from volproc.engine.clusters.kubernetes.api_server import (
    CORE,
    DASK,
    ApiServer,
    NotThereError,
    Object,
    in_pod,
)
from volproc.engine.clusters.kubernetes.manifests import (
    RUN_LABEL,
    Surroundings,
    dask_cluster,
    node_labels,
)
from volproc.engine.clusters.kubernetes.workers import (
    CLUSTERS,
    KubernetesEngine,
    KubernetesWorkers,
    wait_until_gone,
)
from volproc.engine.clusters.pools import Pools, WorkerPool, at_work, threads_of
from volproc.engine.protocol import Engine, Step
from volproc.errors import ConfigError, TransientError, VolprocError
from volproc.lease import Lease, current

WORKERS_SHARE = 0.95
"""Of a pod's memory; the rest is for what starts the workers."""
NOT_FOR_PODS = (
    *("walltime", "account", "qos", "gres", "directives", "prologue", "python"),
    *("log_directory", "interface", "ports"),
)


@dataclass(frozen=True)
class KubernetesPool(WorkerPool):
    """Workers of the table [cluster.cpu] or [cluster.gpu]."""

    table: str = "cpu"


class KubernetesPools(Pools):
    """A DaskCluster for the steps on CPUs, and one for those on GPUs."""

    def __init__(self, options: ClusterOptions, api: ApiServer, around: Surroundings) -> None:
        super().__init__()
        self._options, self._api, self._around = options, api, around
        if options.gpu:
            self.ask_ahead_s = 60 * options.gpu.ask_ahead_minutes

    def pool_for(self, step: Step | None) -> KubernetesPool:
        """The pool that does a step; that of steps on CPUs without one."""
        on_gpu = step is not None and step.on_gpu and self._options.gpu is not None
        table = "gpu" if on_gpu else "cpu"
        pool = self._pool_options(table)
        each = int(WORKERS_SHARE * pool.memory_gb * 10**9 / pool.workers_per_job)
        threads = threads_of(pool.threads, on_gpu=bool(pool.gpus_per_job))
        return KubernetesPool(threads, each, table)

    def manifest(self, pool: KubernetesPool) -> Object:
        """The DaskCluster of a pool, under a new name."""
        options = self._options.kubernetes
        name = f"{options.name}-{pool.table}-{uuid4().hex[:8]}"
        return dask_cluster(name, options, self._pool_options(pool.table), pool, self._around)

    def start(self, pool: WorkerPool) -> KubernetesEngine:
        """Create the DaskCluster of a pool; its scheduler and workers come later."""
        assert isinstance(pool, KubernetesPool)
        workers = KubernetesWorkers(self._api, self.manifest(pool), pool=pool.table)
        return KubernetesEngine(workers, worker_bytes=pool.worker_bytes, threads=pool.threads)

    def require_possible(self) -> None:
        """VolprocError before any work if the operator, a right or a field is missing."""
        for table in ("cpu", "gpu") if self._options.gpu else ("cpu",):
            pool = KubernetesPool(1, 10**9, table)
            try:
                self._api.create(DASK, CLUSTERS, self.manifest(pool), try_only=True)
            except NotThereError as error:
                raise _not_there(error, self._api) from error

    def _pool_options(self, table: str) -> PoolOptions:
        return self._options.gpu if table == "gpu" and self._options.gpu else self._options.cpu


def _not_there(error: NotThereError, api: ApiServer) -> VolprocError:
    if f'"{api.namespace}"' in str(error):
        return VolprocError(
            f"there is no namespace {api.namespace} in the Kubernetes cluster at {api.address}; "
            "create it, or name another as [cluster.kubernetes] namespace"
        )
    return VolprocError(
        f"the Kubernetes cluster at {api.address} has no Dask operator: it does not know "
        "daskclusters; docs/clusters.md says how it is installed"
    )


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """Workers in pods, which are gone at the end."""
    require_for_pods(options)
    with ApiServer(options.kubernetes.namespace, options.kubernetes.context) as api:
        pools = KubernetesPools(options, api, surroundings(api, options))
        pools.require_possible()
        remove_left_behind(api, run_digest(current()))
        with at_work(pools) as engine:
            yield engine


def require_for_pods(options: ClusterOptions) -> None:
    """ConfigError for options of pools that pods do not have."""
    for table, pool in (("cpu", options.cpu), ("gpu", options.gpu or PoolOptions())):
        wrong = next((name for name in NOT_FOR_PODS if getattr(pool, name)), "")
        if wrong:
            raise ConfigError(
                f'[cluster.{table}] {wrong} is for kind = "jobqueue"; pods are described in '
                "[cluster.kubernetes]"
            )
        if pool.gpus_per_job > 1:
            raise ConfigError(
                f"[cluster.{table}] gpus_per_job = {pool.gpus_per_job}: a pod has one GPU; set it "
                "to 1, and jobs to the number of GPUs"
            )
        try:
            require_form(f"[cluster.{table}] queue", pool.queue, LABEL, "team-a")
            for label in node_labels(pool):
                require_form(f"[cluster.{table}] constraint", label, NODE_LABEL, "gpu=a100")
        except ValueError as error:
            raise ConfigError(str(error)) from error


def surroundings(api: ApiServer, options: ClusterOptions) -> Surroundings:
    """What pods take from the client's own, if it is in one, and from the options."""
    own = own_pod(api)
    image = options.kubernetes.image or (own["spec"]["containers"][0]["image"] if own else "")
    if not image:
        raise ConfigError(
            "[cluster.kubernetes] image is missing; name one that has this version of volproc, "
            'e.g. image = "registry.example.org/volproc:0.1"'
        )
    found = Surroundings(api.namespace, image, run_digest(current()))
    if own is None:
        return found
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": own["metadata"]["name"],
        "uid": own["metadata"]["uid"],
    }
    security = own["spec"].get("securityContext") or found.security
    return Surroundings(api.namespace, image, found.run, owner, security)


def own_pod(api: ApiServer) -> Object | None:
    """The pod in which this process runs, if it is in the namespace of the workers."""
    name = os.environ.get("HOSTNAME", "")
    if not in_pod() or not name:
        return None
    try:
        return api.get(CORE, "pods", name)
    except TransientError:
        raise
    except VolprocError:  # volproc may have no right to look there: it is another namespace
        return None


def remove_left_behind(api: ApiServer, run: str) -> None:
    """Delete clusters that a dead client of the same outputs left, and wait for their pods.

    Only who holds the leases of the outputs may ask: then the client that made them is dead.
    """
    if not run:
        return
    left = api.list(DASK, CLUSTERS, labels=f"{RUN_LABEL}={run}")
    names = [one["metadata"]["name"] for one in left]
    for name in names:
        api.delete(DASK, CLUSTERS, name)
    wait_until_gone(api, names)


def run_digest(leases: Sequence[Lease]) -> str:
    """A label for the outputs that are owned, the same for their next owner; "" without any.

    A folder of this machine counts with its inode: others may have one of the same path.
    """
    if not leases:
        return ""
    parts = [f"{lease.root} {_inode(lease.root)}" for lease in leases]
    parts.append(os.environ.get("AWS_ENDPOINT_URL", ""))
    return sha256("\n".join(sorted(parts)).encode()).hexdigest()[:32]


def _inode(root: str) -> int:
    path = Path(root)
    return path.stat().st_ino if path.exists() else 0
