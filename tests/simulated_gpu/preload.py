"""A simulated GPU for a whole process: Dask's workers load this file before they work."""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from tests.simulated_gpu.simulation import simulated_gpus

ALWAYS = simulated_gpus()


def dask_setup(worker: Any) -> None:
    """The worker begins."""
    ALWAYS.__enter__()
