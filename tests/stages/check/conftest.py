"""Sound volumes of many files and several levels, to be damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.scale import VoxelNm
from volproc.stages.check.stage import plan_check, run_check
from volproc.volume import metadata
from volproc.volume.metadata import new_volume
from volproc.volume.pyramid import coarsen, step_between
from volproc.volume.store import create_volume

SHAPE = (11, 130, 140)


def values_of(dtype, *, kind="image", channels=0, shape=SHAPE):
    """Blobs with noise on top; labels are blobs of a few ids."""
    rng = np.random.default_rng(5)
    shape = (channels, *shape) if channels else shape
    z, y, x = np.ogrid[tuple(map(slice, shape[-3:]))]
    blobs = 100 + 60 * np.sin(z / 9) * np.cos(y / 23) * np.sin(x / 31)
    if kind == "labels":
        return (blobs > 120).astype(dtype) + (blobs > 140).astype(dtype)
    return (blobs + rng.uniform(-30, 30, shape)).astype(dtype)


def write(url, *, dtype="uint8", kind="image", channels=(), finished=True, **more):
    """A volume of three levels in shards of (8, 64, 64), written by volproc."""
    info = new_volume(
        str(url),
        shape=SHAPE,
        voxel_nm=VoxelNm((50, 10, 10)),
        dtype=dtype,
        kind=kind,
        channels=channels,
        chunks=(4, 32, 32),
        shards=(8, 64, 64),
        **more,
    )
    volume = create_volume(info, step="ingest", digest="d", version="0")
    values = values_of(dtype, kind=kind, channels=len(channels))
    volume.write(info.box, values)
    for n, (finer, coarser) in enumerate(zip(info.levels, info.levels[1:]), start=1):
        values = coarsen(values, step_between(finer, coarser), kind=kind)
        volume.write(coarser.box, values, level=n)
    return volume.finish() if finished else volume


@pytest.fixture(autouse=True)
def _deep_pyramids(monkeypatch):
    monkeypatch.setattr(metadata, "MIN_LEVEL", 40)


@pytest.fixture
def written(tmp_path):
    """written("name.zarr", ...): the folder of a volume that volproc wrote."""

    def make(name, **options):
        write(tmp_path / name, **options)
        return tmp_path / name

    return make


@pytest.fixture
def sound(tmp_path, _deep_pyramids):
    """The folder of a sound image with labels."""
    write(tmp_path / "a.zarr")
    write(tmp_path / "a.zarr/labels/nuclei", kind="labels", dtype="uint32")
    return tmp_path / "a.zarr"


@pytest.fixture
def check(tmp_path):
    """check(url, depth): what is wrong, as (severity, place below the url, what)."""

    def findings(url, depth="samples", runner=None):
        plan = plan_check(str(url), depth=depth)
        runner = runner or Runner(SerialEngine(), tmp_path / "records")
        return [
            (one.severity, one.where.removeprefix(str(url)).lstrip("/"), one.what)
            for one in run_check(plan, runner)
        ]

    return findings


@pytest.fixture
def edit():
    """edit(folder, function): change the attributes that a zarr.json or .zattrs holds."""

    def change(folder, function):
        path = Path(folder) / "zarr.json"
        document = json.loads(path.read_text())
        function(document)
        path.write_text(json.dumps(document))

    return change
