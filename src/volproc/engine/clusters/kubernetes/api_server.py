"""The API server of a Kubernetes cluster, spoken to with kr8s; its refusals as one line each.

What volproc calls, so the rights that it needs in its namespace:

    daskclusters (kubernetes.dask.org)   create, list, delete, patch
    pods                                 get (its own), list
    pods/log                             get
    events                               list
    pods/portforward                     create, get: only where volproc runs outside the cluster

Nothing is asked of Secrets. The operator does the rest.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from volproc.errors import INSTALL, ConfigError, TransientError, VolprocError

Object = dict[str, Any]
"""An object of Kubernetes, as JSON has it."""

DASK = "kubernetes.dask.org/v1"
CORE = "v1"
TIMEOUT_S = 30.0
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def in_pod() -> bool:
    """Whether this process runs in a pod: every pod is told where the API server is."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


class ApiServer:
    """A namespace of a Kubernetes cluster. A context manager; any thread may call it."""

    def __init__(self, namespace: str = "", context: str = "") -> None:
        kr8s = _kr8s()
        from anyio.from_thread import start_blocking_portal

        self._held = ExitStack()
        self._portal = self._held.enter_context(start_blocking_portal())
        self._kr8s = kr8s
        with self._held, _renamed("the Kubernetes cluster"):
            self._api = self._portal.call(self._connected, namespace, context)
            self.namespace: str = self._api.namespace
            self.address: str = self._api.auth.server
            self._held = self._held.pop_all()

    async def _connected(self, namespace: str, context: str) -> Any:
        own = OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.exists() else ""
        with warnings.catch_warnings():  # kr8s warns of every server that is newer or older than it
            warnings.simplefilter("ignore")
            api = await self._kr8s.api(namespace=namespace or own or None, context=context or None)
        api.timeout = TIMEOUT_S
        return api

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def create(self, version: str, plural: str, body: Object, *, try_only: bool = False) -> Object:
        """Create an object; with `try_only` the server just says whether it would."""
        params = {"dryRun": "All"} if try_only else {}
        made: Object = self._json("POST", version, plural, json=body, params=params)
        return made

    def get(self, version: str, plural: str, name: str) -> Object | None:
        """The object of a name; None where there is none."""
        try:
            found: Object = self._json("GET", version, f"{plural}/{name}")
        except NotThereError:
            return None
        return found

    def list(
        self, version: str, plural: str, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Objects, by labels and fields as kubectl's selectors have them."""
        params = {"labelSelector": labels, "fieldSelector": fields}
        found: list[Object] = self._json("GET", version, plural, params=params)["items"]
        return found

    def delete(self, version: str, plural: str, name: str) -> None:
        """Delete an object and what it owns; nothing if it is gone already."""
        body = {"propagationPolicy": "Background"}
        with suppress(NotThereError):
            self._json("DELETE", version, f"{plural}/{name}", json=body)

    def let_go(self, version: str, plural: str, name: str) -> None:
        """Drop the finalizers of an object, so that one that was deleted goes."""
        body: Object = {"metadata": {"finalizers": []}}
        headers = {"Content-Type": "application/merge-patch+json"}
        with suppress(NotThereError):
            self._json("PATCH", version, f"{plural}/{name}", json=body, headers=headers)

    def log(self, pod: str, *, lines: int, previous: bool) -> str:
        """The last lines that a pod wrote, or its container before the last restart."""
        params = {"tailLines": lines, "previous": str(previous).lower()}
        return str(self._called("GET", CORE, f"pods/{pod}/log", params=params).text)

    def forwarded(self, pod: str, port: int) -> AbstractContextManager[int]:
        """A port of this machine that leads to one of a pod."""
        return self._portal.wrap_async_context_manager(self._portal.call(self._forward, pod, port))

    async def _forward(self, pod: str, port: int) -> Any:
        found = await self._kr8s.objects.Pod.get(pod, namespace=self.namespace, api=self._api)
        return self._kr8s.portforward.PortForward(found, port, local_port="auto")

    def _json(self, method: str, version: str, url: str, **more: Any) -> Any:
        return self._called(method, version, url, **more).json()

    def _called(self, method: str, version: str, url: str, **more: Any) -> Any:
        with _renamed(self.address):
            return self._portal.call(self._call, method, version, url, more)

    async def _call(self, method: str, version: str, url: str, more: dict[str, Any]) -> Any:
        called = self._api.call_api(
            method, version=version, namespace=self.namespace, url=url, **more
        )
        async with called as response:
            return response


class NotThereError(VolprocError):
    """The server knows no such object, kind or namespace."""


def _kr8s() -> Any:
    try:
        import kr8s.asyncio
        import kr8s.asyncio.objects
        import kr8s.asyncio.portforward
    except ImportError as error:
        raise VolprocError(
            f'[cluster] kind = "kubernetes" needs kr8s, which is not installed: '
            f"{INSTALL.format('kubernetes')}"
        ) from error
    return kr8s.asyncio


@contextmanager
def _renamed(where: str) -> Iterator[None]:
    """What kr8s and its HTTP library raise becomes one line by who can act."""
    import httpx
    import kr8s

    try:
        yield
    except kr8s.ServerError as error:
        status = 500 if error.response is None else error.response.status_code
        raise refusal(status, str(error)) from error
    except (kr8s.APITimeoutError, httpx.TransportError, OSError) as error:
        raise TransientError(
            f"{where} does not answer ({type(error).__name__}: {' '.join(str(error).split())}); "
            "run the same command again: finished blocks are kept"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"no Kubernetes cluster is known here ({error}): run volproc in a pod with a service "
            "account, or name a kubeconfig in KUBECONFIG, and its context in [cluster.kubernetes] "
            "context"
        ) from error


def refusal(status: int, said: str) -> VolprocError:
    """The error for an answer of the API server, which names verb, resource or field itself."""
    said = " ".join(said.split())
    if status in (401, 403):
        return VolprocError(
            f"Kubernetes refuses: {said}; docs/clusters.md lists the rights that volproc needs"
        )
    if status == 404:
        return NotThereError(f"Kubernetes does not find what volproc asks for: {said}")
    if status in (400, 422):
        return VolprocError(f"Kubernetes refuses a field: {said}; change it in [cluster]")
    return TransientError(f"Kubernetes failed: {said}; run the same command again")
