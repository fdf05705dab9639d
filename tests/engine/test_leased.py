import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from volproc import lease
from volproc.engine.leased import UnderLease, leased
from volproc.engine.ledger import Ledger
from volproc.engine.protocol import Step, do_block
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import LeaseError, LeaseLostError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.lease.lease_file import create, newest, overwrite
from volproc.lease.owner import this_process
from volproc.volume.file_io import write_file
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume


@dataclass(frozen=True)
class Epochs:
    """The epochs of the leases under which each part of a block is done."""

    def load(self, block: Block) -> list[list[int]]:
        return [[one.epoch for one in lease.current()]]

    def compute(self, block: Block, loaded: list[list[int]]) -> list[list[int]]:
        return [*loaded, *self.load(block)]

    def store(self, block: Block, result: list[list[int]]) -> list[list[int]]:
        return self.compute(block, result)


@dataclass(frozen=True)
class Fill:
    """One number in every voxel."""

    volume: Volume
    value: int

    def load(self, block: Block) -> None:
        return None

    def compute(self, block: Block, loaded: None) -> np.ndarray:
        return np.full(block.core.shape, self.value, self.volume.info.dtype)

    def store(self, block: Block, result: np.ndarray) -> None:
        self.volume.write(block.core, result)


BLOCKS = Tiling((2, 16, 16), (1, 16, 16))


def test_every_part_of_a_block_is_done_under_its_owners_leases(tmp_path, any_runner):
    with lease.holding(f"{tmp_path}/a.volproc"), lease.holding(f"{tmp_path}/b.volproc"):
        records = any_runner.run(Step("epochs", Epochs(), BLOCKS, "d"))
    assert records == [[[1]] * 3] * 2  # the inner one's
    assert any_runner.run(Step("none", Epochs(), BLOCKS, "d")) == [[[]] * 3] * 2


def test_without_an_owner_a_task_is_itself():
    task = Epochs()
    assert leased(task) is task


def begin(url, digest, **more):
    voxel_nm = parse_voxel_nm((1, 1, 1))
    how = {"dtype": "uint8", "chunks": (1, 16, 16), "shards": (1, 16, 16), **more}
    info = new_volume(url, shape=(2, 16, 16), voxel_nm=voxel_nm, **how)
    return create_volume(info, step="fill", digest=digest, version="0")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_ghost_writes_nothing_over_the_work_of_the_next_owner(tmp_path, version):
    """Its client was killed with a block in hand; the worker lives, and is slow."""
    url = f"{tmp_path}/out.zarr"
    with lease.holding(f"{url}.volproc"):
        ghosts = pickle.dumps(leased(Fill(begin(url, "one", version=version), 1)))
        create(f"{url}.volproc", 2, b"")  # as if killed: never given back
        overwrite(f"{url}.volproc", 2, this_process("died").text())
    with lease.holding(f"{url}.volproc"):
        volume = begin(url, "two", version=version)
        runner = Runner(SerialEngine(), f"{url}.volproc/ledger")
        runner.run(Step("fill", Fill(volume, 2), BLOCKS, "two"))
        volume.finish()
    for block in BLOCKS:
        outcome = do_block(pickle.loads(ghosts), block)
        assert "out.zarr was taken over by" in outcome.failure
        assert outcome.blame == "user"  # not tried again
    assert (open_volume(url).read(volume.info.box) == 2).all()
    assert not list((tmp_path / "out.zarr").rglob("*.partial"))


def lose(root):
    """Another owner comes."""
    epoch, _ = newest(root)
    create(root, epoch + 1, this_process("another").text())


CHANGES = {
    "a shard": lambda volume, url: volume.write(volume.info.box, np.ones((2, 16, 16), "uint8")),
    "the mark": lambda volume, url: volume.finish(),
    "a new volume": lambda volume, url: begin(volume.info.url, "other"),
    "a file": lambda volume, url: write_file(f"{url}/table.csv", b"x"),
    "a line": lambda volume, url: Ledger(f"{url}/step.jsonl", digest="d", blocks=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_client_that_lost_its_output_changes_nothing(tmp_path, change):
    url = f"{tmp_path}/out.zarr"
    with lease.holding(f"{url}.volproc"):
        volume = begin(url, "one")
        lose(f"{url}.volproc")
        content = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        with pytest.raises(LeaseLostError, match=r"out.zarr was taken over"):
            CHANGES[change](volume, str(tmp_path))
        assert content == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_a_second_start_removes_no_half_file_of_a_living_first(tmp_path):
    url = f"{tmp_path}/out.zarr"
    with lease.holding(f"{url}.volproc"):
        begin(url, "one")
        under_way = tmp_path / "out.zarr" / "0" / "0.abc.partial"
        under_way.touch()
        with pytest.raises(LeaseError), lease.holding(f"{url}.volproc"):
            begin(url, "one")
    begin(url, "one")  # by hand: nobody knows who else is at work
    assert under_way.exists()


def test_an_empty_wrapper_is_small():
    held = lease.Lease("s3://bucket/out.zarr.volproc", 7, "0" * 32)
    assert len(pickle.dumps(UnderLease(Epochs(), (held,)))) < 400
