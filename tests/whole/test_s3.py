"""Everything at s3://, against a real server's protocol: moto's, on this machine.

Credentials and address come from the environment only, as on a cluster.
"""

import gc
import json
import subprocess
import sys
import threading
from dataclasses import replace

import fsspec
import numpy as np
import pytest
import tifffile
from tests.whole.s3_server import SECRET, content, tell

import volproc
from volproc import (
    ClusterOptions,
    IngestOptions,
    LabelOptions,
    PhantomOptions,
    lease,
)
from volproc.engine.events import StepStarted
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import LeaseError, VolumeError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.lease.lease_file import create
from volproc.lease.owner import this_process
from volproc.stages.check.stage import plan_check, run_check
from volproc.volume import metadata
from volproc.volume.access import exists, is_occupied
from volproc.volume.file_io import write_pieces
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

SERIAL = ClusterOptions(kind="serial")
SMALL = PhantomOptions(shape=(24, 130, 140))


@pytest.fixture
def many_blocks(monkeypatch):
    """Shards of one chunk and more levels: small volumes have many blocks."""
    monkeypatch.setattr(metadata, "SHARD_BYTES", 1)
    monkeypatch.setattr(metadata, "MIN_LEVEL", 64)


def checked(url, folder, depth="deep"):
    return run_check(plan_check(url, depth=depth), Runner(SerialEngine(), folder / "check"))


def test_a_volume_there_and_back(s3):
    info = new_volume(
        f"{s3}/a.zarr",
        shape=(20, 40, 50),
        voxel_nm=parse_voxel_nm((50, 10, 10)),
        dtype="uint16",
        chunks=(8, 8, 8),
        shards=(16, 16, 32),
    )
    volume = create_volume(info, step="test", digest="d", version="0")
    with pytest.raises(VolumeError, match="is unfinished"):
        open_volume(info.url)
    values = np.random.default_rng(0).integers(0, 60000, info.shape, dtype="uint16")
    volume.write(info.box, values)
    finished = volume.finish()
    again = open_volume(info.url)
    box = Box((1, 2, 3), (20, 11, 44))
    assert np.array_equal(again.read(box), values[box.slices])
    assert again.info.levels == info.levels
    assert again.fingerprint == finished.fingerprint
    assert np.array_equal(again.dask().compute(scheduler="sync"), values)


def test_what_was_written_since_a_list_was_asked_for_exists(s3):
    info = new_volume(
        f"{s3}/a.zarr", shape=(4, 8, 8), voxel_nm=parse_voxel_nm((1, 1, 1)), dtype="uint8"
    )
    fsspec.filesystem("s3").pipe_file("cells/note", b"x")
    assert fsspec.filesystem("s3").ls("cells") == ["cells/note"]  # s3fs remembers it
    volume = create_volume(info, step="test", digest="d", version="0")
    volume.write(info.box, 1)
    volume.finish()
    assert exists(info.url)
    assert is_occupied(info.url)


def test_a_volume_is_taken_up_replaced_or_left_alone(s3):
    def begin(name, digest):
        info = new_volume(
            f"{s3}/{name}", shape=(4, 8, 8), voxel_nm=parse_voxel_nm((1, 1, 1)), dtype="uint8"
        )
        return create_volume(info, step="test", digest=digest, version="0")

    first = begin("a.zarr", "one")
    first.write(first.info.box, np.ones((4, 8, 8), "uint8"))
    assert begin("a.zarr", "one").read(first.info.box).all()
    with pytest.raises(VolumeError, match="was written and is gone"):  # remade: nothing is there
        begin("a.zarr", "two").read(first.info.box)
    fsspec.filesystem("s3").pipe_file("cells/b.zarr/mine", b"x")
    with pytest.raises(VolumeError, match=r"s3://cells/b\.zarr exists and was not written by"):
        begin("b.zarr", "one")
    assert content(f"{s3}/b.zarr") == {"/mine": b"x"}


def test_of_two_that_claim_an_output_one_gets_it(s3):
    """By a conditional put: the server decides."""
    root, ends, start = f"{s3}/out.zarr.volproc", [], threading.Barrier(2)

    def claim(owner):
        start.wait()
        create(root, 1, replace(this_process(owner), pid=0).text())
        ends.append((owner, lease.Lease(root, 1, owner).is_held()))

    threads = [threading.Thread(target=claim, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held for _, held in ends) == [False, True]
    with lease.holding(root):  # no process 0: both are gone
        assert lease.left_by_dead()
        with pytest.raises(LeaseError, match=r"s3://cells/out.zarr is being"), lease.holding(root):
            pass
        assert [name for name in content(root)] == ["/lease-000002.json"]


def test_an_object_in_pieces_is_seen_whole_or_not_at_all(s3):
    write_pieces(f"{s3}/a.csv", [b"one", b"two"])

    def pieces():
        yield b"x" * 2**23  # more than is sent at once
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_pieces(f"{s3}/a.csv", pieces())
    gc.collect()
    assert content(s3) == {"/a.csv": b"onetwo"}


@pytest.mark.parametrize("kind", ["serial", pytest.param("local", marks=pytest.mark.dask)])
def test_the_bytes_of_a_run_are_those_of_a_local_one(s3, tmp_path, many_blocks, kind):
    cluster = ClusterOptions(kind=kind, workers=2)
    label = LabelOptions(min_volume_um3=0.001)
    for place, engine in ((s3, cluster), (str(tmp_path), SERIAL)):
        volproc.phantom(f"{place}/image.zarr", SMALL, cluster=engine)
        nuclei = f"{place}/image.zarr/labels/nuclei"
        result = volproc.label(nuclei, f"{place}/objects.zarr", label, cluster=engine)
        assert result.labels.info.url == f"{place}/objects.zarr"
    for name in ("image.zarr", "image-nuclei.csv", "objects.csv"):
        assert content(f"{s3}/{name}") == content(f"{tmp_path}/{name}")
    there, here = content(f"{s3}/objects.zarr"), content(f"{tmp_path}/objects.zarr")
    digests = {name for name in here if here[name] != there[name]}
    assert there.keys() == here.keys()
    assert digests <= {"/zarr.json"}  # its digest names the volume it was made from
    assert checked(f"{s3}/image.zarr", tmp_path) == ()
    assert checked(f"{s3}/objects.zarr", tmp_path) == ()


@pytest.mark.parametrize("folder", ["/slices", ""])
def test_slices_at_s3_become_a_volume_at_s3(s3, tmp_path, folder):
    values = np.random.default_rng(1).integers(0, 255, (5, 60, 70), dtype="uint8")
    for z, plane in enumerate(values):
        tifffile.imwrite(tmp_path / f"slice-{z:03}.tif", plane)
    fsspec.filesystem("s3").put(f"{tmp_path}/", f"cells{folder}/", recursive=True)
    options = IngestOptions(voxel_nm=(50, 10, 10))
    volume = volproc.ingest(f"{s3}{folder}", f"{s3}/out.zarr", options, cluster=SERIAL)
    assert np.array_equal(open_volume(f"{s3}/out.zarr").read(volume.info.box), values)
    assert checked(f"{s3}/out.zarr", tmp_path) == ()


DIE = """
import os, signal, sys
import volproc
from volproc import lease
from volproc import ClusterOptions, PhantomOptions
from volproc.engine import records
from volproc.engine.events import BlockDone
from volproc.volume import metadata
from volproc.volume.access import exists, is_occupied

metadata.SHARD_BYTES, metadata.MIN_LEVEL, records.PATIENCE_S = 1, 64, 0.0

def die(event):
    if isinstance(event, BlockDone) and (event.step, event.done) == (sys.argv[2], int(sys.argv[3])):
        os.kill(os.getpid(), signal.SIGKILL)

options = PhantomOptions(shape=(24, 130, 140))
volproc.phantom(sys.argv[1], options, cluster=ClusterOptions(kind="serial"), watchers=(die,))
"""


def test_a_run_killed_on_one_machine_goes_on_on_another(s3, tmp_path, many_blocks):
    url = f"{s3}/image.zarr"
    pyramid = "pyramid of the phantom, level 1"
    for step, blocks in (("phantom", 2), ("phantom", 3), (pyramid, 1)):
        died = subprocess.run(
            [sys.executable, "-c", DIE, url, step, str(blocks)], capture_output=True, text=True
        )
        assert died.returncode == -9, died.stderr
        with pytest.raises(VolumeError, match="is unfinished"):
            open_volume(url)
    begun = {}

    def watch(event):
        if isinstance(event, StepStarted):
            begun[event.step] = (event.done, event.total)

    volproc.phantom(url, SMALL, cluster=SERIAL, watchers=(watch,))
    assert begun["phantom"][0] == begun["phantom"][1] > 3
    assert begun[pyramid][0] == 1 < begun[pyramid][1]
    volproc.phantom(f"{tmp_path}/image.zarr", SMALL, cluster=SERIAL)
    assert content(url) == content(f"{tmp_path}/image.zarr")
    assert SECRET.encode() not in b"".join(content(s3).values())


def test_the_log_tells_of_every_run(s3, many_blocks):
    for _ in range(2):
        volproc.phantom(f"{s3}/a.zarr", SMALL, cluster=SERIAL)
    lines = b"".join(content(f"{s3}/a.zarr.volproc/log").values()).splitlines()
    events = [json.loads(line) for line in lines]
    assert next(e["done"] for e in events if e["event"] == "StepStarted") == 0
    finished = [e["step"] for e in events if e["event"] == "StepFinished"]
    assert len(finished) == 2 * len(set(finished))


def test_a_lost_object_is_found(s3, tmp_path, many_blocks):
    volproc.phantom(f"{s3}/a.zarr", SMALL, cluster=SERIAL)
    names = [name for name in content(f"{s3}/a.zarr") if name.startswith("/0/c/")]
    fsspec.filesystem("s3").rm_file(f"cells/a.zarr{names[1]}")
    (found,) = checked(f"{s3}/a.zarr", tmp_path, "fast")
    assert found.where == f"{s3}/a.zarr/0"
    assert found.what.startswith(f"1 of {len(names)} chunk files are missing ({names[1][3:]})")


def command(*arguments):
    """A volproc command in a process of its own: its exit code, and what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "volproc", *arguments], capture_output=True, text=True
    )
    assert SECRET not in ended.stdout + ended.stderr
    return ended.returncode, ended.stderr.strip()


def phantom_at(url):
    return command("phantom", url, "--shape", "8", "32", "32", "--serial")


def test_no_such_bucket_is_one_line(s3):
    code, said = phantom_at("s3://nowhere/a.zarr")
    assert (code, said.count("\n")) == (2, 0), said
    assert "s3://nowhere/a.zarr" in said
    assert "bucket does not exist" in said


def test_no_credentials_are_one_line(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, said = phantom_at(f"{s3}/a.zarr")
    assert (code, said.count("\n")) == (2, 0), said
    assert "nable to locate credentials" in said


def test_wrong_credentials_are_one_line(s3, server):
    tell(server, "reset-auth", "0")  # so many requests are let in unseen
    try:
        code, said = phantom_at(f"{s3}/a.zarr")
    finally:
        tell(server, "reset-auth", "inf")
    assert (code, said.count("\n")) == (2, 0), said
    assert f"{s3}/a.zarr" in said
    assert "ccess" in said
