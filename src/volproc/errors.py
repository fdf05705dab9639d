"""Every error that volproc raises on purpose: one line with value, expectation and way out.

Any other error is a bug: it keeps its type, its traceback goes into the log, exit code 1.

VolprocError               exit code 2 from the command line unless stated
├── ConfigError            an option, a file or a flag is not what it should be
├── GridError              boxes, blocks or voxel sizes that do not fit together
├── LocationError          a path or URL is of no kind that can be reached
├── OutputError            something would be replaced without a request
├── VolumeError            a volume cannot be read or written
├── IngestError            a source cannot be read or lacks something
├── AnnotateError          drawings, their export or their subjects are not what they should be
├── ModelError             a model folder or its card is not usable here
├── MemoryLimitError       a block would need more memory than a worker has
├── LedgerError            the record of a run does not fit what is on disk
├── TransientError         a disk, a network or a server failed for the moment (exit code 1)
├── LeaseError             an output cannot be owned: another process writes it
│   └── LeaseLostError     another process took over what this one was writing
├── BlocksFailedError      some blocks failed after their retries (exit code 1)
└── StoppedError           the time that a run was given is over (exit code 75)
"""

from __future__ import annotations

REPORT = (
    "this is a fault of volproc: please report it with log.jsonl, which has the traceback, and "
    "the output of `pip freeze`"
)
"""What a user can do about a bug."""

INSTALL = "pip install '.[{}]' in the folder of volproc"
"""How an extra is installed from a clone; there is no release on an index yet."""


class VolprocError(Exception):
    """Something the user can fix; the message says how."""

    exit_code = 2


class ConfigError(VolprocError):
    """An option, a file or a flag is not what it should be."""


class GridError(VolprocError):
    """Boxes, blocks or voxel sizes that do not fit together."""


class LocationError(VolprocError):
    """A path or URL is of no kind that can be reached."""


class OutputError(VolprocError):
    """Something would be replaced without a request."""


class VolumeError(VolprocError):
    """A volume cannot be read or written."""


class IngestError(VolprocError):
    """A source cannot be read or lacks something."""


class AnnotateError(VolprocError):
    """Drawings, their export or their subjects are not what they should be."""


class ModelError(VolprocError):
    """A model folder or its card is not usable here."""


class MemoryLimitError(VolprocError):
    """A block would need more memory than a worker has."""


class LedgerError(VolprocError):
    """The record of a run does not fit what is on disk."""


class TransientError(VolprocError):
    """A disk, a network or a server failed for the moment: a retry may succeed."""

    exit_code = 1


class LeaseError(VolprocError):
    """An output cannot be owned: another process writes it, or its records cannot be reached."""


class LeaseLostError(LeaseError):
    """Another process took over what this one was writing."""


class BlocksFailedError(VolprocError):
    """Some blocks failed after their retries; the others are done and recorded."""

    exit_code = 1


class StoppedError(VolprocError):
    """The time that a run was given is over: what is done is recorded, the rest is still to do."""

    exit_code = 75
    """EX_TEMPFAIL of sysexits.h, of which batch systems and scripts know: to be run again."""
