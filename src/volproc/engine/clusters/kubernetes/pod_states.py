"""Why pods do not run, in words; an error where they never will."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from volproc.engine.clusters.kubernetes.api_server import Object
from volproc.engine.clusters.kubernetes.manifests import COMPONENT_LABEL
from volproc.errors import VolprocError

MANY_RESTARTS = 3
"""A container that ended so often without a worker coming to life is given up."""
NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
FINAL_WORDS = ("not found", "denied", "unauthorized", "manifest unknown", "invalid", "never")
"""In what a node says of an image: these do not pass, as a registry's silence may."""
MISCONFIGURED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
OUT_OF_MEMORY = "OOMKilled"
OPERATORS_NOTES = "kopf.zalando.org/"
"""Annotations in which the operator's framework notes how far it is."""

Log = Callable[[str], str]
"""The last lines that the container of a pod wrote before it ended."""


def is_ready(pod: Object) -> bool:
    """Whether a pod runs and answers."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_leaving(pod: Object) -> bool:
    """Whether a pod is being deleted, or its node is about to be taken away."""
    conditions = pod.get("status", {}).get("conditions") or []
    disrupted = any(c["type"] == "DisruptionTarget" and c["status"] == "True" for c in conditions)
    return "deletionTimestamp" in pod["metadata"] or disrupted


def component(pod: Object) -> str:
    """Whether a pod is a scheduler or a worker."""
    return str(pod["metadata"].get("labels", {}).get(COMPONENT_LABEL, "pod"))


def operator_failures(cluster: Object) -> Iterator[str]:
    """What the operator failed at, as it notes it at a DaskCluster until it succeeds."""
    for key, text in (cluster["metadata"].get("annotations") or {}).items():
        if key.startswith(OPERATORS_NOTES):
            note = json.loads(text)
            if note.get("message") and not note.get("success"):
                yield str(note["message"])


def why_none_runs(pods: Sequence[Object], complaints: Sequence[str], log: Log, *, pool: str) -> str:
    """What the pods of a pool wait for; VolprocError if they wait in vain.

    `complaints` are what those say who could not make pods.
    """
    waiting = [pod for pod in pods if not is_ready(pod) and not is_leaving(pod)]
    for pod in waiting:
        _require_startable(pod, log, pool)
    _require_valid(complaints)
    reasons = [reason for pod in waiting for reason in _reasons(pod)]
    if reasons:
        first = max(set(reasons), key=reasons.count)
        return f"{len(waiting)} of {len(pods)} pods of [cluster.{pool}] are not there yet: {first}"
    if complaints:
        return f"no pod of [cluster.{pool}] can be made: {_line(complaints[-1])}"
    if not pods:
        return f"no pod of [cluster.{pool}] is there yet: the Dask operator has not made any"
    return f"the pods of [cluster.{pool}] run, their workers have not connected yet"


def _require_startable(pod: Object, log: Log, pool: str) -> None:
    """VolprocError if a pod will never run: its image, its configuration, or what it does."""
    for container in _containers(pod):
        state = container.get("state", {}).get("waiting", {})
        reason, said = state.get("reason", ""), state.get("message", "")
        if reason in NO_IMAGE and any(word in said.lower() for word in FINAL_WORDS):
            raise VolprocError(
                f"the image {container['image']} cannot be pulled ({reason}: {_line(said)}); "
                "give one that the nodes can reach as [cluster.kubernetes] image"
            )
        if reason in MISCONFIGURED:
            raise VolprocError(
                f"the {component(pod)} pod {pod['metadata']['name']} cannot start ({reason}: "
                f"{_line(said)}); change [cluster.kubernetes]"
            )
        if container.get("restartCount", 0) >= MANY_RESTARTS:
            raise _keeps_ending(pod, container, log, pool)


def _keeps_ending(pod: Object, container: Object, log: Log, pool: str) -> VolprocError:
    ended = container.get("lastState", {}).get("terminated", {})
    reason, code = ended.get("reason", "Error"), ended.get("exitCode", "?")
    way_out = "its log ends: " + (_line(log(pod["metadata"]["name"])) or "nothing")
    if reason == OUT_OF_MEMORY:
        table = "kubernetes] scheduler_memory_gb" if component(pod) == "scheduler" else f"{pool}]"
        table = table if table.endswith("gb") else f"{table} memory_gb"
        way_out = f"give it more memory, [cluster.{table}; {way_out}"
    return VolprocError(
        f"the {component(pod)} pod {pod['metadata']['name']} ended {container['restartCount']} "
        f"times, last with {reason} (exit code {code}); {way_out}"
    )


def _require_valid(complaints: Sequence[str]) -> None:
    """VolprocError if the operator could not make what a DaskCluster describes."""
    for said in complaints:
        if " is invalid: " in said:
            raise VolprocError(f"Kubernetes refuses a field: {_line(said)}; change [cluster]")


def _reasons(pod: Object) -> Iterator[str]:
    """Why a pod does not run yet: no node for it, or what its container waits for."""
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"{condition.get('reason', 'Pending')}: {_line(condition.get('message', ''))}"
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            yield f"{waiting.get('reason', 'waiting')}: {_line(waiting.get('message', ''))}"


def _containers(pod: Object) -> list[dict[str, Any]]:
    return pod.get("status", {}).get("containerStatuses") or []


def _line(text: str) -> str:
    return " ".join(text.split())[-400:].removesuffix(".")
