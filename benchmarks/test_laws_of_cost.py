"""One benchmark per law of cost.

`pytest benchmarks --benchmark-enable --benchmark-only` times them; the test suite only runs them.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.fusion import FUSIONS, fuse
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import new_volume
from volproc.volume.pyramid import coarsen
from volproc.volume.resampling import resampled, resampling_to
from volproc.volume.store import create_volume

NOISE = np.random.default_rng(0).integers(0, 256, (128, 128, 128), dtype="uint8")


@dataclass(frozen=True)
class Nothing:
    """A task without work: what an engine costs by itself."""

    def load(self, block: Block) -> None: ...

    def compute(self, block: Block, loaded: None) -> None: ...

    def store(self, block: Block, result: None) -> int:
        return block.index


@pytest.mark.parametrize("blocks", [1000])
def test_blocks_per_second_of_the_serial_engine(benchmark, tmp_path, blocks):
    rounds = iter(range(10**6))

    def run():
        step = Step("nothing", Nothing(), Tiling((blocks, 1, 1), (1, 1, 1)), str(next(rounds)))
        return Runner(SerialEngine(), tmp_path).run(step)

    assert benchmark(run) == list(range(blocks))


@pytest.mark.dask
def test_blocks_per_second_of_the_dask_engine(benchmark, tmp_path):
    from volproc.engine.clusters.local import local_engine

    rounds = iter(range(10**6))
    with local_engine(workers=2) as engine:

        def run():
            step = Step("nothing", Nothing(), Tiling((500, 1, 1), (1, 1, 1)), str(next(rounds)))
            return Runner(engine, tmp_path).run(step)

        assert benchmark(run) == list(range(500))


@pytest.mark.parametrize("mode", FUSIONS)
def test_fusion(benchmark, mode):
    votes = np.stack([NOISE, NOISE[::-1], NOISE[:, ::-1]])
    assert benchmark(fuse, votes, mode=mode, threshold=0.5).shape == NOISE.shape


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_pyramid(benchmark, kind):
    coarsen(NOISE, (2, 2, 2), kind=kind)  # compiled once
    assert benchmark(coarsen, NOISE, (2, 2, 2), kind=kind).shape == (64, 64, 64)


def test_resampling_40_to_50_nm(benchmark):
    info = new_volume("a", shape=NOISE.shape, voxel_nm=VoxelNm((50, 40, 40)), dtype="uint8")
    way = resampling_to(info, VoxelNm((50, 50, 50)))
    window, values = Box((0, 0, 0), way.shape_out), torch.from_numpy(NOISE)
    resampled(values, way, window)  # compiled once
    assert benchmark(resampled, values, way, window).shape == way.shape_out


def test_writing_and_reading_a_shard(benchmark, tmp_path):
    info = new_volume(
        str(tmp_path / "a.zarr"), shape=NOISE.shape, voxel_nm=VoxelNm((50, 10, 10)), dtype="uint8"
    )
    volume = create_volume(info, step="benchmark", digest="d", version="0")

    def there_and_back():
        volume.write(info.box, NOISE)
        return volume.read(info.box)

    assert np.array_equal(benchmark(there_and_back), NOISE)
