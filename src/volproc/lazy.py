"""Libraries that take a second to import, imported when something of them is used.

    if TYPE_CHECKING:
        import torch
    else:
        torch = lazy("torch")

So a command that only plans, or finds that all is done, starts without them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


def lazy(name: str) -> ModuleType:
    """A module that stands for the one called `name` until something of that is asked for."""
    return _Lazy(name)


class _Lazy(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self.__name__), attribute)
