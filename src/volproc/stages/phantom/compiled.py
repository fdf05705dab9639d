"""Compiling the loops of this folder, with a cache that no change of the source can leave stale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

Whole = Any
"""A whole number in compiled code, where numba finds the width. Hashes and seeds are uint32."""

Real = Any
"""A float in compiled code: 64 bits on the lattice, 32 bits per voxel."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function` compiled when first called, without the lock of the interpreter.

    numba asks only whether a function's own file has changed, but compiles the functions it calls
    into it. Loops in this folder call each other across files, so each state of the folder gets a
    cache of its own: otherwise two machines might make different voxels from one seed.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = before or str(_CACHE)
    try:
        made: Function = numba.njit(cache=True, nogil=True)(function)
    finally:
        numba.config.CACHE_DIR = before
    return made


def _source_digest(folder: Path) -> str:
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


_CACHE = Path(__file__).parent / "__pycache__" / _source_digest(Path(__file__).parent)
