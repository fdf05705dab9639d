"""What a check found damaged, made ready to be made again by the command that made it.

Files that cannot be read go, and the volume counts as unfinished: the same command, or run, given
again finds which blocks are recorded and not there, and does only those
(`volume/written_level.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from volproc.errors import VolumeError
from volproc.stages.check.findings import Finding
from volproc.stages.check.stage import CheckPlan
from volproc.volume.access import remove_file
from volproc.volume.creation import update_provenance


def repair(plan: CheckPlan, findings: Iterable[Finding]) -> tuple[str, ...]:
    """The files that were damaged or missing, of which those that were there are removed now.

    VolumeError for a volume that volproc did not write: nobody could make its blocks again.
    """
    strangers = [image.url for image in plan.images if not image.ours]
    damaged = [one for one in findings if one.severity == "error" and one.file]
    if damaged and strangers:
        raise VolumeError(
            f"{strangers[0]} was not written by volproc, which cannot make its blocks again; "
            "copy the damaged files again from where they came"
        )
    arrays = {level.array.url for image in plan.images for level in image.levels}
    for one in damaged:
        if one.where not in arrays:  # there files are missing, and named in the finding
            remove_file(one.where)
    for image in plan.images:
        if any(one.where.startswith(f"{image.url}/") for one in damaged):
            update_provenance(image.url, finished=False)
    return tuple(one.where for one in damaged)
