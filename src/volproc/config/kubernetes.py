"""The options of [cluster.kubernetes]: what the pods of Dask schedulers and workers are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationInfo

from volproc.config.options import Options, Positive

LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
KEY = rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{LABEL}"
NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
NODE_LABEL = rf"{KEY}=({LABEL})?"


def require_form(where: str, value: str, form: str, example: str) -> None:
    """ValueError where a text that is not empty lacks a form; the line has an example."""
    if value and not re.fullmatch(form, value):
        raise ValueError(
            f"{where} = {value!r}: Kubernetes does not take it; give it in the form of {example!r}"
        )


def _in_form(form: str, example: str) -> Callable[[str, ValidationInfo], str]:
    """A check of an option's form."""

    def checked(value: str, info: ValidationInfo) -> str:
        require_form(f"[cluster.kubernetes] {info.field_name}", value, form, example)
        return value

    return checked


Name = Annotated[str, AfterValidator(_in_form(NAME, "volproc-bucket"))]
"""Of an object of Kubernetes."""
Prefix = Annotated[str, AfterValidator(_in_form(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?", "volproc"))]
"""With which names of objects begin: up to 20 lower-case letters, digits and dashes."""
Image = Annotated[str, AfterValidator(_in_form(r"\S+", "registry.example.org/volproc:0.1"))]
Resource = Annotated[str, AfterValidator(_in_form(KEY, "nvidia.com/gpu"))]
NodeLabel = Annotated[str, AfterValidator(_in_form(NODE_LABEL, "disktype=ssd"))]
Toleration = Annotated[
    str,
    AfterValidator(
        _in_form(
            rf"{KEY}(={LABEL})?(:(NoSchedule|PreferNoSchedule|NoExecute))?",
            "cloud.google.com/gke-spot=true:NoSchedule",
        )
    ),
]
Mount = Annotated[str, AfterValidator(_in_form(rf"{NAME}:/\S*", "em-data:/data"))]


class KubernetesOptions(Options):
    """Pods of Dask schedulers and workers, which the Dask operator makes."""

    namespace: Name = ""
    """Where the pods run; by default the namespace of volproc's own pod, or of the context."""
    context: str = ""
    """Context of the kubeconfig, where volproc runs outside the cluster; by default the current."""
    image: Image = ""
    """Image with this version of volproc; by default that of the pod in which volproc runs."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When a node fetches the image."""
    service_account: Name = ""
    """Service account of the pods, where a cloud ties rights on buckets to it."""
    environment_secret: Name = ""
    """Secret whose entries are environment variables of the pods, e.g. the keys of a bucket."""
    volumes: tuple[Mount, ...] = ()
    """Volume claims that the pods mount, each as claim:path, e.g. ["em-data:/data"]."""
    node_selector: tuple[NodeLabel, ...] = ()
    """Labels that nodes of all workers have, e.g. ["pool=spot"]; `constraint` is of a pool."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that workers accept, as in kubectl, e.g. ["spot=true:NoSchedule"]."""
    gpu_resource: Resource = "nvidia.com/gpu"
    """What a GPU is called on the nodes."""
    scheduler_cores: Positive = 1.0
    """Cores of the pod of a Dask scheduler."""
    scheduler_memory_gb: Positive = 2.0
    """Memory of the pod of a Dask scheduler in GB (10^9 bytes)."""
    name: Prefix = "volproc"
    """How names of what volproc makes begin."""
