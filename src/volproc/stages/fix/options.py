"""[fix]: edits of a run's objects. The edits themselves are in the run's folder."""

from __future__ import annotations

from volproc.config.options import Options, Voxels


class FixOptions(Options):
    """Edits of a run's objects, which `volproc fix` records."""

    block: Voxels | None = None
    """Voxels of one task, a shard of the output; by default that of the labels."""
