import os
import subprocess
import sys
from types import SimpleNamespace

import dask
import pytest
from distributed import Security

from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.clusters.jobqueue import deal_gpus, job_scripts
from volproc.engine.clusters.jobqueue.job_scripts import JOB_CLASSES, pool_script
from volproc.errors import ConfigError

POOL = PoolOptions(
    jobs=3,
    cores=6,
    memory_gb=16,
    gpus_per_job=2,
    walltime="1-02:03:30",
    queue="long",
    account="em42",
    directives=("--exclusive",),
    prologue=("module load cuda", "source env/bin/activate"),
    python="/sw/python",
    local_directory="/scratch/ann",
    interface="ib0",
    ports="20000:20100",
    death_timeout_s=99,
)
DIRECTIVES = {
    "slurm": (
        "#SBATCH -p long",
        "#SBATCH -A em42",
        "#SBATCH --cpus-per-task=6",
        "#SBATCH --mem=15259M",
        "#SBATCH -t 1-02:03:30",
        "#SBATCH --gres=gpu:2",
        "#SBATCH --no-requeue",
        "#SBATCH --exclusive",
        "#SBATCH -J vp-abc-gpu",
    ),
    "pbs": (
        "#PBS -q long",
        "#PBS -A em42",
        "#PBS -l select=1:ncpus=6:mem=15259MB:ngpus=2",
        "#PBS -l walltime=26:03:30",
        "#PBS --exclusive",
        "#PBS -N vp-abc-gpu",
    ),
    "lsf": (
        "#BSUB -q long",
        '#BSUB -P "em42"',
        "#BSUB -n 6",
        "#BSUB -W 26:04",
        '#BSUB -gpu "num=2"',
        "#BSUB --exclusive",
        "#BSUB -J vp-abc-gpu",
    ),
    "sge": (
        "#$ -q long",
        "#$ -P em42",
        "#$ -l h_rt=26:03:30",
        "#$ -l gpu=2",
        "#$ --exclusive",
        "#$ -N vp-abc-gpu",
    ),
    "htcondor": (
        "MY.DaskWorkerCores = 6",
        "MY.DaskWorkerMemory = 16000000000",
        "request_gpus = 2",
        "accounting_group = em42",
    ),
    "oar": (
        "#OAR -q long",
        "#OAR --project em42",
        "#OAR -l /nodes=1/gpu=2,walltime=26:03:30",
        "#OAR --exclusive",
        "#OAR -n vp-abc-gpu",
    ),
}
EVERYWHERE = (
    "export OMP_NUM_THREADS=3",
    "export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=10",
    "module load cuda",
    "source env/bin/activate",
    "exec /sw/python -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name vp-abc-gpu-7",
    "--nthreads 4 --memory-limit 7600000000B --nworkers 2 --nanny --death-timeout 99.0",
    "--local-directory /scratch/ann",
    "--worker-port 20000:20100 --nanny-port 20000:20100",
    "--preload-nanny volproc.engine.clusters.jobqueue.deal_gpus",
    "--interface ib0 --tls-ca-file /keys/ca",
)


def script(system="slurm", pool="gpu", options=POOL, logs="/tmp/vp-logs"):
    cluster = ClusterOptions(kind="jobqueue", system=system, **{pool: options})
    return pool_script(cluster, pool, "abc", logs)


def text(of, **more):
    keys = Security(tls_ca_file="/keys/ca", require_encryption=True)
    return of.of_worker(7, "tls://10.0.0.1:8786", threads=4, keys=keys, **more).job_script()


@pytest.mark.parametrize("system", JOB_CLASSES)
def test_every_option_is_in_the_script_of_every_system(system, tmp_path):
    found = text(script(system, logs=tmp_path))
    missing = [one for one in (*DIRECTIVES[system], *EVERYWHERE) if one not in found]
    assert missing == [], found
    assert str(tmp_path) in found or system == "oar"


def test_slurms_own_options(tmp_path):
    more = {"qos": "high", "constraint": "a100|h100", "gres": "gpu:a100:2"}
    found = text(script(options=POOL.model_copy(update=more), logs=tmp_path))
    for line in ("--qos=high", "--constraint=a100|h100", "--gres=gpu:a100:2"):
        assert f"#SBATCH {line}\n" in found


def test_no_walltime_is_what_the_queue_allows_not_dask_jobqueues_half_hour(tmp_path):
    plain = script(pool="cpu", options=PoolOptions(), logs=tmp_path)
    assert "#SBATCH -t" not in text(plain)
    assert plain.walltime_s is None
    assert script().walltime_s == 26 * 3600 + 210


def test_a_sites_file_is_obeyed_where_the_options_say_nothing(tmp_path):
    site = {
        "jobqueue.slurm.queue": "site",
        "jobqueue.slurm.walltime": "02:00:00",
        "jobqueue.slurm.job-extra-directives": ["--reservation=em"],
        "jobqueue.slurm.job-script-prologue": ["module load site"],
        "jobqueue.slurm.local-directory": "/local/site",
    }
    with dask.config.set(site):
        found = script(pool="cpu", options=PoolOptions(), logs=tmp_path)
        assert found.walltime_s == 7200
        for line in (
            "-p site",
            "-t 02:00:00",
            "--reservation=em",
            "module load site",
            "/local/site",
        ):
            assert line in text(found)
        assert "-p long" in text(script(logs=tmp_path))


def test_workers_share_95_percent_of_the_jobs_memory():
    assert script(pool="cpu", options=PoolOptions(memory_gb=8)).worker_bytes == 7_600_000_000
    two = PoolOptions(memory_gb=8, workers_per_job=2)
    assert script(pool="cpu", options=two).worker_bytes == 3_800_000_000


def test_a_command_is_a_job_that_is_started_again_after_a_failed_node(tmp_path):
    job = script(pool="client", options=PoolOptions(memory_gb=4), logs=tmp_path)
    found = job.of_command("python -m volproc run w.toml", folder="/my data").job_script()
    assert "#SBATCH --requeue\n" in found
    assert found.endswith("cd '/my data' && exec python -m volproc run w.toml\n")


def test_the_extra_is_named_where_dask_jobqueue_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(ConfigError, match=r'kind = "jobqueue" needs dask_jobqueue: .*\[jobqueue\]'):
        job_scripts.library()


def test_the_workers_of_a_job_are_dealt_its_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    nannies = [SimpleNamespace(env={}) for _ in range(4)]
    for nanny in nannies:
        deal_gpus.dask_setup(nanny)
    seen = [nanny.env["CUDA_VISIBLE_DEVICES"] for nanny in nannies]
    assert sorted(seen[:2]) == ["2", "5"]
    assert seen[2:] == seen[:2]
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    deal_gpus.dask_setup(alone := SimpleNamespace(env={}))
    assert alone.env == {}


def test_ctrl_c_stays_what_it_was(tmp_path):
    """The library's import makes it end the process with exit code 0, in the middle of a run."""
    script = (
        "import signal\n"
        "from volproc.engine.clusters.jobqueue.job_scripts import library\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "library()\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
