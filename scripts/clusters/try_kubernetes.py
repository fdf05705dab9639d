"""Workflows in pods of a real Kubernetes API server: disturbed, refused, and nothing left behind.

The API server, its controllers, the Dask operator and the rights are real; a node of it runs pods
as processes of this machine (process_kubelet.py). Every result must be that of a run without a
cluster, byte by byte. volproc runs with the rights that docs/clusters.md lists, and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from storm import Storm, Wrong, table

ROOT = Path(__file__).resolve().parents[2]
HERE, SMALL = ROOT / "scripts/clusters", ROOT / "tests/whole/small.py"
PATIENCE_S, LONG_S = 240, 900
BACKOFF_LIMIT = 30
"""Of the Job of a client: deploy/kubernetes has 6, but here it may be killed more often."""
RUNS = ("run", "workflow.toml", "--quiet")
RESULTS = ("image.zarr", "prediction.zarr", "votes.zarr", "objects.zarr", "objects.csv")
CLUSTER = """
[cluster.cpu]
jobs = 2
memory_gb = 3
[cluster.kubernetes]
namespace = "volproc"
image = "volproc:test"
environment_secret = "volproc-bucket"
"""
WORKFLOW = """
[run]
source = "../phantom.tif"
folder = "run"
[ingest]
voxel_nm = [50, 20, 20]
[predict]
model = "../tiny"
tile = [16, 40, 40]
block = [16, 40, 40]
[label]
block = [16, 24, 60]
min_volume_um3 = 0.001
[report]
slices = 1
[cluster]
kind = "{kind}"
"""
INPUTS = """
import tifffile, torch
from pathlib import Path
from volproc import PhantomOptions, phantom
from volproc.volume.store import open_volume
from tests.conftest import card_for
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import save_model
phantom("phantom.zarr", PhantomOptions(shape=(16, 300, 300), voxel_nm=(50, 20, 20), seed=4))
volume = open_volume("phantom.zarr")
tifffile.imwrite("phantom.tif", volume.read(volume.info.box))
torch.manual_seed(1)
spec = UNetSpec(slices_in=6, slices_out=4, widths=(6, 8), stem=2)
network = UNet(spec).eval()
for part in network.modules():  # as if trained: no running mean of 0 and spread of 1
    if isinstance(part, torch.nn.BatchNorm2d):
        part.running_mean.uniform_(-0.5, 0.5)
        part.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(part.weight, 0.5, 2)
save_model(Path("tiny"), network, card_for(spec, name="tiny", voxel_nm=(50, 50, 50)))
"""
ROLE = {
    "kubernetes.dask.org": {"daskclusters": ["create", "list", "delete", "patch"]},
    "": {"pods": ["get", "list"], "pods/log": ["get"], "events": ["list"]},
}


class Failed(Exception):
    """A trial did not end as it must."""


def require(fact: object, said: object = "") -> None:
    if not fact:
        raise Failed(str(said))


def until(fact: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    end = time.monotonic() + within_s
    while not fact():
        require(time.monotonic() < end, f"{what}: not within {within_s} s")
        time.sleep(0.2)


class Cluster:
    """The API server with the operator and a node, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, folder / "server"
        self._started: dict[str, subprocess.Popen] = {}
        self._read = 0
        """Where the log of what was started last begins: after the first time, the operator's."""

    def up(self) -> None:
        run([HERE / "kubernetes_up", self.server, "up"])
        os.environ["KUBECONFIG"] = str(self.server / "kubeconfig")
        self.install_operator()
        self.kubectl("create", "namespace", "volproc")
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": verbs}
            for group, resources in ROLE.items()
            for resource, verbs in resources.items()
        ]
        rights = "rbac.authorization.k8s.io"
        self.apply(f"{rights}/v1", "Role", "volproc", rules=rules)
        self.apply(
            f"{rights}/v1",
            "RoleBinding",
            "volproc",
            subjects=[{"kind": "User", "name": "volproc", "apiGroup": rights}],
            roleRef={"kind": "Role", "name": "volproc", "apiGroup": rights},
        )
        self.apply("v1", "Secret", "volproc-bucket", stringData={"AWS_ACCESS_KEY_ID": "key"})
        self._images()
        for name in self._commands():
            self.start(name)
        until(lambda: "process-node" in self.kubectl("get", "nodes"), "the node")

    def _commands(self) -> dict[str, list]:
        binaries = Path(sys.executable).parent
        operator = "dask_kubernetes.operator.controller"
        return {
            "node": [sys.executable, HERE / "process_kubelet.py", self.server, binaries],
            "operator": [binaries / "kopf", "run", "-m", operator, "--all-namespaces"],
        }

    def start(self, name: str) -> None:
        """Start the node or the operator."""
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        log = (self.folder / f"{name}.log").open("a")
        self._read = log.tell()
        self._started[name] = subprocess.Popen(
            self._commands()[name], env=environment, stdout=log, stderr=log
        )

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End the node or the operator."""
        self._started[name].send_signal(number)
        self._started[name].wait()

    def api_server_away(self, seconds: float) -> None:
        """SIGKILL of the API server; it is started again after so long."""
        number = self.server / "apiserver.pid"
        process = psutil.Process(int(number.read_text()))
        command, folder = process.cmdline(), process.cwd()
        process.kill()
        time.sleep(seconds)
        log = (self.server / "apiserver.log").open("a")
        again = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        number.write_text(str(again.pid))
        ready = ["kubectl", "get", "--raw", "/readyz"]
        until(
            lambda: not subprocess.run(ready, capture_output=True).returncode,
            "API server",
            within_s=LONG_S,
        )

    def revive_operator(self) -> None:
        """Start the operator again if it came up while the API server was away.

        It knows no kinds then and does not look for them again; a liveness probe would end it.
        """
        if "Unresolved resources" in (self.folder / "operator.log").read_text()[self._read :]:
            self.end("operator")
            self.start("operator")

    def _images(self) -> None:
        """Images that differ from the client: another version, one whose Python is broken, and one
        that takes its pod to have a GPU."""
        other = self.server / "images/other"
        shutil.copytree(ROOT / "src/volproc", other / "volproc")
        init = other / "volproc/__init__.py"
        init.write_text(re.sub(r'(__version__.*?=) ".*"', r'\1 "9.9"', init.read_text(), count=1))
        gpu = self.server / "images/gpu"
        shutil.copytree(ROOT / "src/volproc", gpu / "volproc")
        machine = gpu / "volproc/engine/machine.py"
        machine.write_text(machine.read_text().replace("torch.cuda.device_count()", "1"))
        broken = self.server / "images/broken/sitecustomize.py"
        broken.parent.mkdir()
        broken.write_text("import os\nprint('no such library', flush=True)\nos._exit(3)\n")

    def install_operator(self) -> None:
        """Its kinds; the operator itself is a process."""
        import dask_kubernetes

        chart = "operator/deployment/helm/dask-kubernetes-operator/crds"
        self.kubectl("apply", "-f", str(Path(dask_kubernetes.__file__).parent / chart))

    def down(self) -> None:
        for name in reversed(self._started):
            self.end(name)
        run([HERE / "kubernetes_up", self.server, "down"])

    def kubectl(self, *words: str, given: str = "") -> str:
        return run(["kubectl", "-n", "volproc", *words], given=given)

    def apply(self, version: str, kind: str, name: str, **more: object) -> None:
        what = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}
        self.kubectl("apply", "-f", "-", given=json.dumps(what))

    def objects(self, kinds: str = "pods,daskclusters,daskworkergroups,deployments") -> list[dict]:
        return json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]

    def pods(self, kind: str) -> list[str]:
        """Pods of schedulers, workers or clients that run, without those being deleted."""
        return [
            pod["metadata"]["name"]
            for pod in self.objects("pods")
            if pod["metadata"].get("labels", {}).get("dask.org/component", "client") == kind
            and pod["status"].get("phase") == "Running"
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def kill(self, pod: str) -> None:
        """SIGKILL for all processes of a pod."""
        os.killpg(int((self.server / f"pods/{pod}.pid").read_text()), signal.SIGKILL)

    def require_nothing_left(self) -> None:
        until(
            lambda: not [o for o in self.objects() if "client" not in o["metadata"]["name"]],
            "gone",
            within_s=LONG_S,
        )


def run(command: list, *, given: str = "", **more: object) -> str:
    ended = subprocess.run(
        [str(word) for word in command], input=given, capture_output=True, text=True, **more
    )
    require(ended.returncode == 0, f"{command}: {ended.stderr}")
    return ended.stdout


class Trial:
    """A workflow in a folder of its own."""

    def __init__(self, cluster: Cluster, name: str, more: str = CLUSTER) -> None:
        self.cluster, self.name = cluster, name
        self.folder = cluster.folder / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        kind = "kubernetes" if more else "serial"
        (self.folder / "workflow.toml").write_text(WORKFLOW.format(kind=kind) + more)

    def environment(self, user: str = "volproc") -> dict[str, str]:
        """That of a pod, for the client."""
        return {
            "PYTHONPATH": str(ROOT / "src"),
            "KUBECONFIG": str(self.cluster.server / f"{user}.kubeconfig"),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        }

    def client(self, *, without: tuple[str, ...] = (), **more: str) -> subprocess.Popen:
        """volproc as a process outside of any pod, which finds names of Services, as in one."""
        environment = os.environ | self.environment() | {"HOSTNAME": "elsewhere"} | more
        for name in without:
            del environment[name]
        return subprocess.Popen(
            [sys.executable, SMALL, *RUNS],
            cwd=self.folder,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def submit(self) -> None:
        """volproc in a pod of a Job."""
        words = " ".join(map(str, (sys.executable, SMALL, *RUNS)))
        variables = [{"name": key, "value": value} for key, value in self.environment().items()]
        container = {
            "name": "volproc",
            "image": "volproc:test",
            "command": ["sh", "-c", f"cd {self.folder} && exec {words}"],
            "env": variables,
        }
        pod = {"restartPolicy": "Never", "containers": [container]}
        job = {"backoffLimit": BACKOFF_LIMIT, "template": {"spec": pod}}
        self.cluster.apply("batch/v1", "Job", f"client-{self.name}", spec=job)

    def status(self) -> dict:
        text = self.cluster.kubectl("get", "job", f"client-{self.name}", "-o", "json")
        return json.loads(text).get("status", {})

    def ended(self) -> None:
        """Wait until the Job has done its work, and remove it."""
        until(lambda: self.status().get("succeeded") or self.status().get("completionTime"), "job")
        self.cluster.kubectl("delete", "job", f"client-{self.name}")

    def events(self, kind: str) -> list[dict]:
        log = self.folder / "run/log.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        with suppress(ValueError):  # a line is being written
            return [e for e in map(json.loads, lines) if e["event"] == kind]
        return []

    def blocks(self) -> int:
        return len(self.events("BlockDone"))

    def require_same(self) -> None:
        """Fails unless the results are those of the undisturbed run without a cluster."""
        for name in RESULTS:
            one, other = (
                files(self.cluster.folder / run / "run" / name) for run in ("alone", self.name)
            )
            require(one and one == other, f"{name} differs")


def files(path: Path) -> dict[str, bytes]:
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(one.relative_to(path)): one.read_bytes() for one in found if one.is_file()}


def two_pods(cluster: Cluster) -> None:
    """Two pods, undisturbed."""
    trial = Trial(cluster, "two-pods")
    trial.submit()
    until(lambda: len(cluster.pods("worker")) == 2, "two workers")
    owner = cluster.objects("daskclusters")[0]["metadata"]["ownerReferences"][0]
    require(owner["kind"] == "Pod" and owner["name"].startswith("client-"), owner)
    trial.ended()
    trial.require_same()


def two_pools(cluster: Cluster) -> None:
    """Pods for steps on CPUs and one for those on GPUs, which computes on the CPU: both at once."""
    pools = CLUSTER.replace(":test", ":gpu").replace("jobs = 2", "jobs = 1") + (
        'gpu_resource = "example.org/gpu"\n'
        "[cluster.gpu]\njobs = 1\ngpus_per_job = 1\nmemory_gb = 6\nask_ahead_minutes = 60\n"
    )
    trial = Trial(cluster, "two-pools", pools)
    trial.submit()
    until(lambda: len(cluster.pods("scheduler")) == len(cluster.pods("worker")) == 2, "both")
    names = sorted(one["metadata"]["name"][:12] for one in cluster.objects("daskclusters"))
    require(names == ["volproc-cpu-", "volproc-gpu-"], names)
    trial.ended()
    trial.require_same()
    hosts = {
        step: {e["worker"] for e in trial.events("BlockDone") if e["step"] == step}
        for step in ("predict", "label")
    }
    require(hosts["predict"] and not hosts["predict"] & hosts["label"], hosts)


def manifests(cluster: Cluster) -> None:
    """The server takes those of deploy/kubernetes and keeps every field (a dry run)."""
    known = cluster.kubectl("kustomize", str(ROOT / "deploy/kubernetes"))
    more = (ROOT / "deploy/kubernetes/daskjob.yaml").read_text()
    # kubectl's own validation would refuse what the server does not know
    how = ("apply", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-")
    for sent in filter(None, yaml.safe_load_all(f"{known}\n---\n{more}")):
        kept = json.loads(cluster.kubectl(*how, given=json.dumps(sent)))
        lost = set(missing(sent, kept, sent["kind"])) - NEWER
        require(not lost, f"dropped by the server: {lost}")
        print(f"     {sent['kind']} {sent['metadata']['name']}")


NEWER = {"Job.spec.podFailurePolicy"}
"""Fields that came after this server, 1.20."""


def missing(sent: object, kept: object, where: str) -> Iterator[str]:
    """Fields of an object that another has not, or has otherwise."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key, value in sent.items():
            if key not in kept:
                yield f"{where}.{key}"
            else:
                yield from missing(value, kept[key], f"{where}.{key}")
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for n, (one, other) in enumerate(zip(sent, kept, strict=True)):
            yield from missing(one, other, f"{where}[{n}]")
    elif sent != kept:
        yield f"{where}: {sent} became {kept}"


def pod_deleted(cluster: Cluster) -> None:
    """A worker's pod is deleted in mid-run, as when its node is taken away."""
    trial = disturbed(cluster, "pod-deleted")
    gone = cluster.pods("worker")[0]
    cluster.kubectl("delete", "pod", gone, "--wait=false")
    until(lambda: len(cluster.pods("worker")) == 2, "another pod")
    trial.ended()
    trial.require_same()


def worker_killed(cluster: Cluster) -> None:
    """A worker is killed; its pod stays and starts it again."""
    trial = disturbed(cluster, "worker-killed")
    cluster.kill(cluster.pods("worker")[0])
    trial.ended()
    trial.require_same()


def scheduler_killed(cluster: Cluster) -> None:
    """The scheduler is killed: the client ends with 1, and its Job starts it again."""
    trial = disturbed(cluster, "scheduler-killed")
    cluster.kill(cluster.pods("scheduler")[0])
    trial.ended()
    trial.require_same()


def client_killed(cluster: Cluster) -> None:
    """The client is killed; its Job starts another, which removes what the first one left."""
    trial = disturbed(cluster, "client-killed")
    left = [one["metadata"]["name"] for one in cluster.objects("daskclusters")]
    before = trial.blocks()
    cluster.kill(cluster.pods("client")[0])
    until(lambda: left != [o["metadata"]["name"] for o in cluster.objects("daskclusters")], "new")
    until(lambda: trial.blocks() > before + 3, "the next client at work")
    require(len(cluster.objects("daskclusters")) == 1, "two clusters at once")
    trial.ended()
    trial.require_same()
    counted = [(e["step"], e["block"]) for e in trial.events("BlockDone")]
    require(len(counted) - len(set(counted)) < 6, "blocks were done again that were recorded")


def job_deleted(cluster: Cluster) -> None:
    """The Job is deleted in mid-run: with its pod goes all that it made."""
    trial = disturbed(cluster, "job-deleted")
    cluster.kubectl("delete", "job", f"client-{trial.name}", "--wait=false")


def disturbed(cluster: Cluster, name: str) -> Trial:
    """A trial that has begun: two workers are there, and some blocks done."""
    trial = Trial(cluster, name)
    trial.submit()
    until(lambda: len(cluster.pods("worker")) == 2 and trial.blocks() > 8, "at work")
    return trial


def refused(
    cluster: Cluster, name: str, more: str, *words: str, code: int = 2, **user: str
) -> None:
    """The client ends with one line that has these words."""
    with ended(Trial(cluster, name, more).client(**user)) as (found, said):
        lines = [line for line in said.splitlines() if line.startswith("volproc: ")]
        require(found == code and len(lines) == 1, f"{name}: exit code {found}: {said}")
        missing = [word for word in words if word not in lines[0]]
        require(not missing and "Traceback" not in said, f"{name}: {missing} not in {lines[0]}")
        print(f"     {lines[0]}")


@contextmanager
def ended(process: subprocess.Popen) -> Iterator[tuple[int, str]]:
    try:
        said = process.communicate(timeout=PATIENCE_S)[1]
    except subprocess.TimeoutExpired as error:
        process.terminate()
        raise Failed(f"still there after {PATIENCE_S} s: {process.communicate()[1]}") from error
    yield process.returncode, said


def outside(cluster: Cluster) -> None:
    """The client is outside of the cluster: the API server forwards a port to the scheduler."""
    trial = Trial(cluster, "outside")
    user = {"KUBECONFIG": str(cluster.server / "kubeconfig")}
    process = trial.client(without=("KUBERNETES_SERVICE_HOST",), **user)
    with ended(process) as (code, said):
        require(code == 0, said)
    trial.require_same()


def refusals(cluster: Cluster) -> None:
    """What cannot work is one line, before any work where that can be known."""
    image = CLUSTER.replace
    refused(cluster, "image", image("volproc:test", "nowhere:1"), "nowhere:1", "image")
    refused(cluster, "secret", image("-bucket", "-none"), 'secret "volproc-none" not found')
    user = str(cluster.server / "kubeconfig")
    elsewhere = image('"volproc"', '"none"')
    refused(cluster, "space", elsewhere, "no namespace none", "namespace", KUBECONFIG=user)
    user = str(cluster.server / "nobody.kubeconfig")
    refused(cluster, "right", CLUSTER, "cannot create", "daskclusters", KUBECONFIG=user)
    refused(cluster, "config", CLUSTER, "no Kubernetes cluster is known", KUBECONFIG="/none")
    refused(cluster, "broken", image(":test", ":broken"), "exit code 3", "no such library")
    refused(cluster, "other", image(":test", ":other"), "no worker is left", "volproc 9.9")
    wrong = image("jobs = 2", 'queue = "no/queue"')
    refused(cluster, "field", wrong, "[cluster.cpu] queue", "no/queue")
    twice = CLUSTER + 'volumes = ["data:/data", "more:/data"]'
    refused(cluster, "spec", twice, "volumeMounts[1].mountPath", "must be unique")


def waiting(cluster: Cluster) -> None:
    """Pods that wait for a node, or for a quota: the reason is shown; SIGTERM leaves nothing."""
    gpu = CLUSTER.replace("jobs = 2", "jobs = 2\ngpus_per_job = 1")
    waits_for(cluster, "no-gpu", gpu, "Insufficient nvidia.com/gpu")
    cluster.apply("v1", "ResourceQuota", "few", spec={"hard": {"pods": "1"}})
    waits_for(cluster, "quota", CLUSTER, "exceeded quota: few")
    cluster.kubectl("delete", "resourcequota", "few")


def waits_for(cluster: Cluster, name: str, more: str, why: str) -> None:
    trial = Trial(cluster, name, more)
    process = trial.client()
    until(lambda: any(why in event["said"] for event in trial.events("Advanced")), why)
    process.terminate()
    with ended(process) as (code, said):
        require(code == 143, f"exit code {code}: {said}")
    cluster.require_nothing_left()


def no_operator(cluster: Cluster) -> None:
    """A cluster without the operator, then one whose operator does not run."""
    cluster.end("operator")
    waits_for(cluster, "asleep", CLUSTER, "the Dask operator has not made any")
    kinds = ("daskclusters", "daskworkergroups", "daskjobs", "daskautoscalers")
    cluster.kubectl("delete", "crd", *(f"{kind}.kubernetes.dask.org" for kind in kinds))
    with suppress(Failed):
        refused(cluster, "no-operator", CLUSTER, "has no Dask operator")
        return
    refused(cluster, "no-operator", CLUSTER, "has no Dask operator")


@dataclass
class Stormed:
    """A run that is killed at random; its client is a pod of a Job, or a process of its own."""

    cluster: Cluster
    trial: Trial
    in_job: bool
    starts: int = 0
    client: subprocess.Popen | None = None

    def start(self) -> None:
        self.starts += 1
        if self.in_job:
            self.trial.submit()
        else:
            self.client = self.trial.client()

    def code(self) -> int | None:
        self.cluster.revive_operator()
        if not self.in_job:
            return self.client.poll()
        status = self.trial.status()
        failed = any(one["type"] == "Failed" for one in status.get("conditions", ()))
        return 2 if failed else 0 if status.get("succeeded") else None

    def said(self) -> str:
        if not self.in_job:
            return self.client.stderr.read()
        logs = sorted(self.cluster.server.glob(f"pods/*client-{self.trial.name}*.log"))
        return "\n".join(log.read_text() for log in logs)

    def is_at_work(self) -> bool:
        return bool(self.cluster.objects("daskclusters"))

    def judge(self) -> None:
        if self.in_job:
            self.trial.ended()
        self.cluster.require_nothing_left()
        self.trial.require_same()


def a_pod(run: Stormed, rng: random.Random) -> str:
    """A pod of workers, scheduler or client; "" if there is none."""
    kinds = ("worker", "worker", "scheduler", "client")
    pods = [pod for kind in kinds for pod in run.cluster.pods(kind)]
    return rng.choice(pods) if pods else ""


def delete_pod(run: Stormed, rng: random.Random) -> bool:
    """a pod deleted: of a worker, the scheduler or the client"""
    pod = a_pod(run, rng)
    if pod:
        run.cluster.kubectl("delete", "pod", pod, "--wait=false", "--ignore-not-found")
    return bool(pod)


def kill_pod(run: Stormed, rng: random.Random) -> bool:
    """SIGKILL of the processes of a pod: of a worker, the scheduler or the client"""
    with suppress(ProcessLookupError, FileNotFoundError):
        pod = a_pod(run, rng)
        if pod:
            run.cluster.kill(pod)
            return True
    return False


def kill_worker(run: Stormed, rng: random.Random) -> bool:
    """SIGKILL of one process in a worker's pod: its nanny or its worker"""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        pod = rng.choice(run.cluster.pods("worker") or [""])
        first = psutil.Process(int((run.cluster.server / f"pods/{pod}.pid").read_text()))
        rng.choice([first, *first.children(recursive=True)]).kill()
        return True
    return False


def kill_client(run: Stormed, rng: random.Random) -> bool:
    """SIGKILL of the client; its Job starts another, or it is started again"""
    if not run.in_job:
        run.client.kill()
        run.client.wait()
        time.sleep(rng.uniform(0, 5))
        run.start()
        return True
    pods = run.cluster.pods("client")
    with suppress(ProcessLookupError):
        if pods:
            run.cluster.kill(pods[0])
    return bool(pods)


def kill_operator(run: Stormed, rng: random.Random) -> bool:
    """SIGKILL of the Dask operator, then started again"""
    run.cluster.end("operator", signal.SIGKILL)
    time.sleep(rng.uniform(0, 5))
    run.cluster.start("operator")
    return True


def kill_api_server(run: Stormed, rng: random.Random) -> bool:
    """SIGKILL of the API server, then started again"""
    run.cluster.api_server_away(rng.uniform(0, 5))
    return True


KILLS = (delete_pod, kill_pod, kill_worker, kill_client, kill_operator, kill_api_server)
AT_RANDOM = {"kills": 10, "seed": 1}
"""Of the trial `chaos`: set by --kills and --seed."""


def chaos(cluster: Cluster) -> None:
    """Runs that are killed again and again at random."""

    def begin(rng: random.Random) -> Stormed:
        numbers.append(len(numbers))
        trial = Trial(cluster, f"storm-{numbers[-1]}")
        run = Stormed(cluster, trial, in_job=rng.random() < 0.5)
        run.start()
        return run

    numbers: list[int] = []
    done = Storm(begin, KILLS, AT_RANDOM["seed"]).rage(AT_RANDOM["kills"])
    print(f"  {done.total()} kills, 0 differences: {table(done)}")


TRIALS = (
    *(
        two_pods,
        two_pools,
        manifests,
        pod_deleted,
        worker_killed,
        scheduler_killed,
        client_killed,
        job_deleted,
    ),
    *(outside, chaos, refusals, waiting, no_operator),
)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with it
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="all without: " + ", ".join(map(_name, TRIALS)))
    parser.add_argument("--kills", type=int, default=10, help="of the trial chaos")
    parser.add_argument("--seed", type=int, default=1, help="of the trial chaos")
    given = parser.parse_args()
    AT_RANDOM.update(kills=given.kills, seed=given.seed)
    wanted = [trial for trial in TRIALS if not given.names or _name(trial) in given.names]
    failed = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("CLUSTER_DIR")) as folder:
        cluster = Cluster(Path(folder))
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        run([sys.executable, "-c", INPUTS], cwd=folder, env=os.environ | {"PYTHONPATH": paths})
        with ended(Trial(cluster, "alone", "").client()) as (code, said):
            require(code == 0, said)
        try:
            cluster.up()
            for trial in wanted:
                failed += not done(trial, cluster)
        finally:
            cluster.down()
    print(f"{len(wanted)} trials, {failed} failed")
    return 1 if failed else 0


def _name(trial: Callable[[Cluster], None]) -> str:
    return trial.__name__


def done(trial: Callable[[Cluster], None], cluster: Cluster) -> bool:
    began = time.monotonic()
    said = ""
    try:
        trial(cluster)
        if trial is not no_operator:
            cluster.require_nothing_left()
    except (Failed, Wrong) as error:
        said = f": {error}"
    word = "FAILED" if said else "ok"
    print(f"{word:6} {trial.__name__} ({time.monotonic() - began:.0f} s){said}", flush=True)
    return not said


if __name__ == "__main__":
    sys.exit(main())
