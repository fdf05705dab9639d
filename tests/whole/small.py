"""`volproc` with shards of one chunk and deep pyramids: small volumes have many blocks.

Sizes are all that differs. Runs as a script, or by `runpy` with FOLDER, ARGUMENTS,
DIE_BEFORE_WRITE and GPUS given.
"""

import itertools
import os
import signal
import sys
from dataclasses import replace

import torch

from volproc import cli
from volproc.engine.clusters import local_pools
from volproc.stages.ingest import shard_layout
from volproc.stages.predict.plan import PredictPlan
from volproc.volume import metadata


def die_before_write(number):
    """SIGKILL by its own hand before the `number`th change to the files below run/."""
    changes = itertools.count(1)

    def watch(event, arguments):
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.truncate") or (
            event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and "run/" in str(arguments[0]) and next(changes) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def as_if_on(gpus):
    """The workers that a machine with so many GPUs has for predict; they compute on the CPU."""
    local_pools.visible_gpus = lambda: tuple(map(str, range(gpus)))
    step = PredictPlan.step
    PredictPlan.step = lambda plan, task: replace(step(plan, task), on_gpu=True)


if __name__ == "__main__":
    metadata.SHARD_BYTES = 1
    metadata.MIN_LEVEL = 64
    shard_layout.SLAB_BYTES = shard_layout.SHARD_BYTES = 1
    torch.set_num_threads(1)  # as Dask's workers do; threads would only wait for one another
    given = globals()
    if "FOLDER" in given:
        os.chdir(given["FOLDER"])
        sys.stdout = sys.stderr = open("messages.txt", "a", buffering=1)  # noqa: SIM115
        sys.argv = ["volproc", *given["ARGUMENTS"]]
        die_before_write(given["DIE_BEFORE_WRITE"])
        if given["GPUS"]:
            as_if_on(given["GPUS"])
    cli.main()
