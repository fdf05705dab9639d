"""How fast a worker does each step: measured in the log of an earlier run, or stated.

The stated figures are those of two cores of a Xeon (docs/scaling.md#rates has where each is from).
They serve a first estimate; a run on one's own machines, of a part of the image too, measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CORE_FLOPS = 107e9
"""A second, of float32 on one core, in the network alone: 0.177 TFLOP/s of the step predict on two
cores, of which the network takes 82.4%."""
INT8_NETWORK, INT8_STEP = 2.1, 1.8
"""How many times as fast as in float32 int8 is, the network and the whole step predict: on a core
without VNNI. With it these are 3.7 and 2.4 (docs/performance.md#int8)."""
GPU_FLOPS = 30e12
"""A second on one GPU: assumed, a tenth of the peak of an A100. No GPU has been measured."""
BYTES_A_SECOND = {
    "predict": 72e6,
    "pyramid": 180e6,
    "label": 70e6,
    "relabel": 386e6,
    "count": 253e6,
    "surfaces": 106e6,
    "ingest": 122e6,
}
"""Bytes read and written in a second on one core, by how the name of a step begins."""
OTHERS = 70e6
"""Of steps that the table does not name: that of the slowest."""
DECODED, ENCODED = 895e6, 342e6
"""The same where a GPU does all else, read and written: benchmarks/gpu_time_model.py."""


@dataclass(frozen=True)
class Rate:
    """Voxels a second of a step in an earlier run."""

    voxels: float
    precision: str

    def voxels_in(self, precision: str) -> float:
        """Voxels a second in another precision: by stated figures where it was not this one."""
        return self.voxels * times_as_fast(precision, self.precision)


@dataclass(frozen=True)
class Speed(Rate):
    """The same of one worker of so many."""

    workers: int
    on_gpu: bool


def times_as_fast(precision: str, other: str) -> float:
    """How many times as fast a whole step is in one precision as in another, as stated."""
    stated = {"int8": INT8_STEP}
    return stated.get(precision, 1.0) / stated.get(other, 1.0)


_Way = tuple[bool, str]
"""Whether a step was done on a GPU, and its precision."""


@dataclass
class _Worker:
    """The blocks that a worker did of a step, and from when to when."""

    began: float
    ended: float
    voxels: int = 0


def speeds(lines: Iterable[str]) -> dict[str, Speed]:
    """The speed of every step that the lines of a log.jsonl tell of; the last run of each counts.

    A worker counts from the beginning of its first block to the end of its last one: neither the
    time in a queue nor that of workers who came later makes a step look slow.
    """
    found: dict[str, tuple[_Way, dict[tuple[str, int], _Worker]]] = {}
    began: dict[str, float] = {}
    for event in _events(lines):
        step = event.get("step", "")
        if event["event"] == "StepStarted":
            began[step] = event["time"]
            if event["done"] < event["total"]:
                way = event.get("on_gpu", False), event.get("precision", "float32")
                found[step] = way, {}
        elif event["event"] == "BlockDone" and step in found:
            _add(found[step][1], event, began[step])
    return {step: _speed(*one) for step, one in found.items() if _seconds(one[1])}


def _events(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # a full disk cut it short
            continue


def _add(workers: dict[tuple[str, int], _Worker], event: dict[str, Any], began: float) -> None:
    end = event["time"]
    start = max(began, end - event["seconds"]) if event.get("seconds") else began
    one = workers.setdefault((event.get("host", ""), event["worker"]), _Worker(start, end))
    one.began, one.ended = min(one.began, start), max(one.ended, end)
    one.voxels += event["voxels"]


def _seconds(workers: dict[tuple[str, int], _Worker]) -> float:
    return sum(one.ended - one.began for one in workers.values())


def _speed(way: _Way, workers: dict[tuple[str, int], _Worker]) -> Speed:
    voxels = sum(one.voxels for one in workers.values())
    on_gpu, precision = way
    return Speed(voxels / _seconds(workers), precision, len(workers), on_gpu)


def stated_seconds(
    name: str, *, flop: float, bytes_moved: float, cores: float, precision: str = "float32"
) -> float:
    """Seconds of one worker for so much of a step on its cores, by the stated figures."""
    rates = (rate for start, rate in BYTES_A_SECOND.items() if name.startswith(start))
    core_flops = CORE_FLOPS * (INT8_NETWORK if precision == "int8" else 1.0)
    return (flop / core_flops + bytes_moved / next(rates, OTHERS)) / cores


@dataclass(frozen=True)
class GpuSeconds:
    """Of a block on a GPU: the network's, and its worker's cores', which go on meanwhile."""

    network: float
    decode: float
    encode: float

    @property
    def longest(self) -> float:
        """From block to block, where others are in hand."""
        return max(self.network, self.decode + self.encode)

    @property
    def bottleneck(self) -> str:
        """What a block waits for."""
        return "the GPU" if self.network == self.longest else "the cores"


def stated_on_gpu(
    *, flop: float, bytes_read: float, bytes_written: float, cores: float, gpu_flops: float
) -> GpuSeconds:
    """Seconds of one worker with a GPU for so much of a step, by the stated and assumed figures."""
    decode, encode = bytes_read / DECODED, bytes_written / ENCODED
    return GpuSeconds(flop / gpu_flops, decode / cores, encode / cores)
