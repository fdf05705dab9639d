"""An EMPIAR entry on local servers, http and ftp, that fail as told; they count what is asked.

Connections drop or stall, responses lie, files change.
"""

import json
import threading
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from volproc import FetchOptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it is built on asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import DTPHandler, FTPHandler
    from pyftpdlib.servers import FTPServer

ROOT = "/empiar/world_availability/"
API = "/empiar/api/entry/"
OLD = 1_494_930_731  # 2017-05-16T10:32:11Z


@dataclass
class Fault:
    """What goes wrong with one answer to GET."""

    after: int | None = None
    """Bytes of the body after which it drops, or stalls."""
    stall: bool = False
    status: int = 200
    headers: dict = field(default_factory=dict)
    length: int | None = None
    """The Content-Length it claims; -1 for none."""
    then: object = None
    """Called once the answer is out."""


@dataclass
class Served:
    content: bytes
    date: int = OLD
    version: int = 1

    @property
    def headers(self):
        tag = f'"{len(self.content)}-{self.version}"'
        return {"ETag": tag, "Last-Modified": formatdate(self.date, usegmt=True)}


class HttpArchive:
    """Serves `files` (path -> bytes) as entry 10094, and `entry` as its description."""

    def __init__(self, files, entry=None):
        self.files = {f"{ROOT}10094/{path}": Served(content) for path, content in files.items()}
        self.entry = entry
        self.faults = defaultdict(list)
        """path -> what goes wrong with its GETs, in this order."""
        self.ranges = True
        self.knows_head = True
        self.heads = {}
        """path -> headers that HEAD claims."""
        self.asked = []
        """(method, path, Range) of every request."""
        self.most_at_once = 0
        self.gate = None
        """A barrier at which GETs of files wait for one another."""
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._now = 0

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"archive": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def options(self, **more):
        given = {"timeout_s": 5, "tries": 4, "connections": 3, **more}
        return FetchOptions(api=self.url + API, archive=self.url + ROOT, **given)

    def served(self, path):
        return self.files[f"{ROOT}10094/{path}"]

    def gets(self, path):
        """The Range of every GET of a file, None where all of it was asked for."""
        place = f"{ROOT}10094/{path}"
        return [part for method, asked, part in self.asked if (method, asked) == ("GET", place)]

    def begin(self, method, path, part):
        with self._lock:
            self.asked.append((method, path, part))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def end(self):
        with self._lock:
            self._now -= 1

    def index(self, folder):
        """The page of a folder as Apache's mod_autoindex writes it; None if there is none."""
        inside = {}
        for path, file in self.files.items():
            if path.startswith(folder):
                name, slash, _ = path.removeprefix(folder).partition("/")
                inside[name + slash] = "-" if slash else rounded(len(file.content))
        if not inside:
            return None
        rows = "".join(
            f'<img src="/icons/x.gif" alt="[   ]"> <a href="{quote(name)}">{name[:20]}..&gt;</a>'
            f"  2017-05-16 10:32  {size}  \n"
            for name, size in sorted(inside.items())
        )
        sorting = '<a href="?C=N;O=D">Name</a> <a href="?C=S;O=A">Size</a><hr>'
        above = f'<a href="{ROOT}">Parent Directory</a>  -\n'
        return f"<html><h1>Index of {folder}</h1><pre>{sorting}{above}{rows}</pre></html>".encode()


def rounded(nbytes):
    """A size as Apache writes it."""
    for unit in ("", "K", "M"):
        if nbytes < 1000 or unit == "M":
            return f"{nbytes:.1f}{unit}" if unit and nbytes < 9.95 else f"{nbytes:.0f}{unit}"
        nbytes /= 1024
    return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    archive: HttpArchive

    def do_HEAD(self):
        self._counted(self._head)

    def do_GET(self):
        self._counted(self._get)

    def log_message(self, *_):
        pass

    def _counted(self, answer):
        path = unquote(urlsplit(self.path).path)  # a proxy is asked for whole URLs
        self.archive.begin(self.command, path, self.headers.get("Range"))
        try:
            answer(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.archive.end()

    def _head(self, path):
        served = self.archive.files.get(path)
        if served is None or not self.archive.knows_head:
            self._send(404 if served is None else 405, {"Content-Length": "0"}, b"")
            return
        told = {"Content-Length": str(len(served.content)), **served.headers}
        self._send(200, told | self.archive.heads.get(path, {}), b"")

    def _get(self, path):
        archive = self.archive
        if path == f"{API}10094/" and archive.entry is not None:
            self._whole(200, archive.entry)
        elif path in archive.files:
            if archive.gate:
                archive.gate.wait(10)
            faults = archive.faults[path]
            self._file(archive.files[path], faults.pop(0) if faults else Fault())
        elif path.endswith("/") and (page := archive.index(path)):
            self._whole(200, page)
        else:
            self._whole(404, json.dumps({"detail": "Not found."}).encode())

    def _file(self, served, fault):
        if fault.status != 200:
            self._whole(fault.status, b"no", fault.headers)
            return
        content, headers, status = served.content, served.headers | fault.headers, 200
        start = self._start(served)
        if start is not None and start >= len(content):
            self._whole(416, b"")
            return
        if start is not None:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        if fault.length != -1:
            headers["Content-Length"] = str(len(content) if fault.length is None else fault.length)
        self._send(status, headers, content if fault.after is None else content[: fault.after])
        if fault.then:
            fault.then()
        if fault.stall:
            archive_over = self.archive.over
            archive_over.wait(10)
        self.close_connection = fault.after is not None or fault.length is not None

    def _start(self, served):
        part, state = self.headers.get("Range"), self.headers.get("If-Range")
        if not part or not self.archive.ranges:
            return None
        if state and state not in served.headers.values():
            return None
        return int(part.removeprefix("bytes=").removesuffix("-"))

    def _whole(self, status, content, headers=None):
        self._send(status, {"Content-Length": str(len(content)), **(headers or {})}, content)

    def _send(self, status, headers, content):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class FtpArchive:
    """Serves the folder `root` over ftp; `drops` says after how many bytes RETRs of a name end."""

    def __init__(self, root):
        self.root = root
        self.drops = defaultdict(list)
        self.asked = []
        """(name, place it began at) of every RETR."""

    def __enter__(self):
        authorizer = DummyAuthorizer()
        authorizer.add_anonymous(str(self.root))
        data = type("Data", (_Data,), {"archive": self})
        handler = type(
            "Control",
            (_Control,),
            {"archive": self, "authorizer": authorizer, "dtp_handler": data, "use_sendfile": False},
        )
        self.server = FTPServer(("127.0.0.1", 0), handler)
        self.url = f"ftp://127.0.0.1:{self.server.address[1]}/"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        while not self._over.is_set():
            self.server.serve_forever(timeout=0.01, blocking=False)
            time.sleep(0.001)
        self.server.close_all()

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()

    def options(self, **more):
        return FetchOptions(archive=self.url, **{"timeout_s": 5, "tries": 4, **more})


class _Control(FTPHandler):
    archive: FtpArchive

    def ftp_RETR(self, file):
        name = file.rpartition("/")[2]
        self.archive.asked.append((name, self._restart_position))
        return super().ftp_RETR(file)


class _Data(DTPHandler):
    archive: FtpArchive

    def push_with_producer(self, producer):
        name = self.file_obj.name.rpartition("/")[2] if self.file_obj else ""
        drops = self.archive.drops[name]
        super().push_with_producer(_Short(producer, drops.pop(0)) if drops else producer)


class _Short:
    """Ends early."""

    def __init__(self, producer, left):
        self.producer, self.left = producer, left

    def more(self):
        content = self.producer.more()[: self.left]
        self.left -= len(content)
        return content
