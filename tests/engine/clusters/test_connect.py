import socket

import pytest
from distributed import Client, LocalCluster

from volproc import ClusterOptions, lease
from volproc.engine.clusters import connect, engine_of, gpus_of
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ConfigError, VolprocError
from volproc.grid.blocks import Tiling

BLOCKS = Tiling(shape=(1, 1, 6), core=(1, 1, 1))


class Index:
    def load(self, block):
        return block.index

    def compute(self, block, loaded):
        return loaded

    def store(self, block, result):
        lease.require()
        return result


STEP = Step("index", Index(), BLOCKS, "d")


@pytest.fixture(scope="module")
def cluster():
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(n_workers=1, threads_per_worker=2, **quiet) as cluster:
        yield cluster


@pytest.mark.dask
def test_a_scheduler_that_is_there_is_used_and_stays(cluster, tmp_path):
    options = ClusterOptions(kind="connect", address=cluster.scheduler_address)
    for n in range(2):
        with lease.holding(str(tmp_path / "lease")), engine_of(options) as engine:
            assert engine.threads == 2
            assert Runner(engine, tmp_path / str(n)).run(STEP) == list(range(6))


@pytest.mark.dask
def test_a_client_of_the_callers_is_used_and_left_open(cluster, tmp_path):
    with Client(cluster, set_as_default=False) as client:
        assert gpus_of(client) is False
        with engine_of(client) as engine:
            assert Runner(engine, tmp_path).run(STEP) == list(range(6))
        assert client.submit(len, "open").result() == 4


def test_no_scheduler_at_the_address_is_one_line(monkeypatch):
    monkeypatch.setattr(connect, "CONNECT_WITHIN_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        options = ClusterOptions(kind="connect", address=address)
        with pytest.raises(VolprocError, match=rf"no Dask scheduler answers at {address}"):
            engine_of(options).__enter__()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs the address of a Dask scheduler"),
        ({"address": "tls://a:1"}, r"encrypted: \[cluster\] tls_ca is missing"),
        ({"address": "tls://a:1", "tls_ca": "ca.pem"}, "tls_cert is missing"),
    ],
)
def test_what_is_missing_to_connect_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        engine_of(ClusterOptions(kind="connect", **given)).__enter__()
