"""A node of a real Kubernetes API server whose pods are processes of this machine, for tests.

No images and no isolation: a container is its command, run with its environment, probes, restarts
and logs. What else a pod may meet is there too: an image that nobody has, a resource that the node
lacks, a Secret that is missing, a container that keeps ending. Each pod has a loopback address of
its own, at which a Dask scheduler in it listens; names of Services lead there, by /etc/hosts.

process_kubelet.py FOLDER BIN     FOLDER/pods has the logs; BIN is where commands are looked up
"""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from socket import create_connection

from kubernetes import client, config, watch
from urllib3.util import Retry
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection

NODE = "process-node"
IMAGES = "volproc:"
"""Images that the node has begin so; of volproc:TAG Python finds FOLDER/images/TAG first."""
MARK = "# process_kubelet"
HOSTS = Path("/etc/hosts")
HAS = {"cpu": "64", "memory": "64Gi", "pods": "110", "example.org/gpu": "1"}
"""What the node has; the GPU is none."""
GRACE_S = 8
BACKOFF_S = 2
"""Before a container is started again; real nodes wait 10 s, 20 s, 40 s, ..."""

folder, binaries = Path(sys.argv[1]).resolve(), sys.argv[2]
config.load_kube_config()
settings = client.Configuration.get_default_copy()
# the API server may be away for a while
settings.retries = Retry(
    connect=120, read=5, other=5, backoff_factor=0.2, backoff_max=1, allowed_methods=None
)
v1 = client.CoreV1Api(client.ApiClient(settings))
processes: dict[str, subprocess.Popen] = {}
seen: set[tuple[str, bool]] = set()
pods: dict[tuple[str, str], Pod] = {}
numbers = itertools.count(1)
stopped = threading.Event()


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def log_path(namespace: str, name: str, *, previous: bool = False) -> Path:
    return folder / "pods" / f"{namespace}_{name}.log{'.previous' if previous else ''}"


class Pod:
    """A pod that was given to this node."""

    def __init__(self, pod) -> None:
        self.namespace, self.name = pod.metadata.namespace, pod.metadata.name
        self.uid, self.spec = pod.metadata.uid, pod.spec
        self.container = pod.spec.containers[0]
        self.labels = pod.metadata.labels or {}
        number = next(numbers)
        self.address = f"127.1.{number // 250}.{number % 250 + 1}"
        self.restarts, self.last = 0, None
        pods[self.namespace, self.name] = self

    def run(self) -> None:
        """From Pending to its end."""
        if why := self.unschedulable():
            self.tell("Pending", scheduled=why)
            return
        binding = {"metadata": {"name": self.name}, "target": {"kind": "Node", "name": NODE}}
        with suppress(client.ApiException):
            v1.create_namespaced_binding(self.namespace, binding, _preload_content=False)
        if not self.container.image.startswith(IMAGES):
            said = f'Back-off pulling image "{self.container.image}": not found'
            self.tell("Pending", waiting=("ImagePullBackOff", said))
            return
        while not stopped.is_set() and self.once():
            self.tell("Running", waiting=("CrashLoopBackOff", "back-off restarting container"))
            time.sleep(BACKOFF_S)

    def unschedulable(self) -> str:
        asked = (self.container.resources and self.container.resources.requests) or {}
        missing = [name for name in asked if name not in HAS]
        return f"0/1 nodes are available: 1 Insufficient {missing[0]}." if missing else ""

    def once(self) -> bool:
        """Run the container; whether it is to be started again."""
        try:
            environment = self.environment()
        except client.ApiException as error:
            said = json.loads(error.body)["message"].replace("secrets", "secret")
            self.tell("Pending", waiting=("CreateContainerConfigError", said))
            return False
        command = [
            re.sub(r"\$\((\w+)\)", lambda m: environment.get(m[1], m[0]), word)
            for word in [*(self.container.command or []), *(self.container.args or [])]
        ]
        if command[:2] == ["dask", "scheduler"]:  # elsewhere it has all addresses of its pod
            at = re.compile("^:")
            command = [*(at.sub(f"{self.address}:", word) for word in command), "--host"]
            command.append(self.address)
        path = log_path(self.namespace, self.name)
        if path.exists():
            path.rename(log_path(self.namespace, self.name, previous=True))
        with path.open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        processes[self.uid] = process
        (folder / "pods" / f"{self.name}.pid").write_text(str(process.pid))
        print("start", self.name, process.pid, " ".join(command)[:120], flush=True)
        self.tell("Running", running=True, ready=not self.container.readiness_probe)
        if self.container.readiness_probe and self.answers(process):
            self.tell("Running", running=True, ready=True)
        code = process.wait()
        with suppress(ProcessLookupError):  # nothing of a container outlives its first process
            os.killpg(process.pid, signal.SIGKILL)
        if stopped.is_set() or self.uid not in processes:
            return False
        code = 128 - code if code < 0 else code
        reason = "Error" if code else "Completed"
        self.last = {"exitCode": code, "reason": reason, "finishedAt": now()}
        print("exit", self.name, code, flush=True)
        again = self.spec.restart_policy == "Always" or (
            self.spec.restart_policy == "OnFailure" and code
        )
        if again:
            self.restarts += 1
            return True
        self.tell("Failed" if code else "Succeeded", ended=self.last)
        return False

    def answers(self, process: subprocess.Popen) -> bool:
        """Wait until the container answers its probe; whether it does."""
        probe = self.container.readiness_probe.http_get
        port = probe.port
        if isinstance(port, str):
            port = next(one.container_port for one in self.container.ports if one.name == port)
        while process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"http://{self.address}:{port}{probe.path}", timeout=2)
                return True
            time.sleep(0.3)
        return False

    def environment(self) -> dict[str, str]:
        image = folder / "images" / self.container.image.removeprefix(IMAGES)
        found = {
            **os.environ,
            "PYTHONPATH": f"{image}:{os.environ.get('PYTHONPATH', '')}",
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOSTNAME": self.name,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
        for source in self.container.env_from or []:
            secret = v1.read_namespaced_secret(source.secret_ref.name, self.namespace)
            found |= {key: base64.b64decode(value).decode() for key, value in secret.data.items()}
        fields = {"metadata.name": self.name, "metadata.namespace": self.namespace}
        for one in self.container.env or []:
            if one.value_from and one.value_from.field_ref:
                found[one.name] = fields[one.value_from.field_ref.field_path]
            elif not one.value_from:
                found[one.name] = one.value or ""
        return found

    def tell(
        self, phase, *, ready=False, running=False, waiting=None, ended=None, scheduled=""
    ) -> None:
        """Tell the API server how the pod is."""
        conditions = [
            {"type": "PodScheduled", "status": "False" if scheduled else "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ]
        if scheduled:
            conditions[0] |= {"reason": "Unschedulable", "message": scheduled}
        state = {
            "running": {"startedAt": now()} if running else None,
            "waiting": {"reason": waiting[0], "message": waiting[1]} if waiting else None,
            "terminated": ended,
        }
        status = {
            "name": self.container.name,
            "image": self.container.image,
            "imageID": "",
            "ready": ready,
            "started": running,
            "restartCount": self.restarts,
            "state": state,
            "lastState": {"terminated": self.last} if self.last else {},
        }
        body = {
            "phase": phase,
            "podIP": "10.244.0.1",
            "hostIP": "127.0.0.1",
            "startTime": now(),
            "conditions": conditions,
            "containerStatuses": [] if scheduled else [status],
        }
        with suppress(client.ApiException):
            v1.patch_namespaced_pod_status(self.name, self.namespace, {"status": body})


def end(uid: str) -> None:
    """End the process of a pod, as a node does: asked first, killed then."""
    process = processes.pop(uid, None)
    if process is None or process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def delete(namespace: str, name: str, uid: str) -> None:
    end(uid)
    pods.pop((namespace, name), None)
    print("deleted", name, flush=True)
    with suppress(client.ApiException):
        v1.delete_namespaced_pod(name, namespace, grace_period_seconds=0)


def follow_pods() -> None:
    while not stopped.is_set():
        with suppress(Exception):  # the API server restarts, a watch ends
            for event in watch.Watch().stream(v1.list_pod_for_all_namespaces, timeout_seconds=60):
                follow(event["type"], event["object"])


def follow(kind: str, pod) -> None:
    namespace, name, uid = pod.metadata.namespace, pod.metadata.name, pod.metadata.uid
    leaving = pod.metadata.deletion_timestamp is not None
    if kind == "DELETED":
        end(uid)
    elif (uid, leaving) not in seen:
        seen.add((uid, leaving))
        target, given = (delete, (namespace, name, uid)) if leaving else (Pod(pod).run, ())
        threading.Thread(target=target, args=given, daemon=True).start()


def follow_services() -> None:
    before = None
    while not stopped.wait(0.3):
        with suppress(Exception):
            found = sorted(
                (f"{one.metadata.name}.{one.metadata.namespace}", address_of(one))
                for one in v1.list_service_for_all_namespaces().items
                if one.metadata.name != "kubernetes"
            )
            if found != before:
                write_hosts(found)
                before = found


def address_of(service) -> str:
    """The address of the newest pod of a Service."""
    chosen = (service.spec.selector or {}).items()
    behind = [pod for pod in list(pods.values()) if chosen and chosen <= pod.labels.items()]
    return behind[-1].address if behind else "127.0.0.1"


def write_hosts(names: list[tuple[str, str]]) -> None:
    lines = [line for line in HOSTS.read_text().splitlines() if MARK not in line]
    lines += [f"{to} {name} {name}.svc {name}.svc.cluster.local {MARK}" for name, to in names]
    HOSTS.write_text("\n".join(lines) + "\n")


class Kubelet(http.server.BaseHTTPRequestHandler):
    """What the API server asks a node for: logs, and connections to ports of pods."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        _, what, namespace, name, *_ = path.split("/")
        if what == "portForward":
            port = int(re.findall(r"ports?=(\d+)", query)[0])
            self.forward(pods[namespace, name].address, port)
            return
        log = log_path(namespace, name, previous="previous=true" in query)
        lines = int((re.findall(r"tailLines=(\d+)", query) or ["1000"])[0])
        found = what == "containerLogs" and log.exists()
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(b"\n".join(log.read_bytes().splitlines()[-lines:]))

    def forward(self, address: str, port: int) -> None:
        """A WebSocket to a port: each message is a byte for its channel, 0, and data."""
        self.close_connection = True
        headers = [(key.encode(), value.encode()) for key, value in self.headers.items()]
        socket = WSConnection(ConnectionType.SERVER)
        socket.initiate_upgrade_connection(headers, self.path)
        sending = threading.Lock()

        def send(event: object) -> None:
            with sending:
                self.connection.sendall(socket.send(event))

        send(AcceptConnection())
        with create_connection((address, port)) as pod:
            for channel in (0, 1):  # the first message of each tells its port
                send(BytesMessage(bytes([channel]) + port.to_bytes(2, "little")))
            threading.Thread(target=copied, args=(pod, send), daemon=True).start()
            parts = b""
            with suppress(OSError):
                while data := self.connection.recv(1 << 16):
                    socket.receive_data(data)
                    for event in socket.events():
                        if isinstance(event, BytesMessage):
                            parts += event.data
                            if event.message_finished:
                                pod.sendall(parts[1:])
                                parts = b""
                        elif isinstance(event, CloseConnection):
                            return

    def log_message(self, *_: object) -> None:
        pass


def copied(pod, send) -> None:
    """What a pod says, as messages of channel 0."""
    with suppress(OSError):
        while data := pod.recv(1 << 16):
            send(BytesMessage(b"\0" + data))
        send(CloseConnection(code=1000))


def serve() -> int:
    """Answer the API server; the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pki/api.crt", folder / "pki/api.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def register(port: int) -> None:
    """Make the node known."""
    ready = {"type": "Ready", "status": "True", "reason": "ProcessKubelet"}
    times = {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
    status = {
        "capacity": HAS,
        "allocatable": HAS,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{**ready, **times}],
    }
    with suppress(client.ApiException):  # it is there from before
        v1.create_node({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    v1.patch_node_status(NODE, {"status": status})


if __name__ == "__main__":
    (folder / "pods").mkdir(exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    register(serve())
    for follows in (follow_pods, follow_services):
        threading.Thread(target=follows, daemon=True).start()
    print("up", flush=True)
    stopped.wait()
    for one in list(processes):
        end(one)
    write_hosts([])
