"""`volproc annotate`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.annotate.layout import lay_out
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.stage import AnnotateResult, plan_annotate, run_annotate
from volproc.volume.file_io import sibling, write_file
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.volume.store import open_volume


def annotate(
    export: str,
    image: str | None,
    out: str,
    options: AnnotateOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> AnnotateResult:
    """Labels from the drawings in a classification export, on the grid of `image`, as `out`.

    Beside `out`: the envelope, the volunteers' agreement, what to ignore, and a quality page.
    Without an image the regions of the export are laid out one after the other along z, and a
    manifest beside `out` says where.
    """
    if image is None:
        info, options = _blank(export, out, options, watchers)
    else:
        info = open_volume(image).info
    chosen = plan_annotate(export, info, out, options)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_annotate(chosen, runner)


def _blank(
    export: str, out: str, options: AnnotateOptions, watchers: Sequence[Watcher]
) -> tuple[VolumeInfo, AnnotateOptions]:
    """An image that shows nothing, and the options with the manifest of its regions."""
    layout = lay_out(export, options, watchers=watchers)
    info = new_volume("", shape=layout.shape, voxel_nm=layout.voxel_nm, dtype="uint8")
    if options.manifest:
        return info, options
    manifest = sibling(out, "-manifest.csv")
    write_file(manifest, layout.manifest().encode())
    return info, options.model_copy(update={"manifest": manifest})
