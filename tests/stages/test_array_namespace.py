"""What keeps cupy from being used, each said in one line before anything is read."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from tests.simulated_gpu.cupy_module import simulated_cupy

from volproc import EvaluateOptions, FilterOptions, InteriorOptions
from volproc.config.devices import NO_DRIVER, planned_for
from volproc.errors import ConfigError
from volproc.stages import array_namespace
from volproc.stages.array_namespace import require_device, run_on

CPU = r'take (device = )?"cpu"|device = "cpu"'


@pytest.fixture(autouse=True)
def there(monkeypatch):
    """torch finds a GPU, and nothing of cupy is known yet."""
    monkeypatch.setattr("volproc.model.device.why_no_gpu", lambda: "")
    array_namespace._on_gpu.cache_clear()


def refused(match, *, asked=lambda: require_device("cuda", table="filter")):
    with pytest.raises(ConfigError, match=match) as said:
        asked()
    assert "\n" not in str(said.value)
    assert 'take device = "cpu"' in str(said.value) or 'take "cpu"' in str(said.value)


def without_cupy(patch, error):
    """`import cupy` raises that error."""

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise error

    patch.delitem(sys.modules, "cupy", raising=False)
    patch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr("volproc.model.device.why_no_gpu", lambda: NO_DRIVER)
    refused(r'\[filter\] device = "cuda", but torch finds no GPU here')


def test_workers_elsewhere_count_and_look_for_themselves(monkeypatch):
    monkeypatch.setattr("volproc.model.device.why_no_gpu", lambda: NO_DRIVER)
    with planned_for(gpus=True):
        assert require_device("cuda", table="filter") == "cuda"
    with planned_for(gpus=False):
        refused(r"\[cluster.gpu\]")


@pytest.mark.parametrize(("cuda", "extra"), [("12.8", "gpu"), ("13.0", "gpu13")])
def test_without_cupy_the_extra_is_named(monkeypatch, cuda, extra):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    missing = ModuleNotFoundError("No module named 'cupy'", name="cupy")
    without_cupy(monkeypatch, missing)
    refused(rf"cupy, which is not installed; pip install '\.\[{extra}\]'")


def test_a_cupy_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    page = ImportError("\n=====\nFailed to import CuPy.\n\nOriginal error: ...")
    page.__cause__ = ImportError("libcudart.so.12: cannot open shared object file")
    without_cupy(monkeypatch, page)
    refused(r"which cannot be loaded: libcudart.so.12: cannot open .*; pip install '\.\[gpu\]'")


@pytest.mark.parametrize(("cupys", "torchs"), [(12, "13.0"), (13, "12.8")])
def test_cupy_for_another_cuda(cupys, torchs):
    with simulated_cupy(cuda=cupys, torch_cuda=torchs):
        wanted = torchs.partition(".")[0]
        refused(
            rf"cupy 14\.2\.0 is built for CUDA {cupys}, torch for CUDA {wanted}: pip uninstall "
            rf"cupy-cuda{cupys}x; pip install '\.\[gpu{'13' if cupys == 12 else ''}\]'"
        )


@pytest.mark.parametrize(("cuda", "said"), [("11.8", "CUDA 11.8"), (None, "no CUDA")])
def test_a_torch_that_no_cupy_fits(cuda, said):
    with simulated_cupy(torch_cuda=cuda):
        refused(rf"for CUDA 12 or 13, but torch is built for {said}; install such a torch")


def test_a_driver_too_old():
    with simulated_cupy() as cupy:
        cupy.cuda.runtime.getDeviceCount = failing(
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime "
            "version"
        )
        refused("finds no driver that it can use: cudaErrorInsufficientDriver.*; renew the driver")


def test_no_compiler_or_headers_are_found_when_it_first_computes(monkeypatch):
    """Not by a plan: only a worker may take memory of the GPU."""
    monkeypatch.setattr(array_namespace, "_beside_torch", failing("libnvrtc.so.12: not found\n.."))
    with simulated_cupy():
        assert require_device("cuda", table="filter") == "cuda"
        refused(
            r"cupy 14\.2\.0 cannot compute here: libnvrtc.so.12: not found; cupy-cuda12x\[ctk\]",
            asked=lambda: run_on("cuda", np.negative, np.ones(3)),
        )


def failing(message):
    def fail(*_):
        raise RuntimeError(message)

    return fail


@pytest.mark.parametrize("kind", [FilterOptions, InteriorOptions, EvaluateOptions])
def test_by_default_no_stage_looks_for_a_gpu(kind, monkeypatch):
    monkeypatch.setattr("volproc.model.device.why_no_gpu", failing("asked"))
    assert require_device(kind().device, table="x") == "cpu"


def test_on_a_cpu_the_kernel_is_just_called(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    values = np.ones(3)
    assert run_on("cpu", lambda a, by: (a, by), values, by=2) == (values, 2)
