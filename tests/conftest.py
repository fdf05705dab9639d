"""Small made things that several tests use, named after what they are."""

import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from hypothesis import settings
from tests.flaky import Faults, quick_pauses

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.scale import parse_voxel_nm
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, save_model
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

collect_ignore = ["user_script.py", "simulated_gpu/site/sitecustomize.py"]

# compiling with numba takes its time on the first example
settings.register_profile("volproc", deadline=None)
settings.load_profile("volproc")
# tiny networks: threads would only wait for one another
torch.set_num_threads(1)


def pytest_configure(config):
    """Only `-m gpu` sees a GPU: other tests compare bits, which a CPU alone keeps."""
    if "gpu" not in config.option.markexpr.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


LONG = ("tests/whole/", "tests/workflow/", "tests/stages/train/", "tests/test_credentials.py")


def pytest_collection_modifyitems(items):
    """Files that take minutes first: at the end all processes have something to do."""

    def place(item):
        return next((n for n, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def pauses():
    """Seconds that would have been waited between tries: no test waits for them."""
    with quick_pauses(Faults(0)) as faults:
        yield faults.pauses


@pytest.fixture
def save_volume(tmp_path):
    """A finished volume from an array: save_volume("name.zarr", values, voxel_nm=..., ...)."""

    def save(
        name,
        values,
        *,
        voxel_nm=(50, 50, 50),
        corner_nm=None,
        kind="image",
        shards=None,
        chunks=(16, 16, 16),
    ):
        info = new_volume(
            str(tmp_path / name),
            shape=values.shape,
            voxel_nm=parse_voxel_nm(voxel_nm),
            corner_nm=corner_nm,
            dtype=str(values.dtype),
            kind=kind,
            chunks=chunks,
            shards=shards,
            max_levels=1,
        )
        volume = create_volume(info, step="test", digest="test", version="0")
        volume.write(info.box, values)
        return volume.finish()

    return save


@pytest.fixture
def noise():
    """A grey volume of 40 x 70 x 90 voxels with structure at several sizes."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(60, 190, (5, 9, 12)).repeat(8, 0).repeat(8, 1).repeat(8, 2)[:40, :70, :90]
    return (coarse + rng.integers(-40, 40, coarse.shape)).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A U-Net with random weights: stride 4, small reach, fast, and anything but constant."""
    torch.manual_seed(1)
    spec = UNetSpec(slices_in=6, slices_out=4, widths=(6, 8), stem=2)
    network = UNet(spec).eval()
    for part in network.modules():  # as if trained: no running mean of 0 and spread of 1
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 2)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_model(folder, network, card_for(spec, name="tiny", voxel_nm=(50, 50, 50)))
    return folder


@pytest.fixture
def runner(tmp_path):
    """A runner without a cluster."""
    return Runner(SerialEngine(), tmp_path / "ledger")


@pytest.fixture(scope="session")
def dask_engine():
    """A Dask cluster of two workers, one for all tests: starting one takes seconds."""
    from volproc.engine.clusters.local import local_engine

    with local_engine(workers=2) as engine:
        yield engine


@pytest.fixture
def dask_runner(tmp_path, dask_engine):
    """A runner on a Dask cluster of two workers."""
    return Runner(dask_engine, tmp_path / "ledger")


@pytest.fixture(params=["runner", pytest.param("dask_runner", marks=pytest.mark.dask)])
def any_runner(request):
    """The same test on both engines."""
    return request.getfixturevalue(request.param)


class Parts(SimpleHTTPRequestHandler):
    """Serves files, and parts of files."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            super().do_GET()
            return
        content = file.read_bytes()
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        first, _, last = asked.partition("-")
        start = int(first) if first else len(content) - int(last)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", stop - start)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:stop])


class Unlisted(Parts):
    """Gives no list of a folder's files."""

    def list_directory(self, path):
        self.send_error(404)


def _served(folder, handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as here:
        thread = Thread(target=here.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{here.server_port}"
        here.shutdown()
        thread.join()


@pytest.fixture
def web_server(tmp_path):
    """The address of a server of the files in tmp_path, which lists no folders."""
    yield from _served(tmp_path, Unlisted)


@pytest.fixture
def listing_web_server(tmp_path):
    """The same; it lists folders."""
    yield from _served(tmp_path, Parts)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real volumes, which the environment variable VOLPROC_DATA names."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VOLPROC_DATA", default))
    if not folder.is_dir():
        pytest.skip("no real volumes here: set VOLPROC_DATA to their folder")
    return folder
