"""Dask workers, and who looks after them: what an engine asks of every kind of cluster."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from typing import Any, Protocol

from distributed import Client


class Workers(Protocol):
    """The workers of one scheduler."""

    @property
    def client(self) -> Client:
        """Dask's client."""

    def waiting_for(self) -> str:
        """Why no worker is there yet, for people; VolprocError if none will come."""

    def leaving(self, block_seconds: float) -> Collection[str]:
        """Addresses of workers that end before they could do a block of so many seconds."""

    def kill(self) -> None:
        """End all of them at once, whatever they do."""

    def close(self) -> None:
        """Let them go; those that were started for this engine are gone when it returns."""


class ClusterWorkers:
    """The workers of a Dask cluster object, which is closed with them."""

    def __init__(self, cluster: Any, held: ExitStack | None = None) -> None:
        """`held` is closed in the end."""
        self.cluster = cluster
        self.client = Client(cluster, set_as_default=False)
        self._held = held or ExitStack()

    def waiting_for(self) -> str:
        """Nothing is known of them."""
        return f"no worker has connected to {self.client.scheduler.address} yet"

    def leaving(self, block_seconds: float) -> Collection[str]:
        """They stay."""
        return ()

    def kill(self) -> None:
        """End them at once."""
        self.cluster.kill()

    def close(self) -> None:
        """Close client and cluster."""
        with self._held:
            self.client.close()
            self.cluster.close()


class ForeignWorkers:
    """The workers of a client that somebody else owns; they are left as they are."""

    def __init__(self, client: Client, *, close_client: bool = False) -> None:
        self.client = client
        self._close_client = close_client

    def waiting_for(self) -> str:
        """Nothing is known of them."""
        return f"the scheduler at {self.client.scheduler.address} has no workers"

    def leaving(self, block_seconds: float) -> Collection[str]:
        """Nobody says when they end."""
        return ()

    def kill(self) -> None:
        """They are not ours to end."""

    def close(self) -> None:
        """Leave the workers alone."""
        if self._close_client:
            self.client.close()
