"""An API server of a few lines: what it is told to have, and what it was asked."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from volproc.engine.clusters.kubernetes import api_server
from volproc.engine.clusters.kubernetes.api_server import ApiServer

DASK, CORE = "/apis/kubernetes.dask.org/v1", "/api/v1"


@dataclass
class FakeServer:
    """Objects by plural, answers that refuse by method and plural, and the calls that came."""

    objects: dict = field(default_factory=lambda: {"daskclusters": [], "pods": [], "events": []})
    refusals: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    created: list = field(default_factory=list)
    deleted: list = field(default_factory=list)

    def answer(self, method, path, query, body):
        """Status and content of the answer to a call."""
        if path == "/version":
            return 200, {"gitVersion": "v1.33.0"}
        _, _, _, *words = path.removeprefix(DASK).removeprefix(CORE).split("/")
        plural, name, *rest = [*words, ""]
        what = "/".join([plural, *(word for word in rest if word)])
        self.calls.append((method, what))
        if (method, what) in self.refusals:
            return self.refusals[method, what]
        if method == "POST":
            self.created.append((query.get("dryRun", [""])[0], body))
            return 201, body
        there = self.objects[plural]
        if method == "DELETE":
            self.deleted.append(name)
            self.objects[plural] = [one for one in there if one["metadata"]["name"] != name]
            return 200, {}
        if rest[:1] == ["log"]:
            return 200, "the last line"
        if name:
            found = [one for one in there if one["metadata"]["name"] == name]
            return (200, found[0]) if found else (404, {"message": f'{plural} "{name}" not found'})
        wanted = query.get("labelSelector", [""])[0]
        return 200, {"items": [one for one in there if _has(one, wanted)]}


def _has(one, selector):
    key, equals, value = selector.partition("=")
    return not equals or one["metadata"].get("labels", {}).get(key) == value


@pytest.fixture
def fake():
    return FakeServer()


@pytest.fixture
def api(fake, tmp_path, monkeypatch):
    """The client of a server that is a FakeServer, in the namespace "lab"."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            url = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            path = url.path.rstrip("/")
            code, content = fake.answer(self.command, path, parse_qs(url.query), body)
            self.send_response(code)
            self.end_headers()
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = handle_one

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        use_kubeconfig(tmp_path, monkeypatch, f"http://127.0.0.1:{server.server_port}")
        with ApiServer("lab") as api:
            yield api
        server.shutdown()
        thread.join()


def use_kubeconfig(folder, monkeypatch, address):
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": {"token": "word"}}],
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(api_server, "OWN_NAMESPACE", folder / "none")


def pod(name="pod", *, kind="worker", ready=False, restarts=0, last=None, **more):
    """A pod as the API server tells of it; `waiting`: reason and message, `node`: why none."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    if "node" in more:
        told = {"reason": "Unschedulable", "message": more["node"]}
        conditions.append({"type": "PodScheduled", "status": "False", **told})
    reason, message = more.get("waiting", ("", ""))
    container = {
        "image": "volproc:0",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}} if reason else {},
        "lastState": {"terminated": last} if last else {},
    }
    labels = {"dask.org/component": kind, "dask.org/cluster-name": more.get("cluster", "one")}
    return {
        "metadata": {"name": name, "labels": labels, **more.get("metadata", {})},
        "status": {"conditions": conditions, "containerStatuses": [container]},
    }
