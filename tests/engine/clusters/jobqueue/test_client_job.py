import os
import subprocess
import sys
from contextlib import suppress

import pytest

from volproc import cli, lease
from volproc.config.cluster import ClusterOptions
from volproc.engine.clusters.jobqueue.client_job import cancel, submit
from volproc.engine.clusters.jobqueue.job_records import CLIENT, JobBook
from volproc.errors import VolprocError

OPTIONS = ClusterOptions(kind="jobqueue")
HOLD = """
import sys, time
from volproc import lease
with lease.holding(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "run" / "ledger")


def test_the_client_is_submitted_once(queue, root):
    assert submit(OPTIONS, root, ["run", "/data/my workflow.toml", "--set", "label.x=1"]) == "1"
    script = queue.script(1)
    assert f"cd {os.getcwd()} && exec {sys.executable} -m volproc run" in script
    assert "'/data/my workflow.toml' --set label.x=1" in script
    assert "#SBATCH --requeue" in script
    with pytest.raises(VolprocError, match=r"-client \(1\) works on this run already"):
        submit(OPTIONS, root, ["run", "w.toml"])
    queue.set(1, "COMPLETED")
    assert submit(OPTIONS, root, ["run", "w.toml"]) == "2"


def test_a_refused_client_is_one_line_and_not_recorded(queue, root):
    queue.refuse("sbatch: error: Invalid account\n")
    with pytest.raises(VolprocError, match=r"refuses the job of \[cluster.client\]: .*account"):
        submit(OPTIONS, root, ["run", "w.toml"])
    assert JobBook(root, CLIENT).read() == []


def test_cancel_ends_the_client_and_its_jobs(queue, root):
    submit(OPTIONS, root, ["run", "w.toml"])
    (queue.folder / "jobs/9").write_text("9|RUNNING|None|INVALID|vp-1-cpu\n")
    JobBook(root).add("slurm", "vp-1-cpu", "9")
    client, workers = cancel(root)
    assert client.startswith("client: SLURM jobs vp-")
    assert workers == "cpu: SLURM jobs vp-1-cpu (9) are ended"
    assert queue.states() == ["CANCELLED", "CANCELLED"]
    assert list(cancel(root)) == []


def test_cancel_ends_a_client_of_this_machine(queue, root):
    command = [sys.executable, "-c", HOLD, root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "held\n"
        assert list(cancel(root)) == [f"client: process {client.pid} is ended"]
        assert client.wait() != 0


def test_a_client_elsewhere_is_named(queue, root, monkeypatch):
    with lease.holding(root):
        monkeypatch.setattr("volproc.engine.clusters.jobqueue.client_job.machine", lambda: "other")
        with pytest.raises(VolprocError, match="writes this run; end it there"):
            list(cancel(root))


def test_a_preview_is_submitted_into_its_own_folder(queue, tmp_path, monkeypatch, capsys):
    file = tmp_path / "w.toml"
    file.write_text(
        '[run]\nsource = "a.zarr"\nfolder = "out"\n[cluster]\nkind = "jobqueue"\n'
        '[cluster.client]\nwalltime = "01:00:00"\n[cluster.cpu]\nwalltime = "01:00:00"\n[predict]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["volproc", "submit", str(file), "--preview", "--box", "8"])
    with suppress(SystemExit):
        cli.main()
    script = queue.script(1)
    assert f"-m volproc run {file} --preview --set 'run.box=\"8\"'" in script
    said = capsys.readouterr().out
    assert "nuclei-100nm in place of nuclei-50nm" in said
    assert said.endswith(f"job 1 runs it; see `volproc status {tmp_path / 'out-preview'}`\n")
    assert (tmp_path / "out-preview" / "ledger").is_dir()
    assert not (tmp_path / "out").exists()
