"""What a thread that launches loses to threads that read, by Python's switch interval.

    python benchmarks/thread_switches.py FOLDER [--readers 3]

One thread does small operations of torch, as one that feeds a GPU does, alone and beside threads
that read a volume of 33 Mvoxel of FOLDER (made): by our reader of shards, and by zarr.
Printed, three times in turn: microseconds an operation, and MB/s that were read meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import torch

import volproc
from volproc.volume.store import Volume

SECONDS = 2.0
ROUNDS = 3
INTERVALS_S = (0.005, 0.0005, 5e-5)


def launches() -> tuple[float, float]:
    """Microseconds of an operation, the mean over some seconds; how many seconds."""
    values, count = torch.zeros(8), 0
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < SECONDS:
        for _ in range(100):
            values.add_(1)
        count += 100
    return seconds / count * 1e6, seconds


@contextmanager
def reading(read: Callable[[], np.ndarray], readers: int) -> Iterator[list[int]]:
    """Meanwhile so many threads read again and again; the bytes they have read."""
    over, counts = threading.Event(), [0] * readers

    def work(n: int) -> None:
        while not over.is_set():
            counts[n] += read().nbytes

    threads = [threading.Thread(target=work, args=(n,)) for n in range(readers)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()


def noise(path: Path) -> Volume:
    """A volume of noise, made once."""
    how = {"voxel_nm": (50, 50, 50), "dtype": "uint8", "max_levels": 1}
    info = volproc.new_volume(str(path), shape=(128, 512, 512), **how)
    if not path.exists():
        made = volproc.create_volume(info, step="benchmark", digest="d", version="0")
        rng = np.random.default_rng(0)
        made.write(info.box, rng.integers(0, 40, info.shape, dtype=np.uint8))
        made.finish()
    return Volume(info)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readers", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    volume = noise(given.folder / "read.zarr")
    print(f"alone: {launches()[0]:.1f} us an operation")
    ways = {
        "own shards": lambda: Volume(volume.info).read(volume.info.box),
        "zarr": lambda: Volume(volume.info).select((slice(None),) * 3),
    }
    for name, read in ways.items():
        with reading(read, given.readers) as counts:
            for _, interval in product(range(ROUNDS), INTERVALS_S):
                sys.setswitchinterval(interval)
                before = sum(counts)
                each, seconds = launches()
                rate = (sum(counts) - before) / seconds / 1e6
                print(f"| {name} | {1000 * interval:g} ms | {each:.1f} us | {rate:.0f} MB/s |")


if __name__ == "__main__":
    main()
