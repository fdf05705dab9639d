"""What `volproc plan --cluster` says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rich.table import Table

from volproc.terminal import duration
from volproc.workflow.cluster_costs import RunCost, Work, cheapest, cost_of
from volproc.workflow.cluster_plan import ASSUMED, MEASURED, STATED, ClusterPlan
from volproc.workflow.speeds import CORE_FLOPS

COLUMNS = ("jobs", "workers", "held for", "core hours", "GPU hours", "money")


def told(plan: ClusterPlan, deadline: timedelta | None, gpu_flops: float) -> Iterator[Table | str]:
    """Tables and lines on what the rest of a plan costs."""
    if not plan.work:
        yield "nothing is left to do"
        return
    cost = cost_of(plan.work, plan.pools)
    yield _steps(plan)
    yield _pools(cost)
    late = "besides the start of workers and waiting in queues"
    yield f"in all {duration(3600 * cost.hours)}{_paid(cost)}, {late}"
    if deadline:
        yield from _for_deadline(plan, deadline)
    yield from _sources(plan, gpu_flops)


def _steps(plan: ClusterPlan) -> Table:
    table = Table("stage", "step", "pool", "blocks left", "time", "speed is")
    for one in plan.work:
        seconds = one.seconds(plan.pools[one.pool].workers)
        blocks = f"{one.blocks:,}"
        table.add_row(one.stage, one.step, one.pool, blocks, duration(seconds), one.source)
    return table


def _pools(cost: RunCost) -> Table:
    table = Table("pool", *COLUMNS)
    for name, one in cost.pools.items():
        size = one.size
        amounts = (one.core_hours, one.gpu_hours, one.money)
        shown = (f"{amount:,.3g}" if amount else "-" for amount in amounts)
        held = duration(3600 * one.hours)
        table.add_row(name, f"{size.jobs:,}", f"{size.workers:,}", held, *shown)
    return table


def _paid(cost: RunCost) -> str:
    return f" for {cost.money:,.2f} (price_per_job_hour)" if cost.money else ""


def _for_deadline(plan: ClusterPlan, deadline: timedelta) -> Iterator[Table | str]:
    asked = duration(deadline.total_seconds())
    best, fastest = cheapest(plan.work, plan.pools, hours=deadline.total_seconds() / 3600)
    if best is None:
        longest = _longest(plan.work, fastest)
        takes = duration(longest.seconds(fastest.pools[longest.pool].size.workers))
        yield (
            f"no number of jobs does it within {asked}: the fastest, {_jobs(fastest)}, takes "
            f"{duration(3600 * fastest.hours)}, of which {longest.step} takes {takes}; a smaller "
            f"block in [{longest.stage}], or more cores in a job, may make it shorter"
        )
        return
    yield (f"cheapest within {asked}: {_jobs(best)}, {duration(3600 * best.hours)}{_paid(best)}:")
    yield _pools(best)


def _longest(work: tuple[Work, ...], cost: RunCost) -> Work:
    return max(work, key=lambda one: one.seconds(cost.pools[one.pool].size.workers))


def _jobs(cost: RunCost) -> str:
    return ", ".join(f"[cluster.{name}] jobs = {one.size.jobs}" for name, one in cost.pools.items())


def _sources(plan: ClusterPlan, gpu_flops: float) -> Iterator[str]:
    """What an estimate rests on, a line for each kind of source."""
    used = {one.source.partition(" ")[0] for one in plan.work}
    if MEASURED in used:
        yield "measured: by the run whose log is in the run's folder, here as fast a core or GPU"
    if STATED in used:
        yield (
            f"stated: {CORE_FLOPS / 1e12:.3f} TFLOP/s and some 100 MB/s of a core, as measured on "
            "two cores of a Xeon (docs/scaling.md); a run with --box measures your own"
        )
    if ASSUMED in used:
        yield (
            f"assumed: {gpu_flops / 1e12:g} TFLOP/s of a GPU, which nobody measured; "
            "--gpu-tflops states another, a run with --box measures your own"
        )
    for one in plan.work:
        if one.gpu:
            yield (
                f"a block of {one.step}: {one.gpu.network:.2g} s on the GPU, meanwhile its cores "
                f"decode for {one.gpu.decode:.2g} s and encode for {one.gpu.encode:.2g} s; "
                f"bottleneck: {one.gpu.bottleneck}"
            )
