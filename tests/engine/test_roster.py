"""Which workers get blocks."""

from volproc.engine.roster import Roster


class SomeWorkers:
    """Eight workers; as in some versions of Dask, five are told of unless all are asked for."""

    status = "running"

    @property
    def client(self):
        return self

    def scheduler_info(self, n_workers=5):
        addresses = [f"tcp://10.0.0.{n}:1234" for n in range(8)]
        some = addresses if n_workers == -1 else addresses[:n_workers]
        return {"workers": {address: {"nthreads": 2} for address in some}}

    def leaving(self, block_seconds):
        return ["tcp://10.0.0.7:1234"]


def test_all_workers_get_blocks_but_those_that_leave_or_are_left_out():
    roster = Roster(SomeWorkers())
    roster.look()
    assert (len(roster.there), roster.threads) == (8, 14)
    roster.leave_out("tcp://10.0.0.0:1234", "it has numpy 1.0")
    assert roster.threads == 12
    assert roster.places(avoid="tcp://10.0.0.1:1234") == [
        f"tcp://10.0.0.{n}:1234" for n in range(2, 7)
    ]
