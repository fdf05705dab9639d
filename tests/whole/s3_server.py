"""An S3 server on this machine: what tests ask of it, and a gate before it that can fail."""

import http.client
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec

SECRET = "not-to-be-seen-anywhere"
KEPT_OUT = {"connection", "transfer-encoding", "keep-alive"}
FULL = b"<Error><Code>QuotaExceeded</Code><Message>The quota is used up</Message></Error>"


def tell(server, what, value=""):
    """Something that moto's server does besides being an S3 server."""
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{server}/moto-api/{what}", value.encode(), plain)
    urllib.request.urlopen(request).close()


def content(url):
    """Every object or file below `url`: its name there, and its bytes."""
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.invalidate_cache()
    return {name.removeprefix(root): filesystem.cat_file(name) for name in filesystem.find(root)}


class Gate:
    """Stands before a server. Closed, nobody listens there; `full` refuses all that is new."""

    def __init__(self, server):
        self.behind = server.removeprefix("http://")
        self.full = False
        self.refused = 0
        self._listening = None
        self._port = 0
        self.open()

    @property
    def url(self):
        """Its address, also while it is closed."""
        return f"http://127.0.0.1:{self._port}"

    def open(self):
        """Listen, at the address it had before."""
        if self._listening is None:
            handler = type("Handler", (_Passing,), {"gate": self})
            self._listening = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
            self._port = self._listening.server_port
            Thread(target=self._listening.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        """Listen no more, and drop whoever is connected at the next request."""
        if self._listening is not None:
            gone, self._listening = self._listening, None
            gone.shutdown()
            gone.server_close()

    def fill(self):
        """From now on there is no room."""
        self.full = True

    @property
    def is_open(self):
        """Whether it lets anybody in."""
        return self._listening is not None


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self):
        if not self.gate.is_open:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.gate.full and self.command in ("PUT", "POST"):
            self.gate.refused += 1
            self._reply(507, {"Content-Type": "application/xml"}, FULL)
            return
        behind = http.client.HTTPConnection(self.gate.behind)
        behind.request(self.command, self.path, body, dict(self.headers))
        reply = behind.getresponse()
        self._reply(reply.status, dict(reply.getheaders()), reply.read())
        behind.close()

    def _reply(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in KEPT_OUT | {"content-length"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def log_message(self, *_):
        """Nothing."""
