"""Streams, events and memory of simulated GPUs: what is known to be over before what.

Operations are done at once, whatever the stream; what a GPU might do is known from clocks. Each
stream counts its operations, and knows how many of every other stream are over before its next:

    upload   copy 1 ──record── event           known: {}
    work                       wait_event, convolution 1    known: {upload: 1}
    work     without the wait  convolution 1    known: {}: may read before the copy is over: a race

The host learns that operations are over when it waits; everybody knows it from then on.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch

FAULTS_FILE = "VOLPROC_SIMULATED_GPU_FAULTS"
"""The variable that names the file in which the faults of all processes are noted."""

Clock = dict["Stream", int]
"""How many operations of each stream are over."""


class SimulatedFault(RuntimeError):
    """What a GPU would do wrong without a word: a race, memory that is used after it was freed."""


class Stream:
    """Stands for torch.cuda.Stream: operations of one GPU, in their order."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = torch.device("cuda", timeline.index_of(device))
        self.launched = self.finished = 0
        self.known: Clock = {}

    def clock(self) -> Clock:
        """What will be over when this stream is where it is now."""
        return {**self.known, self: self.launched}

    def knows(self, other: Stream, number: int) -> bool:
        """Whether that operation of `other` is over before the next one of this stream."""
        return other is self or max(self.known.get(other, 0), other.finished) >= number

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        for stream, number in event.clock.items():
            self.known[stream] = max(number, self.known.get(stream, 0))

    def wait_stream(self, stream: Stream) -> None:
        self.wait_event(stream.record_event())

    def synchronize(self) -> None:
        timeline.host_waits(self.clock(), "Stream.synchronize")

    def query(self) -> bool:
        return self.finished == self.launched


class Event:
    """Stands for torch.cuda.Event: a moment of a stream."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.clock: Clock = {}

    def record(self, stream: Stream | None = None) -> None:
        self.clock = (stream or torch.cuda.current_stream()).clock()

    def wait(self, stream: Stream | None = None) -> None:
        (stream or torch.cuda.current_stream()).wait_event(self)

    def synchronize(self) -> None:
        timeline.host_waits(self.clock, "Event.synchronize")

    def query(self) -> bool:
        return all(stream.finished >= number for stream, number in self.clock.items())


@dataclass
class Memory:
    """One piece of memory that streams use: of a GPU, or pinned (`owner` is None)."""

    nbytes: int
    owner: Stream | None
    """The stream for which it was allocated: another tensor of it may get the memory next."""
    written: tuple[Stream, int] | None = None
    read: Clock = field(default_factory=dict)
    recorded: set[Stream] = field(default_factory=set)

    def used(self, stream: Stream, *, write: bool, what: str) -> None:
        """Note that the newest operation of `stream` uses it; a fault if that may be too early."""
        if self.written and not stream.knows(*self.written):
            timeline.fault(f"{what}: the stream has not waited for the one that writes its memory")
        if write and not all(stream.knows(*one) for one in self.read.items()):
            timeline.fault(f"{what}: overwrites what another stream may still read")
        if write:
            self.written, self.read = (stream, stream.launched), {}
        else:
            self.read[stream] = stream.launched

    def freed(self) -> None:
        """A fault, only noted, if the next tensor may get it while another stream uses it."""
        owner = self.owner
        uses = [*self.read.items(), *([self.written] if self.written else [])]
        for stream, number in uses:
            if owner and stream not in self.recorded and not owner.knows(stream, number):
                timeline.note("memory was freed while another stream may use it: no record_stream")


@dataclass
class Later:
    """What happens to pinned memory once an operation is over and the host has waited for it."""

    stream: Stream
    number: int
    do: Callable[[], object]


class Timeline:
    """All streams, and what was found to be wrong."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.faults: list[str] = []
        self.waits: Counter[str] = Counter()
        """How often the host waited, by the line that made it."""
        self._later: list[Later] = []
        self._threads = threading.local()
        self._default: dict[int, Stream] = {}

    def index_of(self, device: Any) -> int:
        """The number of a device that may be named without one."""
        if isinstance(device, int):
            return device
        index = torch.device("cuda" if device is None else device).index
        return torch.cuda.current_device() if index is None else index

    def default_stream(self, device: Any = None) -> Stream:
        with self.lock:
            index = self.index_of(device)
            if index not in self._default:
                self._default[index] = Stream(index)
            return self._default[index]

    def current(self) -> dict[int, Stream]:
        """The streams that this thread has chosen, by GPU."""
        if not hasattr(self._threads, "streams"):
            self._threads.streams = {}
        found: dict[int, Stream] = self._threads.streams
        return found

    def current_stream(self, device: Any = None) -> Stream:
        return self.current().get(self.index_of(device)) or self.default_stream(device)

    @contextmanager
    def on_stream(self, stream: Stream) -> Iterator[None]:
        """Within it this thread's operations on the stream's GPU are the stream's."""
        index, device = stream.device.index, torch.cuda.current_device()
        before = self.current_stream(index)
        torch.cuda.set_device(stream.device)
        self.current()[index] = stream
        try:
            yield
        finally:
            self.current()[index] = before
            torch.cuda.set_device(device)

    def later(self, stream: Stream, do: Callable[[], object]) -> None:
        """`do` this once the host has waited for the newest operation of `stream`."""
        self._later.append(Later(stream, stream.launched, do))

    def host_waits(self, clock: Clock, why: str) -> None:
        """The host waits until all of `clock` is over; nothing else arrives meanwhile."""
        with self.lock:
            self.waits[f"{caller()} {why}"] += 1
            for stream, number in clock.items():
                stream.finished = max(stream.finished, number)
            due = [one for one in self._later if one.number <= one.stream.finished]
            self._later = [one for one in self._later if one.number > one.stream.finished]
            for one in due:
                one.do()

    def synchronize(self, device: Any = None) -> None:
        """The host waits for all there is."""
        everything = {stream: stream.launched for stream in self._default.values()}
        everything |= {one.stream: one.stream.launched for one in self._later}
        self.host_waits(everything, "synchronize")

    def note(self, what: str) -> None:
        """Remember a fault that nothing can be told of where it shows."""
        self.faults.append(f"{what} ({caller()})")
        if file := os.environ.get(FAULTS_FILE):
            with open(file, "a") as faults:
                faults.write(f"{self.faults[-1]}\n")

    def fault(self, what: str) -> NoReturn:
        self.note(what)
        raise SimulatedFault(self.faults[-1])


def caller() -> str:
    """The line of volproc's that is being done, or else of a test's."""
    lines = [one for one in traceback.extract_stack() if "/simulated_gpu/" not in one.filename]
    of_ours = [one for one in lines if "/volproc/" in one.filename] or [
        one for one in lines if "/tests/" in one.filename
    ]
    found = (of_ours or lines)[-1]
    return f"{found.filename.rpartition('/')[2]}:{found.lineno}"


timeline = Timeline()
