"""The simulated GPU as a fixture: a test fails for any fault that was found meanwhile."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from tests.simulated_gpu.gpus import Gpus
from tests.simulated_gpu.native import compiler_is_missing, make_threads_for_gradients
from tests.simulated_gpu.simulation import simulated_gpus
from tests.simulated_gpu.streams import FAULTS_FILE, timeline

from volproc.stages.inference import batches, device_link, votes

make_threads_for_gradients()  # when tests are collected: before any has a backward pass

PRELOAD = Path(__file__).with_name("preload.py")


def fresh_caches(patch: pytest.MonkeyPatch) -> None:
    """A process keeps networks, streams and limits of its GPU: not of one that is gone."""
    for module, name in ((batches, "_limits"), (device_link, "_links"), (votes, "_loaded")):
        patch.setattr(module, name, {})


@contextmanager
def in_workers(folder: Path) -> Iterator[None]:
    """Within it workers that Dask starts have a simulated GPU; a fault of theirs is an error."""
    faults = folder / "faults"
    preload = {"distributed.worker.preload": [str(PRELOAD)]}  # a nanny hands it to its worker
    with pytest.MonkeyPatch.context() as patch, dask.config.set(preload):
        patch.setenv(FAULTS_FILE, str(faults))
        yield
    assert not faults.exists(), faults.read_text()


def simulated(count: int = 1) -> Iterator[Gpus]:
    """Simulated GPUs for a test; it fails for the faults that nobody took from the list."""
    if why := compiler_is_missing():
        pytest.skip(why)
    interval = sys.getswitchinterval()
    with simulated_gpus(count) as gpus:
        yield gpus
        gc.collect()
        timeline.synchronize()
    sys.setswitchinterval(interval)  # whoever feeds a GPU makes it shorter
    assert not timeline.faults, "\n".join(dict.fromkeys(timeline.faults))


def found() -> list[str]:
    """The faults so far, which are thereby known."""
    gc.collect()
    timeline.synchronize()
    known, timeline.faults = timeline.faults, []
    return known
