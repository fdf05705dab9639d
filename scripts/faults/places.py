"""Where cells happen: a folder here, or a bucket on an S3 server of our own."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec

BETWEEN = re.compile(
    r"\.volproc/|\.tables/|\.parts/|/parts/|made\.json$|checkpoint\.pt$"
    r"|/log/\d+\.jsonl$|pace\.json$|run/(ledger/|log\.jsonl$|workflow\.json$|report\.(html|json)$)"
)
"""Records, tables of blocks, what a training goes on from, what tells of times: no results."""
DIGEST = re.compile(rb"\b[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Place:
    """A cell's: `folder` here, where its commands run, and `root` where its volumes are."""

    folder: Path
    root: str
    dated: bool = False
    """Whether results hold digests of their input's date, which no copy of an object keeps."""

    @property
    def remote(self):
        """Whether the volumes are at a URL."""
        return "://" in self.root

    def url(self, name):
        """A volume's place, as the commands are told it: beside them where it is here."""
        return f"{self.root}/{name}" if self.remote else name

    def files(self, below=""):
        """Name and content of every file below. Left out are volproc's records and what blocks
        leave for one another, but not their half files: of those nothing may be left.
        Results at a URL tell where their inputs are: that differs between cells."""
        filesystem, root = filesystem_of(f"{self.root}/{below}".rstrip("/"))
        found = {name[len(root) :].lstrip("/"): name for name in filesystem.find(root)}
        return {
            inner: self._plain(filesystem.cat_file(name))
            for inner, name in sorted(found.items())
            if inner.endswith(".partial") or not BETWEEN.search(inner)
        }

    def _plain(self, content):
        content = content.replace(self.root.encode(), b"HERE")
        return DIGEST.sub(b"-", content) if self.dated else content

    def write(self, name, content):
        """Write a file anew."""
        filesystem, root = filesystem_of(self.root)
        filesystem.pipe_file(f"{root}/{name}", content)

    def read(self, name):
        """A file's content."""
        filesystem, root = filesystem_of(self.root)
        return filesystem.cat_file(f"{root}/{name}")

    def remove(self, name):
        """Remove a file."""
        filesystem, root = filesystem_of(self.root)
        filesystem.rm_file(f"{root}/{name}")

    def exists(self, name):
        """Whether there is such a file or folder."""
        filesystem, root = filesystem_of(self.root)
        return filesystem.exists(f"{root}/{name}")

    def at(self, name):
        """Another cell's place, beside this one."""
        root = f"{self.root.rpartition('/')[0]}/{name}"
        return Place(self.folder.with_name(name), root, self.dated)


def filesystem_of(url):
    """The file system and the path there; what it remembers is dropped: others write too."""
    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.invalidate_cache()
    return filesystem, path


def remove_all(place, name):
    """Remove a folder of a place."""
    filesystem, root = filesystem_of(place.root)
    filesystem.rm(f"{root}/{name}", recursive=True)


def copied(source, target):
    """All of a place's files at another one, dates kept."""
    shutil.copytree(source.folder, target.folder, symlinks=True)
    if source.remote:
        filesystem, here = filesystem_of(source.root)
        _, there = filesystem_of(target.root)
        for name in filesystem.find(here):
            filesystem.cp_file(name, there + name[len(here) :])
    return target


def moved(source, target):
    """The same, and nothing stays behind."""
    if not source.remote:
        source.folder.rename(target.folder)
        return target
    copied(source, target)
    filesystem, here = filesystem_of(source.root)
    filesystem.rm(here, recursive=True)
    shutil.rmtree(source.folder)
    return target


@contextmanager
def s3_server(folder):
    """A server of the S3 protocol on this machine, known to all by the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testkey",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with (
        (folder / "server.txt").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        _answers(port)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/cells", method="PUT")
        urllib.request.urlopen(request).close()
        try:
            yield "s3://cells"
        finally:
            server.terminate()


def _answers(port):
    for _ in range(3000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the S3 server did not start")
