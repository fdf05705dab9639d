"""Jobs in a made-up SLURM, whose workers never come: what the keeper does with them."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from volproc import lease
from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.clusters.jobqueue import sent_job
from volproc.engine.clusters.jobqueue.job_pools import JobPools, require, require_accepted
from volproc.engine.clusters.jobqueue.job_records import JobBook
from volproc.engine.clusters.jobqueue.queues import QueuedJob
from volproc.engine.clusters.jobqueue.sent_job import SentJob, belongs, last_lines
from volproc.engine.protocol import Step
from volproc.errors import ConfigError, VolprocError
from volproc.grid.blocks import Tiling


@pytest.fixture(autouse=True)
def _tests_look_for_themselves(monkeypatch):
    monkeypatch.setattr(sent_job, "KEEP_EVERY_S", 3600.0)
    monkeypatch.setattr("volproc.engine.clusters.jobqueue.job_workers.FIRST_LOOKS_S", ())


@pytest.fixture
def pools(tmp_path):
    """pools(jobs=2, ...): pools whose CPU jobs have these options, under a lease."""
    opened = []

    def make(gpu=None, **pool):
        options = ClusterOptions(
            kind="jobqueue", interface="lo", cpu=PoolOptions(memory_gb=2, **pool), gpu=gpu
        )
        require(options)
        opened.append(JobPools(options))
        return opened[-1]

    with lease.holding(str(tmp_path / "run/ledger")):
        yield make
        for one in opened:
            one.close()


def workers_of(pools):
    return pools.started(pools.pool_for(None)).workers


def test_it_is_said_why_jobs_wait(queue, pools):
    workers = workers_of(pools(jobs=2))
    assert workers.waiting_for() == "2 jobs of cpu wait: in the queue, 0 s"
    workers.look()
    assert workers.waiting_for() == "2 jobs of cpu wait: Resources, 0 s"
    queue.set(1, "RUNNING", left="59:00")
    workers.look()
    first, second = workers.waiting_for().split("; ")[::2]
    assert first == "1 job of cpu waits: Resources, 0 s"
    assert second.startswith("logs: ")
    assert "1 job of cpu runs, no worker has connected yet" in workers.waiting_for()


def test_lost_jobs_are_replaced_up_to_the_wanted_number(queue, pools):
    workers = workers_of(pools(jobs=2))
    queue.set(1, "NODE_FAIL")
    assert workers.look()
    assert queue.states() == ["NODE_FAIL", "PENDING", "PENDING"]
    assert not workers.look()
    (queue.folder / "jobs/2").unlink()  # the queue knows nothing of it any more
    assert workers.look()
    assert len(queue.states()) == 3
    assert workers.waiting_for().startswith("2 jobs of cpu wait")


def test_a_queue_that_is_down_loses_no_job(queue, pools):
    workers = workers_of(pools())
    (queue.folder / "down").touch()
    with pytest.raises(VolprocError, match="squeue fails"):
        workers.look()
    (queue.folder / "down").unlink()
    assert not workers.look()
    assert queue.states() == ["PENDING"]


def test_jobs_that_keep_dying_end_the_run_with_the_last_lines_of_the_log(queue, pools):
    found = pools()
    workers = workers_of(found)
    for number in (1, 2, 3):
        assert workers.waiting_for()
        queue.set(number, "FAILED")
        log = found.script("cpu").logs / f"vp-cpu-{number}.err"
        log.write_text(f"\nmodule: command not found\njob {number}\n")
        workers.look()
    told = (
        "3 jobs of cpu ended before their worker connected; the last one, 3: State FAILED, "
        "ExitCode 7:0, MaxRSS 123K; its log in .* ends with: module: command not found / job 3"
    )
    with pytest.raises(VolprocError, match=told):
        workers.waiting_for()
    assert not workers.look()
    assert queue.states() == ["FAILED"] * 3


def test_a_refused_job_is_the_queues_own_line(queue, pools):
    queue.refuse("sbatch: error: invalid partition specified: nosuch\n")
    told = r"sbatch refuses the job of \[cluster.cpu\]: sbatch: error: invalid .*: nosuch; change"
    found = pools()
    with pytest.raises(VolprocError, match=told):
        require_accepted(found)
    with pytest.raises(VolprocError, match=told):
        workers_of(found)
    assert queue.states() == []
    found.close()
    assert list(Path(found.root).glob("jobs/keys/*")) == []


def test_an_interface_that_is_not_there_is_one_line(queue, pools):
    found = pools(interface="ib7")
    found.options = found.options.model_copy(update={"interface": ""})
    told = r"scheduler cannot listen here \(.*ib7.*\); check \[cluster\] interface"
    with pytest.raises(VolprocError, match=told):
        workers_of(found)
    assert queue.states() == []


def test_what_slurm_would_queue_is_no_refusal(queue, pools):
    queue.refuse("allocation failure: Requested node configuration is not available\n")
    require_accepted(pools())


def test_fewer_jobs_than_wanted_are_enough(queue, pools):
    """A limit of jobs per user: those that were accepted work, the others are tried again."""
    workers = workers_of(pools())
    workers._wanted = 3
    queue.refuse("sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    assert not workers.look()
    queue.set(1, "PREEMPTED")
    assert not workers.look()
    assert "QOSMaxSubmitJobPerUserLimit" in workers.waiting_for()
    (queue.folder / "refuse").unlink()
    assert workers.look()
    assert queue.states() == ["PREEMPTED", *["PENDING"] * 3]


def test_nothing_is_left_at_the_end(queue, pools):
    found = pools(jobs=3)
    workers = workers_of(found)
    logs = found.script("cpu").logs
    keys = list(logs.glob("keys/*.pem"))
    assert len(keys) == 3
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    assert [jobs.ids for jobs in JobBook(found.root).read()] == [("1", "2", "3")]
    found.close()
    assert queue.states() == ["CANCELLED"] * 3
    assert JobBook(found.root).read() == []
    assert list(logs.glob("keys/*.pem")) == []
    assert workers.client.status == "closed"


def test_connections_are_encrypted_and_strangers_refused(queue, pools):
    from distributed import Client

    workers = workers_of(pools())
    assert workers.client.scheduler.address.startswith("tls://127.0.0.1:")
    address = workers.client.scheduler.address.replace("tls://", "tcp://")
    with pytest.raises(OSError, match=r"TCP|Timed out"):
        Client(address, timeout=2, set_as_default=False)


def test_steps_on_gpus_have_jobs_of_their_own_beside_the_others(queue, pools):
    found = pools(gpu=PoolOptions(gpus_per_job=2, memory_gb=8, ask_ahead_minutes=3))
    on_gpu = Step("predict", None, Tiling(shape=(1, 1, 1), core=(1, 1, 1)), "d", on_gpu=True)
    cpu, gpu = found.pool_for(None), found.pool_for(on_gpu)
    assert (cpu.name, cpu.threads, cpu.worker_bytes) == ("cpu", 1, 1_900_000_000)
    assert (gpu.name, gpu.threads, gpu.worker_bytes) == ("gpu", 4, 3_800_000_000)
    assert found.ask_ahead_s == 180
    with closing(found):
        found.started(cpu)
        found.started(gpu)
        assert "--gres=gpu:2" not in queue.script(1)
        assert "--gres=gpu:2" in queue.script(2)
        assert queue.states() == ["PENDING", "PENDING"]
        found.keep([gpu])
        assert queue.states() == ["CANCELLED", "PENDING"]
    assert queue.states() == ["CANCELLED", "CANCELLED"]


def test_gpu_jobs_without_gpus_are_refused():
    options = ClusterOptions(kind="jobqueue", gpu=PoolOptions())
    with pytest.raises(ConfigError, match=r"sbatch is not found|\[cluster.gpu\] gpus_per_job is 0"):
        require(options)


def test_gpu_jobs_without_gpus_are_refused_where_jobs_can_be_sent(queue):
    with pytest.raises(ConfigError, match=r"\[cluster.gpu\] gpus_per_job is 0"):
        require(ClusterOptions(kind="jobqueue", gpu=PoolOptions()))


def test_a_walltime_that_holds_no_three_blocks_is_refused(queue, pools):
    workers = workers_of(pools(walltime="00:01:00"))
    assert workers.leaving(19.0) == []
    with pytest.raises(VolprocError, match=r"a block takes 21 s, .*\[cluster.cpu\] walltime"):
        workers.leaving(21.0)


def test_the_time_that_a_job_has_left():
    now = time.monotonic()
    job = SentJob("12", "vp-1-cpu-0", 0)
    assert job.seconds_left(60) is None
    job.heard(QueuedJob("12", "waits", "PENDING"), now)
    assert job.seconds_left(60) is None
    job.heard(QueuedJob("12", "runs", "RUNNING", seconds_left=600), now - 100)
    assert job.seconds_left(60) == pytest.approx(500, abs=5)
    job.heard(QueuedJob("12", "runs", "RUNNING"), now)
    assert job.seconds_left(None) is None
    assert job.seconds_left(7200) == pytest.approx(7200 - 100 - 3600, abs=5)


def test_a_worker_belongs_to_its_job_alone():
    assert belongs("vp-1-cpu-1", {"vp-1-cpu-1"})
    assert belongs("vp-1-cpu-1-0", {"vp-1-cpu-1"})
    assert not belongs("vp-1-cpu-11", {"vp-1-cpu-1"})
    assert not belongs("vp-1-cpu-1", {"vp-1-cpu"} - {"vp-1-cpu"})


def test_the_end_of_a_log_is_one_line(tmp_path):
    assert last_lines(tmp_path, "12") == "nothing"
    (tmp_path / "vp-a12b-cpu-12.err").write_text("one\n\n  two  \n")
    (tmp_path / "vp-a12b-cpu-112.err").write_text("another job\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/vp-a12b-cpu-12.key.pem").write_text("secret")
    assert last_lines(tmp_path, "12") == "one / two"
