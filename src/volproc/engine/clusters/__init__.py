"""The engine that the [cluster] options describe; where Dask workers come from, a file per kind."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import cast

from volproc.config.running import ClusterOptions
from volproc.engine.protocol import Engine

HOMES = {"serial": "volproc.engine.serial", "local": f"{__name__}.worker_pools"}
"""Modules with `engine(options)`, by kind; of another kind it is `clusters/KIND.py`."""


def engine_of(options: ClusterOptions) -> AbstractContextManager[Engine]:
    """The engine for `options`, closed at the end; a serial run imports no distributed."""
    home = import_module(HOMES.get(options.kind, f"{__name__}.{options.kind}"))
    return cast(AbstractContextManager[Engine], home.engine(options))
