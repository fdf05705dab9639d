import pytest

from volproc import lease
from volproc.engine.clusters.jobqueue import job_records
from volproc.engine.clusters.jobqueue.job_records import (
    CLIENT,
    JobBook,
    RecordedJobs,
    end_jobs,
    end_left_jobs,
    log_folder,
    state_lines,
)
from volproc.errors import VolprocError


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "run" / "ledger")


def submit(queue, name):
    """A job in the made-up queue."""
    number = len(queue.states()) + 1
    (queue.folder / f"jobs/{number}").write_text(f"{number}|RUNNING|None|INVALID|{name}\n")
    return str(number)


def test_jobs_are_recorded_by_name_and_forgotten(root):
    book = JobBook(root)
    book.add("slurm", "vp-1-cpu")
    book.add("slurm", "vp-1-cpu", "12")
    book.add("slurm", "vp-1-gpu", "13")
    book.add("slurm", "vp-1-cpu", "14")
    assert JobBook(root).read() == [
        RecordedJobs("slurm", "vp-1-cpu", ("12", "14")),
        RecordedJobs("slurm", "vp-1-gpu", ("13",)),
    ]
    book.forget("vp-1-cpu")
    assert JobBook(root).read() == [RecordedJobs("slurm", "vp-1-gpu", ("13",))]
    assert JobBook("").read() == []


def test_the_next_owner_ends_what_a_client_left(queue, root):
    """Also a job whose number was not recorded any more; jobs of others are left alone."""
    mine, unrecorded, others = (submit(queue, n) for n in ("vp-1-cpu", "vp-1-cpu", "vp-2-cpu"))
    JobBook(root).add("slurm", "vp-1-cpu", mine)
    key = log_folder(root) / "keys/vp-1-cpu.key.pem"
    key.parent.mkdir(parents=True)
    key.touch()
    end_left_jobs()
    assert queue.states() == ["RUNNING"] * 3
    with lease.holding(root):
        end_left_jobs()
    assert [queue.words(n)[1] for n in (mine, unrecorded, others)] == [
        *("CANCELLED", "CANCELLED", "RUNNING")
    ]
    assert JobBook(root).read() == []
    assert not key.exists()


def test_a_queue_that_does_not_answer_is_one_line(queue, root):
    JobBook(root).add("slurm", "vp-1-cpu", submit(queue, "vp-1-cpu"))
    (queue.folder / "down").touch()
    with (
        lease.holding(root),
        pytest.raises(VolprocError, match=r"vp-1-cpu \(1\) may still be in the queue .*no contact"),
    ):
        end_left_jobs()
    assert JobBook(root).read() != []
    told = "cpu: 1 job was submitted; squeue fails: slurm_load_jobs error: no contact"
    assert list(state_lines(root)) == [told]


def test_jobs_that_do_not_go_are_named(queue, monkeypatch):
    number = submit(queue, "vp-1-cpu")
    monkeypatch.setenv("PATH", f"{queue.folder}/stuck:{queue.folder}/bin:/usr/bin:/bin")
    (queue.folder / "stuck").mkdir()
    (queue.folder / "stuck/scancel").write_text("#!/bin/sh\n")
    (queue.folder / "stuck/scancel").chmod(0o755)
    with pytest.raises(VolprocError, match="do not leave the queue: end them with `scancel 1`"):
        end_jobs(RecordedJobs("slurm", "vp-1-cpu", (number,)), within_s=0)


def test_status_counts_the_jobs_in_the_queue(queue, root):
    numbers = [submit(queue, "vp-1-cpu") for _ in range(4)]
    JobBook(root).add("slurm", "vp-1-cpu", *numbers)
    JobBook(root, CLIENT).add("slurm", "vp-1-client", submit(queue, "vp-1-client"))
    queue.set(1, "PENDING", "Resources")
    queue.set(2, "PENDING", "Priority")
    queue.set(3, "COMPLETED")
    assert list(state_lines(root)) == [
        "client: 1 job runs",
        "cpu: 1 job runs; 2 jobs wait (Priority, Resources)",
    ]
    for number in (1, 2, 4):
        queue.set(number, "CANCELLED")
    assert list(state_lines(root))[1] == "cpu: no job is in the queue"


def test_logs_are_beside_the_record_or_where_the_options_say(tmp_path):
    assert log_folder("/data/run/ledger") == job_records.Path("/data/run/ledger/jobs")
    assert log_folder("s3://bucket/run.volproc").name == "volproc-jobs"
    assert log_folder("/data/run/ledger", str(tmp_path)) == tmp_path
