"""Python runs this first where this folder is on PYTHONPATH: the process has a simulated GPU."""

from tests.simulated_gpu.preload import ALWAYS

ALWAYS.__enter__()
