"""Loops compiled by numba, with a cache that no change of the source can leave stale."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dis import get_instructions
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar

from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

Whole = Any
"""A whole number in compiled code, where numba finds the width. Hashes and seeds are uint32."""

Real = Any
"""A float in compiled code: 64 bits on the lattice, 32 bits per voxel."""

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = {"nogil": True}
_BY_NAME = ("LOAD_GLOBAL", "LOAD_NAME")


def compiled(function: Function) -> Function:
    """`function` compiled when first called, without the lock of the interpreter.

    With `cache=True` numba asks only whether a function's own file has changed, but compiles the
    functions it calls and the constants it reads into it. Here each cached result names the state
    of all of these, and is remade, in the same file, when one of them is no longer the same.
    """
    dispatcher: Any = njit(**_OPTIONS)(function)
    if not config.DISABLE_JIT:
        dispatcher._cache = _Cache(function)
    made: Function = dispatcher
    return made


class _Result(CompileResultCacheImpl):  # type: ignore[misc]
    """A cached result beside the state of what it was compiled from.

    The state is read from memory, not from files, which may have been edited since their import.
    It stands in the file with the code, so two programs that share a cache cannot mix the two.
    """

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        super().__init__(function)

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        # numba adds the number of the line: each shift of a line would leave a file behind
        name: str = super().get_filename_base(fullname, abiflags)
        return name.replace(f"-{self._function.__code__.co_firstlineno}.py", ".py")

    def reduce(self, result: Any) -> tuple[str, bytes]:
        # as bytes: an old result may name modules that are gone, and must not be unpickled
        return _state(self._function), dumps(super().reduce(result))

    def rebuild(self, target_context: Any, reduced: tuple[str, bytes]) -> Any:
        state, result = reduced
        if state != _state(self._function):
            return None
        return super().rebuild(target_context, pickle.loads(result))


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _Result

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            # two processes that compile for other types at once may give their files one name
            found = super().load_overload(sig, target_context)
        except (ImportError, AttributeError):  # the index names types that have moved since
            self._cache_file.flush()
            return None
        args, _ = normalize_signature(sig)
        return found if found is not None and tuple(found.signature.args) == args else None


def _state(function: FunctionType) -> str:
    # the line, because two lambdas have one name, and so one file
    digest = hashlib.sha256(repr((_OPTIONS, function.__code__.co_firstlineno)).encode())
    for part in _parts(function, set()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _parts(function: FunctionType, seen: set[int]) -> Iterator[bytes]:
    """What `function` is compiled from: its code, all it calls, and each constant that it reads."""
    if id(function) in seen:
        return
    seen.add(id(function))
    written, names = _written(function)
    yield written
    yield pickle.dumps(function.__defaults__)
    package, space = function.__module__.partition(".")[0], function.__globals__
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    for value in (*cells, *(space[name] for name in names if name in space)):
        yield from _value(value, function, package, seen)


@cache
def _written(function: FunctionType) -> tuple[bytes, list[str]]:
    """The code of `function` as bytes, and the names of the globals that it reads."""
    codes, names = list(_codes(function.__code__)), set[str]()
    for code in codes:
        names |= {each.argval for each in get_instructions(code) if each.opname in _BY_NAME}
    return repr([_content(code) for code in codes]).encode(), sorted(names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _content(code: CodeType) -> tuple[object, ...]:
    constants = [None if isinstance(each, CodeType) else each for each in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def _value(value: Any, reader: FunctionType, package: str, seen: set[int]) -> Iterator[bytes]:
    if isinstance(value, Dispatcher):
        yield repr(sorted(value.targetoptions.items())).encode()
        yield from _parts(value.py_func, seen)
    elif isinstance(value, FunctionType) and _within(value.__module__, package):
        yield from _parts(value, seen)
    elif isinstance(value, ModuleType):
        yield value.__name__.encode()
        if _within(value.__name__, package):
            attributes = {name for code in _codes(reader.__code__) for name in code.co_names}
            for name in sorted(vars(value).keys() & attributes):
                yield from _value(vars(value)[name], reader, package, seen)
    else:
        yield pickle.dumps(value)


def _within(module: str, package: str) -> bool:
    return module.partition(".")[0] == package
