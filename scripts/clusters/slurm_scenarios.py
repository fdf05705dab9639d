"""A small phantom workflow on a real SLURM, disturbed: same bytes, empty queue, extra seconds.

Each scenario runs in a folder of its own and is compared with a run of the same options on local
workers. scripts/clusters-slurm starts SLURM and calls this.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import psutil
import tifffile
import torch
from storm import Storm, Wrong, table

from volproc import PhantomOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, save_model
from volproc.stages.phantom.stage import plan_phantom, run_phantom
from volproc.volume.store import open_volume

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests/whole/small.py"
RESULTS = ("image.zarr", "prediction.zarr", "votes.zarr", "objects.zarr", "objects.csv")
PATIENCE_S = 600
OTHER = "--set", "label.min_volume_um3=0.002"
FACES = "--set", "label.connectivity=6"
SHORT, MIDDLE, LONG = 400, 700, 1100
"""Sides of the phantom: some 10 s of work, thrice as much, and over a minute for one worker."""
SCENARIOS = {}
AT_RANDOM = {"kills": 10, "seed": 1}
"""Of the scenario `chaos`: set by --kills and --seed."""


def scenario(name):
    def keep(function):
        SCENARIOS[name] = function
        return function

    return keep


@dataclass
class Place:
    """A folder with a workflow; its client runs in a process of its own."""

    folder: Path
    clients: list = field(default_factory=list)

    @property
    def run(self):
        return self.folder / "run"

    def start(self, *more):
        """A client at work."""
        said = (self.folder / f"said-{len(self.clients)}.txt").open("w")
        command = [sys.executable, str(SMALL), "run", "w.toml", *more]
        self.clients.append(subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said))
        return self.clients[-1]

    def said(self, number=-1):
        numbers = range(len(self.clients))
        return (self.folder / f"said-{numbers[number]}.txt").read_text()

    def ends(self, client, code=0):
        """Wait for a client to end with this exit code."""
        if client.wait(PATIENCE_S) != code:
            raise Wrong(f"exit code {client.returncode}, not {code}: {self.said()[-1500:]}")

    def blocks(self, step):
        log = self.run / "log.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        done = [line for line in lines if '"BlockDone"' in line and f'"step": "{step}"' in line]
        return len(done)

    def until(self, happened, client=None):
        end = time.monotonic() + PATIENCE_S
        while not happened():
            if time.monotonic() > end or (client and client.poll() is not None):
                raise Wrong(f"it did not come to that: {self.said()[-1500:]}")
            time.sleep(0.05)

    def until_at_work(self, client=None, blocks=6, step="predict"):
        self.until(lambda: self.blocks(step) >= blocks, client)


def sh(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def resume(node):
    """Give a node back; SLURM may have done so itself."""
    while "down" in (state := sh("sinfo", "-h", "-n", node, "-o", "%T")) or "drain" in state:
        with suppress(subprocess.CalledProcessError):
            sh("scontrol", "update", f"nodename={node}", "state=resume")
        time.sleep(0.5)


def in_queue():
    """Jobs of these scenarios that have not ended: number and state."""
    over = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL")
    listed = sh("squeue", "-h", "-t", "all", "-o", "%i %T %Z").splitlines()
    mine = [line.split() for line in listed if str(WORK) in line]
    return [f"{number} {word}" for number, word, _ in mine if word not in over]


def running():
    return [job.split()[0] for job in in_queue() if job.endswith("RUNNING")]


@cache
def scene(side):
    """A folder with the phantom and a tiny network."""
    folder = Path(mkdtemp(prefix="slurm-scene-", dir=WORK))
    torch.manual_seed(1)
    spec = UNetSpec(slices_in=6, slices_out=4, widths=(6, 8), stem=2)
    card = card_for(spec, name="tiny", voxel_nm=(50, 50, 50))
    save_model(folder / "tiny", UNet(spec).eval(), card)
    options = PhantomOptions(shape=(16, side, side), voxel_nm=(50, 20, 20), seed=4)
    plan = plan_phantom(str(folder / "phantom.zarr"), options)
    run_phantom(plan, Runner(SerialEngine(), folder / "ledger"))
    volume = open_volume(folder / "phantom.zarr")
    tifffile.imwrite(folder / "phantom.tif", volume.read(volume.info.box))
    return folder


KIND = 'kind = "jobqueue"\n[cluster.cpu]\n'
POOL = 'jobs = 2\ncores = 1\nmemory_gb = 3\ninterface = "lo"\n'


def place(side=SHORT, *, cluster=KIND + POOL):
    here = Place(Path(mkdtemp(prefix="slurm-run-", dir=WORK)))
    for name in ("tiny", "phantom.tif"):
        (here.folder / name).symlink_to(scene(side) / name)
    (here.folder / "w.toml").write_text(
        '[run]\nsource = "phantom.tif"\n'
        f"[cluster]\n{cluster}\n"
        "[ingest]\nvoxel_nm = [50.0, 20.0, 20.0]\n"
        '[predict]\nmodel = "./tiny"\ntile = [16, 40, 40]\nblock = [16, 40, 40]\n'
        "[label]\nblock = [16, 24, 60]\nmin_volume_um3 = 0.001\n"
        "[report]\nslices = 1\n"
    )
    return here


@cache
def calm(side, more=()):
    """An undisturbed run on local workers, and its seconds."""
    here = place(side, cluster='kind = "local"\nworkers = 2\n')
    began = time.monotonic()
    here.ends(here.start(*more))
    return here.run, time.monotonic() - began


@cache
def undisturbed(side):
    """The seconds of an undisturbed run on SLURM."""
    calm(side)  # compiles what all runs need
    here = place(side)
    began = time.monotonic()
    here.ends(here.start())
    same(here, side)
    return time.monotonic() - began


def same(here, side=SHORT, more=()):
    """Fails unless the results are those of the undisturbed run, and the queue is empty."""
    wanted = calm(side, more)[0]
    for name in RESULTS:
        one, other = files(wanted / name), files(here.run / name)
        if not one or one.keys() != other.keys():
            raise Wrong(f"{name}: other files")
        if bad := [file for file in one if one[file] != other[file]]:
            raise Wrong(f"{name}: {len(bad)} files differ, e.g. {bad[0]}")
    if left := in_queue():
        raise Wrong(f"left in the queue: {left}")
    if list(here.run.glob("ledger/jobs/keys/*.pem")):
        raise Wrong("keys are left")


def files(path):
    paths = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(p.relative_to(path)): p.read_bytes() for p in paths if p.is_file()}


@scenario("two jobs")
def two_jobs():
    here = place()
    here.ends(here.start())
    same(here)


@scenario("jobs that start 30 s apart")
def apart():
    sh("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    here = place(cluster=KIND + POOL.replace("cores = 1", "cores = 4"))
    try:
        client = here.start()
        here.until(lambda: running(), client)
        time.sleep(30)
    finally:
        resume("n2")
    here.ends(client)
    same(here)


@scenario("no job starts for 30 s")
def late():
    for node in ("n1", "n2"):
        sh("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    here = place()
    try:
        client = here.start()
        here.until(lambda: in_queue(), client)
        time.sleep(30)
    finally:
        for node in ("n1", "n2"):
            resume(node)
    here.ends(client)
    same(here)
    if "2 jobs of cpu wait: " not in here.said():
        raise Wrong(f"no reason was said: {here.said()}")


@scenario("scancel in mid-run")
def scancel():
    here = place()
    client = here.start()
    here.until_at_work(client)
    sh("scancel", running()[0])
    here.ends(client)
    same(here)


@scenario("scancel of all jobs in mid-run")
def scancel_all():
    here = place()
    client = here.start()
    here.until_at_work(client)
    sh("scancel", *running())
    here.ends(client)
    same(here)


@scenario("node DOWN")
def node_down():
    here = place(cluster=KIND + POOL.replace("cores = 1", "cores = 3"))
    client = here.start()
    here.until_at_work(client)
    sh("scontrol", "update", "nodename=n1", "state=down", "reason=test")
    time.sleep(3)
    resume("n1")
    here.ends(client)
    same(here)


@scenario("walltime of one minute, a longer run")
def walltime():
    more = POOL.replace("jobs = 2", 'jobs = 1\nwalltime = "00:01:00"')
    here = place(LONG, cluster=KIND + more)
    here.ends(here.start())
    same(here, LONG)
    sent = len(set(here.run.glob("ledger/jobs/*.err")))
    print(f"  {sent} jobs; in one local process pool it took {calm(LONG)[1]:.0f} s")
    if sent < 2:
        raise Wrong("the run was shorter than the walltime: nothing was shown")


@scenario("SIGKILL of the client, started again at once with another option")
def killed():
    here = place()
    client = here.start()
    here.until_at_work(client)
    client.kill()
    client.wait()
    old = in_queue()
    here.ends(here.start(*OTHER))
    if not old:
        raise Wrong("no job outlived the client: nothing was shown")
    same(here, more=OTHER)


@scenario("SIGKILL of the client, never started again")
def orphans():
    here = place()
    client = here.start()
    here.until_at_work(client)
    client.kill()
    client.wait()
    began = time.monotonic()
    here.until(lambda: not in_queue())
    print(f"  orphans ended after {time.monotonic() - began:.0f} s")
    here.ends(here.start())
    same(here)


@scenario("SIGTERM of the client")
def sigterm():
    interrupted(signal.SIGTERM)


@scenario("SIGINT of the client")
def sigint():
    interrupted(signal.SIGINT)


def interrupted(number):
    here = place()
    client = here.start()
    here.until_at_work(client)
    client.send_signal(number)
    here.ends(client, 128 + number)
    here.until(lambda: not in_queue())
    here.ends(here.start())
    same(here)


@scenario("two clients")
def two_clients():
    here = place()
    client = here.start()
    here.until_at_work(client)
    held = running()
    for job in held:  # or the first might be done before the second has begun
        sh("scontrol", "suspend", job)
    here.ends(here.start(*OTHER), 2)
    for job in held:
        sh("scontrol", "resume", job)
    if "is being written by" not in here.said(1):
        raise Wrong(here.said(1))
    here.ends(client)
    same(here)


def shell(here, *command):
    """volproc from another shell."""
    done = subprocess.run(
        [sys.executable, "-m", "volproc", *command],
        cwd=here.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Wrong(done.stdout + done.stderr)
    return done.stdout


@scenario("submit, log out, status, cancel, submit again")
def submitted():
    wrapper = WORK / "small-python"
    wrapper.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {SMALL} "$@"\n')
    wrapper.chmod(0o755)
    table = f'[cluster.client]\nmemory_gb = 2\npython = "{wrapper}"\n'
    here = place(cluster=KIND + POOL + table)
    said = shell(here, "submit", "w.toml")
    here.until_at_work()
    names = {job: sh("squeue", "-h", "-j", job, "-o", "%j") for job in running()}
    workers = [job for job, name in names.items() if name.endswith("-cpu\n")]
    for job in workers:  # or the run might be done before it is looked at
        sh("scontrol", "suspend", job)
    status = shell(here, "status", "run")
    for job in workers:
        sh("scontrol", "resume", job)
    for words in ("client: 1 job runs", "cpu: 2 jobs run", "at work: "):
        if words not in status:
            raise Wrong(f"{words!r} is not in: {status}")
    ended = shell(here, "cancel", "run")
    if in_queue():
        raise Wrong(f"in the queue after cancel: {in_queue()}, {ended}")
    shell(here, "submit", "w.toml")
    here.until(lambda: (here.run / "report.html").exists() and not in_queue())
    same(here)
    print("  " + said.strip())


@scenario("cluster check")
def checked():
    here = place()
    print("  " + shell(here, "cluster", "check", "w.toml").strip().replace("\n", "\n  "))
    if in_queue():
        raise Wrong(f"left in the queue: {in_queue()}")


def refused(here, *words):
    client = here.start()
    here.ends(client, 2)
    line = here.said().strip().splitlines()[-1]
    if not line.startswith("volproc: ") or any(word not in line for word in words):
        raise Wrong(f"{words} are not in: {here.said()}")
    if "Traceback" in here.said() or in_queue():
        raise Wrong(f"{here.said()} {in_queue()}")
    print(f"  {line[:400]}")


@scenario("bad input: unknown queue")
def unknown_queue():
    here = place(cluster='kind = "jobqueue"\n[cluster.cpu]\nqueue = "nosuch"\n' + POOL)
    refused(here, "invalid partition specified: nosuch", "[cluster.cpu]")


@scenario("bad input: a worker that cannot start")
def no_worker():
    here = place(cluster='kind = "jobqueue"\n[cluster.cpu]\nprologue = ["exit 7"]\n' + POOL)
    refused(here, "jobs of cpu ended before their worker connected", "ExitCode 7:0")


@scenario("bad input: another Python on the workers")
def other_python():
    wrapper = WORK / "other-python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={WORK}/lie:$PYTHONPATH exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    (WORK / "lie").mkdir(exist_ok=True)
    (WORK / "lie/sitecustomize.py").write_text(
        "import importlib.metadata as m\nreal = m.version\n"
        "m.version = lambda name: '1.0' if name == 'numpy' else real(name)\n"
    )
    here = place(cluster=f'kind = "jobqueue"\n[cluster.cpu]\npython = "{wrapper}"\n' + POOL)
    refused(here, "it has numpy 1.0", "install the same versions there")


@scenario("bad input: a folder that the nodes do not share")
def not_shared():
    here = far_away('mount -t tmpfs none "$0"')
    refused(here, "jobs of cpu ended before their worker connected", "does not exist")


@scenario("bad input: a folder of which the nodes share only the keys")
def keys_alone():
    jobs = '"$0"/run/ledger/jobs'
    here = far_away(
        f'there=$(mktemp -d) && cp -r {jobs}/keys "$there" && mount -t tmpfs none "$0"/run '
        f'&& mkdir -p {jobs} && cp -r "$there"/keys {jobs} && rm -r "$there"'
    )
    refused(here, "no worker is left", "it does not see", "choose an output that all workers share")


def far_away(hide):
    """A place of which jobs see only what is left when `hide` was done to the folder $0."""
    here, wrapper = place(), WORK / "far-python"
    do = f"'{hide} && exec \"$@\"'"
    inside = f'{here.folder} {sys.executable} "$@"'
    wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c {do} {inside}\n")
    wrapper.chmod(0o755)
    workflow = here.folder / "w.toml"
    table = f'[cluster.cpu]\npython = "{wrapper}"\n'
    workflow.write_text(workflow.read_text().replace("[cluster.cpu]\n", table))
    return here


@dataclass
class Stormed:
    """A run that is killed at random, and may be gone on with under other options."""

    place: Place
    more: tuple[str, ...] = ()
    starts: int = 0

    def start(self):
        self.place.start(*self.more)
        self.starts += 1

    def start_otherwise(self, rng):
        """After a while, with options drawn anew."""
        time.sleep(rng.uniform(0, 5))
        self.more = rng.choice(((), OTHER, FACES))
        self.start()

    @property
    def client(self):
        return self.place.clients[-1]

    def code(self):
        return self.client.poll()

    def said(self):
        return self.place.said()

    def is_at_work(self):
        return bool(in_queue())

    def judge(self):
        self.place.until(lambda: not in_queue())
        same(self.place, MIDDLE, self.more)


def kill_process(run, rng):
    """SIGKILL of a process of a job: batch script, nanny or worker"""
    jobs, found = running(), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SLURM_JOB_ID") in jobs:
                found.append(process)
    with suppress(psutil.NoSuchProcess):
        if found:
            rng.choice(found).kill()
            return True
    return False


def cancel_job(run, rng):
    """scancel of a job"""
    jobs = in_queue()
    if jobs:
        sh("scancel", rng.choice(jobs).split()[0])
    return bool(jobs)


def cancel_jobs(run, rng):
    """scancel of all jobs"""
    jobs = [job.split()[0] for job in in_queue()]
    if jobs:
        sh("scancel", *jobs)
    return bool(jobs)


def take_node(run, rng):
    """node DOWN and back"""
    node = rng.choice(("n1", "n2"))
    sh("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    time.sleep(rng.uniform(0.5, 5))
    resume(node)
    return True


def kill_client(run, rng):
    """SIGKILL of the client, then started again"""
    run.client.kill()
    run.client.wait()
    run.start_otherwise(rng)
    return True


def terminate_client(run, rng):
    """SIGTERM of the client, then started again"""
    run.client.terminate()
    # -15: it had just been started, and Python was not yet there to handle the signal
    if run.client.wait(PATIENCE_S) not in (0, 128 + signal.SIGTERM, -signal.SIGTERM):
        raise Wrong(f"exit code {run.code()} after SIGTERM: {run.said()[-1500:]}")
    run.start_otherwise(rng)
    return True


def kill_controller(run, rng):
    """SIGKILL of slurmctld, then started again"""
    number = WORK.parent / "slurm/pids/slurmctld.pid"
    if not number.exists():  # a SLURM of somebody else
        return False
    os.kill(int(number.read_text()), signal.SIGKILL)
    time.sleep(rng.uniform(0.5, 8))
    subprocess.run(["slurmctld"], check=True)
    run.place.until(lambda: not subprocess.run(["sinfo"], capture_output=True).returncode)
    return True


KILLS = (
    *(kill_process, cancel_job, cancel_jobs, take_node),
    *(kill_client, terminate_client, kill_controller),
)


@scenario("chaos: killed at random")
def chaos():
    def begin(rng):
        run = Stormed(place(MIDDLE))
        run.start()
        return run

    done = Storm(begin, KILLS, AT_RANDOM["seed"]).rage(AT_RANDOM["kills"])
    print(f"  {done.total()} kills, 0 differences: {table(done)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="parts of names; all without")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--untimed", action="store_true", help="no undisturbed run to compare with")
    parser.add_argument("--kills", type=int, default=10, help="of the scenario chaos")
    parser.add_argument("--seed", type=int, default=1, help="of the scenario chaos")
    given = parser.parse_args()
    AT_RANDOM.update(kills=given.kills, seed=given.seed)
    if given.list:
        print("\n".join(SCENARIOS))
        return 0
    parts = given.names or [""]
    chosen = dict.fromkeys(name for part in parts for name in SCENARIOS if part in name)
    return sum(judged(name, timed=not given.untimed) for name in chosen)


def judged(name, *, timed):
    """Whether a scenario went wrong; one line on it."""
    compared = timed and not name.startswith(("bad", "cluster", "walltime", "chaos"))
    try:
        usual = undisturbed(SHORT) if compared else 0.0
        began = time.monotonic()
        SCENARIOS[name]()
        seconds = time.monotonic() - began
    except Exception as error:
        told = error if isinstance(error, Wrong) else traceback.format_exc()
        print(f"WRONG {name}: {told}", flush=True)
        for job in in_queue():
            with suppress(subprocess.CalledProcessError):
                sh("scancel", job.split()[0])
        return 1
    extra = f", {seconds - usual:+.0f} s against undisturbed ({usual:.0f} s)" if usual else ""
    print(f"ok    {name}: {seconds:.0f} s{extra}", flush=True)
    return 0


WORK = Path(os.environ.get("CLUSTER_DIR", ".cluster")).resolve() / "scenarios"

if __name__ == "__main__":
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    sys.exit(main())
