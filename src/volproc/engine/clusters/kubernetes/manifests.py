"""The DaskCluster that is created for a pool, as plain data: one scheduler, and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from volproc.config.cluster import PoolOptions
from volproc.config.kubernetes import KubernetesOptions
from volproc.engine.clusters.kubernetes.api_server import DASK, Object
from volproc.engine.clusters.pools import WorkerPool
from volproc.engine.worker_settings import dask_environment, environment

SCHEDULER_PORT, HTTP_PORT = 8786, 8787
IDLE_TIMEOUT_S = 900
"""The operator removes a cluster whose client has been silent for so long."""
GRACE_S = 30
"""A worker ends within a second when it is told to: its block is done elsewhere."""
RUN_LABEL = "volproc/run"
CLUSTER_LABEL = "dask.org/cluster-name"
COMPONENT_LABEL = "dask.org/component"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""What namespaces with the restricted pod security standard ask for."""


@dataclass(frozen=True)
class Surroundings:
    """What the pods take from the client: its image, security and owner where it is in a pod."""

    namespace: str
    image: str
    run: str = ""
    """Digest of the outputs that the client owns; "" without any."""
    owner: Object | None = None
    """The owner reference to the client's pod: with the pod goes the cluster."""
    security: Object = field(default_factory=lambda: dict(RESTRICTED))


def dask_cluster(
    name: str,
    options: KubernetesOptions,
    pool: PoolOptions,
    workers: WorkerPool,
    around: Surroundings,
) -> Object:
    """The DaskCluster of one pool."""
    labels = {RUN_LABEL: around.run} if around.run else {}
    owners = {"ownerReferences": [around.owner]} if around.owner else {}
    return {
        "apiVersion": DASK,
        "kind": "DaskCluster",
        "metadata": {"name": name, "labels": labels, **owners},
        "spec": {
            "idleTimeout": IDLE_TIMEOUT_S,
            "scheduler": {
                "spec": _pod(_scheduler(options, around), options, around),
                "service": _service(name),
            },
            "worker": {
                "replicas": pool.jobs,
                "metadata": {"labels": {QUEUE_LABEL: pool.queue} if pool.queue else {}},
                "spec": {
                    **_pod(_worker(name, options, pool, workers, around), options, around),
                    "nodeSelector": _node_selector(options, pool),
                    "tolerations": _tolerations(options, pool),
                    "terminationGracePeriodSeconds": GRACE_S,
                },
            },
        },
    }


def scheduler_address(name: str, namespace: str) -> str:
    """Where the scheduler of a cluster is, for pods."""
    return f"tcp://{name}-scheduler.{namespace}.svc:{SCHEDULER_PORT}"


def _service(name: str) -> Object:
    ports = {"tcp-comm": SCHEDULER_PORT, "http-dashboard": HTTP_PORT}  # the operator's names
    return {
        "type": "ClusterIP",
        "selector": {CLUSTER_LABEL: name, COMPONENT_LABEL: "scheduler"},
        "ports": [
            {"name": key, "protocol": "TCP", "port": port, "targetPort": key}
            for key, port in ports.items()
        ],
    }


def _pod(container: Object, options: KubernetesOptions, around: Surroundings) -> Object:
    account = {"serviceAccountName": options.service_account} if options.service_account else {}
    return {
        **account,
        "automountServiceAccountToken": False,
        "securityContext": around.security,
        "containers": [container],
        "volumes": [
            {"name": f"volume-{n}", "persistentVolumeClaim": {"claimName": mount.partition(":")[0]}}
            for n, mount in enumerate(options.volumes)
        ],
    }


def _container(
    name: str,
    command: list[str],
    variables: dict[str, str],
    options: KubernetesOptions,
    around: Surroundings,
) -> Object:
    secret = [{"secretRef": {"name": options.environment_secret}}]
    return {
        "name": name,
        "image": around.image,
        "imagePullPolicy": options.image_pull_policy,
        "command": command,
        "env": [
            # the pod's name tells workers apart, and which of them leaves
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": key, "value": value} for key, value in variables.items()),
        ],
        "envFrom": secret if options.environment_secret else [],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": f"volume-{n}", "mountPath": mount.partition(":")[2]}
            for n, mount in enumerate(options.volumes)
        ],
    }


def _scheduler(options: KubernetesOptions, around: Surroundings) -> Object:
    command = ["dask", "scheduler", "--port", str(SCHEDULER_PORT), "--no-dashboard"]
    command += ["--dashboard-address", f":{HTTP_PORT}"]
    ready = {"httpGet": {"port": "http-dashboard", "path": "/health"}}
    return {
        **_container("scheduler", command, dask_environment(), options, around),
        "resources": _resources(options.scheduler_cores, options.scheduler_memory_gb, {}),
        "ports": [
            {"name": "tcp-comm", "containerPort": SCHEDULER_PORT, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {**ready, "periodSeconds": 2},
    }


def _worker(
    name: str,
    options: KubernetesOptions,
    pool: PoolOptions,
    workers: WorkerPool,
    around: Surroundings,
) -> Object:
    variables = {
        **dask_environment(),
        **environment(pool.workers_per_job, cores=pool.cores),
        "DASK_SCHEDULER_ADDRESS": scheduler_address(name, around.namespace),
    }
    gpus = {options.gpu_resource: str(pool.gpus_per_job)} if pool.gpus_per_job else {}
    return {
        **_container("worker", _worker_command(pool, workers), variables, options, around),
        "resources": _resources(pool.cores, pool.memory_gb, gpus),
    }


def _worker_command(pool: PoolOptions, workers: WorkerPool) -> list[str]:
    flags = {
        "--name": "$(POD_NAME)",
        "--nworkers": pool.workers_per_job,
        "--nthreads": workers.threads,
        "--memory-limit": workers.worker_bytes,
        "--death-timeout": int(pool.death_timeout_s),
        **({"--local-directory": pool.local_directory} if pool.local_directory else {}),
    }
    words = [str(word) for flag in flags.items() for word in flag]
    return ["dask", "worker", *words, "--no-dashboard"]


def _resources(cores: float, memory_gb: float, more: dict[str, str]) -> Object:
    # No limit of cores: a worker's spare thread may use those that are idle.
    memory = {"memory": f"{round(memory_gb * 1000)}M"}
    return {"requests": {"cpu": f"{cores:g}", **memory, **more}, "limits": {**memory, **more}}


def node_labels(pool: PoolOptions) -> list[str]:
    """Labels that the nodes of a pool must have."""
    return [label.strip() for label in pool.constraint.split(",") if label.strip()]


def _node_selector(options: KubernetesOptions, pool: PoolOptions) -> dict[str, str]:
    labels = (label.partition("=") for label in (*options.node_selector, *node_labels(pool)))
    return {key: value for key, _, value in labels}


def _tolerations(options: KubernetesOptions, pool: PoolOptions) -> list[Object]:
    # clouds taint nodes with GPUs by the name of the resource
    gpu = [{"key": options.gpu_resource, "operator": "Exists"}] if pool.gpus_per_job else []
    return [*map(_toleration, options.tolerations), *gpu]


def _toleration(text: str) -> dict[str, Any]:
    taint, _, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    found = {"key": key, "operator": "Equal" if equals else "Exists"}
    return found | ({"value": value} if equals else {}) | ({"effect": effect} if effect else {})
