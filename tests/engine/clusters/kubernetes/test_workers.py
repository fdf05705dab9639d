import time
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from distributed import LocalCluster
from tests.engine.clusters.kubernetes.conftest import pod

from volproc.engine.clusters.kubernetes import workers as workers_file
from volproc.engine.clusters.kubernetes.api_server import ApiServer
from volproc.engine.clusters.kubernetes.workers import KubernetesEngine, KubernetesWorkers
from volproc.engine.protocol import Outcome, Step, Waiting
from volproc.errors import TransientError
from volproc.grid.blocks import Block, Tiling

pytestmark = pytest.mark.dask

SCHEDULER = pod("one-scheduler-abc", kind="scheduler", ready=True)


@dataclass(frozen=True)
class Nothing:
    def load(self, block: Block) -> None:
        pass

    def compute(self, block: Block, loaded: None) -> None:
        pass

    def store(self, block: Block, result: None) -> int:
        return block.index


@pytest.fixture(scope="module")
def cluster():
    """A scheduler, and a worker with the name of a pod."""
    with LocalCluster(
        n_workers=1, processes=False, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture
def workers(api, cluster, monkeypatch):
    monkeypatch.setattr(workers_file, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(workers_file, "PAUSE_S", 0.01)
    monkeypatch.setattr(workers_file, "in_pod", lambda: True)
    address = cluster.scheduler_address
    monkeypatch.setattr(workers_file, "scheduler_address", lambda *_: address)
    workers = KubernetesWorkers(api, {"metadata": {"name": "one"}}, pool="cpu")
    yield workers
    workers.close()


def test_a_step_says_what_it_waits_for_until_the_scheduler_is_there(workers, fake):
    whole = Step("step", Nothing(), Tiling(shape=(1, 1, 3), core=(1, 1, 1)), "d")
    coming = KubernetesEngine(workers, worker_bytes=10**9).map(whole, whole.blocks)
    assert next(coming) == Waiting(
        "no pod of [cluster.cpu] is there yet: the Dask operator has not made any"
    )
    fake.objects["pods"] = [pod("one-scheduler-abc", kind="scheduler", waiting=("Creating", ""))]
    assert "1 of 1 pods of [cluster.cpu] are not there yet: Creating" in next(coming).why
    fake.objects["pods"] = [SCHEDULER]
    done = [outcome for outcome in coming if isinstance(outcome, Outcome)]
    fake.objects["pods"] = []
    assert sorted(outcome.record for outcome in done) == [0, 1, 2]


def test_a_worker_leaves_with_its_pod(workers, fake):
    fake.objects["pods"] = [SCHEDULER]
    ((address, one),) = workers.client.scheduler_info(n_workers=-1)["workers"].items()
    assert list(workers.leaving(1.0)) == []
    name = str(one["name"])
    fake.objects["pods"] = [SCHEDULER, pod(f"{name}0", metadata={"deletionTimestamp": "now"})]
    assert list(workers.leaving(1.0)) == []
    fake.objects["pods"] = [SCHEDULER, pod(name, metadata={"deletionTimestamp": "now"})]
    assert list(workers.leaving(1.0)) == [address]
    fake.refusals["GET", "pods"] = 503, {"message": "away"}
    assert list(workers.leaving(1.0)) == [address]
    fake.refusals.clear()
    fake.objects["pods"] = []


def test_in_the_end_the_cluster_is_deleted_and_the_client_closed(workers, fake):
    fake.objects["pods"] = [SCHEDULER]
    client = workers.client
    fake.objects["pods"] = []
    workers.close()
    assert client.status == "closed"
    assert fake.deleted == ["one"]


def test_a_server_that_is_away_for_a_moment_is_asked_again(workers, fake, pauses):
    away = (503, {"message": "away"})
    fake.passing = {("DELETE", "daskclusters"): [away] * 3, ("GET", "pods"): [away]}
    workers.close()
    assert fake.deleted == ["one"]
    assert len(pauses) == 4


def test_while_the_client_lives_the_scheduler_does_not_count_as_idle(
    workers, fake, cluster, monkeypatch
):
    monkeypatch.setattr(workers_file, "IDLE_TIMEOUT_S", 0.1)
    fake.objects["pods"] = [SCHEDULER]
    assert workers.client
    cluster.scheduler.idle_since = 1.0
    while cluster.scheduler.idle_since == 1.0:  # until the client has told it
        time.sleep(0.01)
    fake.objects["pods"] = []


def test_outside_of_the_cluster_a_port_of_this_machine_leads_to_the_pod(
    workers, fake, cluster, monkeypatch
):
    open_ports = []

    @contextmanager
    def forwarded(self, name, port):
        assert (name, port) == ("one-scheduler-abc", 8786)
        open_ports.append(name)
        yield 1
        open_ports.remove(name)

    def client(address, **_):
        assert address == "tcp://127.0.0.1:1"
        return cluster.get_client()

    monkeypatch.setattr(ApiServer, "forwarded", forwarded)
    monkeypatch.setattr(workers_file, "Client", client)
    monkeypatch.setattr(workers_file, "in_pod", lambda: False)
    fake.objects["pods"] = [SCHEDULER]
    assert workers.client
    assert open_ports
    fake.objects["pods"] = []
    workers.close()
    assert not open_ports


def test_a_scheduler_that_cannot_be_reached_may_be_later(workers, fake, monkeypatch):
    monkeypatch.setattr(workers_file, "CONNECT_WITHIN_S", 0.3)
    monkeypatch.setattr(workers_file, "scheduler_address", lambda *_: "tcp://127.0.0.1:9")
    fake.objects["pods"] = [SCHEDULER]
    with pytest.raises(TransientError, match=r"does not answer .*a network policy may forbid it"):
        assert workers.client
    fake.objects["pods"] = []


def test_complaints_are_those_about_this_cluster(workers, fake):
    fake.objects["events"] = [
        {"involvedObject": {"name": "two-scheduler"}, "message": "exceeded quota: other"},
    ]
    assert "has not made any" in workers.waiting_for()
    fake.objects["events"] += [
        {"involvedObject": {"name": "one-scheduler"}, "message": "exceeded quota: few"},
    ]
    assert workers.waiting_for() == "no pod of [cluster.cpu] can be made: exceeded quota: few"
    note = {"kopf.zalando.org/x": '{"success": false, "message": "may not"}'}
    fake.objects["daskclusters"] = [{"metadata": {"name": "one", "annotations": note}}]
    assert workers.waiting_for() == "no pod of [cluster.cpu] can be made: may not"
