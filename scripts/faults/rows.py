"""All rows of the matrix: a name, what is done, and where it makes no sense and why."""

from dataclasses import dataclass
from functools import partial

from faults import processes, storage
from faults.columns import COLUMNS

STORES = ("local", "S3")


@dataclass(frozen=True)
class Row:
    """A fault. `but` names columns or a store in which it makes no sense, with the reason."""

    name: str
    does: object
    but: tuple[tuple[str, str], ...] = ()
    crew: bool = False

    def reason(self, column, store):
        """Why there is no such cell; "" where there is one."""
        return next(
            (why for name, why in self.but if name in (column, store, f"{column} on {store}")),
            "",
        )


NO_WORKERS = (
    ("train", "trains in one process, without workers"),
    ("run", "its stages are in the other columns"),
)
NO_SERVER = (("local", "a local disk has no server"),)
NO_INPUT = (("phantom", "reads nothing"),)
NO_SHARDS_IN = (*NO_INPUT, ("ingest", "reads files, not shards: see the row of edited inputs"))
NO_SHARDS_OUT = (("measure", "writes tables and meshes"), ("train", "writes a model"))
ROWS = {
    row.name: row
    for row in (
        Row("kill -9 of the client", processes.client_killed),
        Row("kill -9 of a worker", processes.worker_killed, NO_WORKERS, crew=True),
        Row("kill -9 of client and worker", processes.both_killed, NO_WORKERS, crew=True),
        Row("SIGTERM", processes.terminated),
        Row("ghost, another option", processes.ghost, NO_WORKERS, crew=True),
        Row("two clients at once", processes.two_clients),
        *(
            Row(f"{rate:.0%} of {kind}s fail", partial(storage.flaky, kind, rate))
            for kind in ("read", "write", "list")
            for rate in (0.01, 0.05, 0.2)
        ),
        Row("a file invisible for 40 s", storage.hidden, NO_INPUT),
        *(
            Row(f"shard of the input {how}", partial(storage.input_damaged, how), NO_SHARDS_IN)
            for how in storage.DAMAGES
        ),
        *(
            Row(f"shard of the output {how}", partial(storage.output_damaged, how), NO_SHARDS_OUT)
            for how in storage.DAMAGES
        ),
        Row("disk full, quota used up", storage.disk_full),
        Row("server away for 10 s", partial(storage.server_away, 10), NO_SERVER),
        Row("server away for an hour", partial(storage.server_away, 3600), NO_SERVER),
        Row("read-only input", storage.read_only, NO_INPUT),
        Row("edited input", storage.edited, NO_INPUT),
        Row("upgrade to other shards", storage.upgraded, (("train", "writes no shards"),)),
        Row("folder moved", storage.moved_away),
    )
}


def cells():
    """Row, column and store of every cell that makes sense, those of one column together."""
    return [
        (row.name, column, store)
        for store in STORES
        for column in COLUMNS
        for row in ROWS.values()
        if not row.reason(column, store)
    ]


SAMPLE = (
    ("kill -9 of the client", "label", "local"),
    ("SIGTERM", "measure", "local"),
    ("two clients at once", "label", "local"),
    ("5% of writes fail", "label", "local"),
    ("20% of reads fail", "train", "local"),
    ("a file invisible for 40 s", "label", "local"),
    ("shard of the input removed", "label", "local"),
    ("shard of the input cut", "measure", "local"),
    ("shard of the output zeroed", "label", "local"),
    ("disk full, quota used up", "train", "local"),
    ("edited input", "label", "local"),
    ("upgrade to other shards", "label", "local"),
    ("folder moved", "measure", "local"),
)
