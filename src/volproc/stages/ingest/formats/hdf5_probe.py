"""Whether HDF5's library survives a file: of a damaged one it may end the process that reads it."""

from __future__ import annotations

import signal
import subprocess
import sys

from volproc.errors import IngestError
from volproc.location import filesystem_of

_WALK = """
import sys, h5py
with h5py.File(sys.argv[1], "r", locking=False) as file:
    file.visititems(lambda name, item: (getattr(item, "shape", 0), dict(item.attrs), None)[2])
"""


def refuse_deadly(url: str) -> None:
    """IngestError for a file on this machine that ends a process which only looks through it."""
    filesystem, path = filesystem_of(url)
    if "file" not in filesystem.protocol:
        return
    walk = [sys.executable, "-I", "-c", _WALK, path]
    end = subprocess.run(walk, capture_output=True, check=False).returncode
    if end < 0:  # any other trouble the reader names better
        name = signal.Signals(-end).name
        raise IngestError(f"{url} is damaged: HDF5's library crashes on it ({name}); copy it again")
