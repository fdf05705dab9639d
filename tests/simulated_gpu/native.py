"""The C++ of the simulation, built once per version of torch: torch's core asks C++, not Python."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("native.cpp")
TORCH = Path(torch.__file__).parent
MOST_GPUS = 2
COMPILER = os.environ.get("CXX", "g++")


def compiler_is_missing() -> str | None:
    """Why the simulation cannot be built here, if so."""
    return None if shutil.which(COMPILER) else f"no C++ compiler {COMPILER} here"


@cache
def native() -> ctypes.CDLL:
    """The functions of native.cpp, built unless they have been before (some 10 s)."""
    version = hashlib.sha256(f"{torch.__version__} {SOURCE.read_text()}".encode()).hexdigest()
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cached / "volproc-tests" / f"simulated-gpu-{version[:16]}.so"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        _build(built)
    library = ctypes.CDLL(str(built))
    library.simulated_pinned_at.argtypes = [ctypes.c_void_p]
    library.simulated_pinned_at.restype = ctypes.c_void_p
    return library


@cache
def make_threads_for_gradients() -> None:
    """Let torch know of GPUs to come: it counts them once, in the first backward pass of all."""
    if not torch.cuda.is_available() and not compiler_is_missing():
        native().simulated_start(MOST_GPUS)
        torch.zeros(1, requires_grad=True).sum().backward()
        native().simulated_stop()


def _build(built: Path) -> None:
    half = built.with_suffix(f".{os.getpid()}.partial")  # other processes build it too
    abi = int(torch.compiled_with_cxx11_abi())
    folders = [TORCH / "include", TORCH / "include" / "torch" / "csrc" / "api" / "include"]
    words = [COMPILER, "-std=c++20", "-O1", "-fPIC", "-shared", f"-D_GLIBCXX_USE_CXX11_ABI={abi}"]
    words += [f"-I{folder}" for folder in folders]
    words += [str(SOURCE), "-o", str(half), f"-L{TORCH / 'lib'}", "-ltorch_cpu", "-lc10"]
    words += [f"-Wl,-rpath,{TORCH / 'lib'}"]
    subprocess.run(words, check=True)
    half.replace(built)
