"""Every stage as one function: paths and options in, a finished volume or table out.

What the command line does for one stage, for Python. The record of what is done lies beside the
output (OUT.zarr.volproc/), so a call that was interrupted goes on when it is made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from volproc.config import (
    ClusterOptions,
    EvaluateOptions,
    FetchOptions,
    IngestOptions,
    LabelOptions,
    PhantomOptions,
    PredictOptions,
    TrainOptions,
)
from volproc.engine.clusters.choose import engine_of
from volproc.engine.ledger import digest
from volproc.engine.progress import JsonLines, Watcher
from volproc.engine.run import Runner
from volproc.stages.check.finding import Finding
from volproc.stages.check.stage import Depth, plan_check, run_check
from volproc.stages.evaluate.scores import Scores
from volproc.stages.evaluate.stage import plan_evaluate, run_evaluate
from volproc.stages.ingest.empiar import fetch as fetching
from volproc.stages.ingest.empiar.fetch import FetchPlan
from volproc.stages.ingest.empiar.remote import RemoteFile
from volproc.stages.ingest.empiar.transfer import Watch as Watching
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.stages.label.stage import LabelResult, plan_label, run_label
from volproc.stages.phantom.stage import NucleusRow, plan_phantom, run_phantom
from volproc.volume.store import Volume, open_volume

if TYPE_CHECKING:
    from volproc.model.weights import Card
    from volproc.stages.train.loop import Watch

LOCAL = ClusterOptions()
FETCH = FetchOptions()


def phantom(
    out: str,
    options: PhantomOptions,
    *,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> tuple[NucleusRow, ...]:
    """The nuclei of a made volume, written to `out` with their labels at `out`/labels/nuclei."""
    chosen = plan_phantom(out, options)
    with _runner(out, cluster, watchers) as runner:
        return run_phantom(chosen, runner)


def ingest(
    source: str,
    out: str,
    options: IngestOptions,
    *,
    fetch: FetchOptions = FETCH,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """The image (or labels) at `source`, as the OME-Zarr volume `out`.

    `source` is a file, a folder of slices, an fsspec URL of either, or an EMPIAR accession.
    """
    chosen = plan_ingest(source, out, options, fetch)
    with _runner(out, cluster, watchers) as runner:
        return run_ingest(chosen, runner)


def plan_fetch(
    entry: str, folder: str, options: FetchOptions = FETCH, *, exact: bool = True
) -> FetchPlan:
    """What an EMPIAR accession is and what fetching its files would take; writes nothing.

    Not `exact` saves a request per file: sizes are then those of the archive's pages, rounded.
    """
    return fetching.plan_fetch(entry, folder, options, exact=exact)


def fetch(plan: FetchPlan, *, watch: Watching | None = None) -> tuple[RemoteFile, ...]:
    """The files of the plan, brought to its folder in parallel; goes on where it stopped."""
    return fetching.run_fetch(plan, watch=watch)


def check(
    url: str,
    *,
    depth: Depth = "samples",
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> tuple[Finding, ...]:
    """All that is wrong with the volume at `url`, errors first; nothing if it is sound.

    "fast" looks at metadata and files, "samples" also reads some blocks of every level and compares
    each level with the one before, "deep" reads every voxel.
    """
    chosen = plan_check(url, depth=depth)
    with TemporaryDirectory() as records, engine_of(cluster) as engine:
        return run_check(chosen, Runner(engine, records, watchers))


def predict(
    image: str,
    out: str,
    options: PredictOptions,
    *,
    votes: str | None = None,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """The fused prediction for `image`, uint8 at the model's voxel size; each axis' in `votes`."""
    from volproc.stages.predict.stage import plan_predict, run_predict  # torch is slow to import

    volume = open_volume(image, voxel_nm=options.voxel_nm)
    chosen = plan_predict(volume.info, out, options, votes_url=votes, identity=volume.identity)
    with _runner(out, cluster, watchers) as runner:
        return run_predict(chosen, runner)


def label(
    mask: str,
    out: str,
    options: LabelOptions,
    *,
    native: str | None = None,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> LabelResult:
    """The numbered objects of `mask`, and their table; with `native` also on that image's grid."""
    volume = open_volume(mask)
    grid = open_volume(native).info if native else None
    chosen = plan_label(volume.info, out, options, native=grid, identity=volume.identity)
    with _runner(out, cluster, watchers) as runner:
        return run_label(chosen, runner)


def evaluate(
    result: str,
    options: EvaluateOptions,
    *,
    out: str = "",
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Scores:
    """Scores of `result` (mask, probability or votes) against `options.truth`; JSON in `out`."""
    found, wanted = open_volume(result), open_volume(options.truth)
    results = {"votes" if found.info.channels else "result": found.info}
    identity = digest(found.identity, wanted.identity)
    chosen = plan_evaluate(results, wanted.info, options, url=out, identity=identity)
    with _runner(result, cluster, watchers) as runner:
        return run_evaluate(chosen, runner)


def train(options: TrainOptions, *, watch: Watch = lambda _: None) -> Card:
    """The card of a model trained from the volumes in `options`; goes on where it stopped."""
    from volproc.stages.train.stage import plan_train, run_train, sources_of

    chosen = plan_train(
        sources_of(options.images, options.labels, options.weights),
        options,
        validation=sources_of(options.validation_images, options.validation_labels),
    )
    return run_train(chosen, watch=watch)


@contextmanager
def _runner(out: str, cluster: ClusterOptions, watchers: Sequence[Any]) -> Iterator[Runner]:
    beside = f"{out.rstrip('/')}.volproc"
    with engine_of(cluster) as engine:
        yield Runner(engine, f"{beside}/ledger", (*watchers, JsonLines(f"{beside}/log.jsonl")))
