"""zarr's stores of folders and URLs, each call of which is retried while its error is transient.

Here rather than around a whole read: of a shard's hundred chunks only the failed one is read again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore

from volproc.credentials import with_secrets
from volproc.location import OPTIONS
from volproc.retry import patiently_async
from volproc.volume.access import local_path

CALLS = ("get", "get_partial_values", "set", "set_if_not_exists", "delete", "delete_dir", "exists")
LISTS = ("list", "list_prefix", "list_dir")


def for_zarr(url: str) -> Store:
    """zarr's store of the folder or fsspec URL `url`; nothing is made or read yet."""
    folder = local_path(url)
    if folder:
        return RetryingLocalStore(folder)
    options = OPTIONS.get(url.partition("://")[0])
    return RetryingFsspecStore.from_url(with_secrets(url), storage_options=options)


class _Retrying:
    """A mixin that retries the calls of a store."""

    def __init_subclass__(cls) -> None:
        for name in CALLS:
            setattr(cls, name, _retrying_call(cls, name))
        for name in LISTS:
            setattr(cls, name, _retrying_list(cls, name))


def _retrying_call(cls: type, name: str) -> Callable[..., Any]:
    async def again(self: Any, *given: Any, **more: Any) -> Any:
        call = getattr(super(cls, self), name)
        return await patiently_async(lambda: call(*given, **more))

    return again


def _retrying_list(cls: type, name: str) -> Callable[..., AsyncIterator[str]]:
    async def again(self: Any, *given: Any, **more: Any) -> AsyncIterator[str]:
        call = getattr(super(cls, self), name)

        async def listed() -> list[str]:
            return [found async for found in call(*given, **more)]

        for found in await patiently_async(listed):
            yield found

    return again


class _SizedLocalStore(LocalStore):
    """Asks for no more than a file holds: Python makes room for all that a damaged index claims."""

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """What is stored there; ValueError for a range that ends behind the file."""
        if isinstance(byte_range, RangeByteRequest):
            with suppress(FileNotFoundError, NotADirectoryError):  # of those the store itself says
                size = (self.root / key).stat().st_size
                if not byte_range.start <= byte_range.end <= size:
                    raise ValueError(
                        f"the index of {key} names bytes {byte_range.start} to {byte_range.end}, "
                        f"it has {size}"
                    )
        return await super().get(key, prototype, byte_range)


class RetryingLocalStore(_Retrying, _SizedLocalStore):
    """A folder of this machine's file system, made when the first file is written."""

    async def _open(self, **_: Any) -> None:
        await Store._open(self)


class RetryingFsspecStore(_Retrying, FsspecStore):
    """The objects at an fsspec URL."""
