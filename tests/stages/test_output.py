import numpy as np
import pytest

from volproc.grid.scale import VoxelNm
from volproc.stages import output
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.volume.metadata import new_volume
from volproc.volume.pyramid import coarsen, step_between


def pyramid(url, values, runner, **more):
    info = new_volume(url, shape=values.shape[-3:], voxel_nm=VoxelNm((50, 10, 10)), **more)
    steps = pyramid_steps(info, digest="d", name="made")
    volume = begin_volume(runner, info, step="test", digest="d", steps=steps)
    volume.write(info.box, values)
    return finish_volume(runner, volume, steps), steps


@pytest.mark.parametrize("part_bytes", [1, 2**18, 2**24])
@pytest.mark.parametrize("channels", [(), ("z", "y", "x")])
def test_a_level_is_the_coarsened_one_before_it_however_it_is_cut(
    part_bytes, channels, tmp_path, runner, monkeypatch
):
    monkeypatch.setattr(output, "PART_BYTES", part_bytes)
    lead = (3,) if channels else ()
    values = np.random.default_rng(0).integers(0, 256, (*lead, 37, 301, 259), dtype="uint8")
    made, _ = pyramid(str(tmp_path / "made.zarr"), values, runner, dtype="uint8", channels=channels)
    for level, (finer, coarser) in enumerate(zip(made.info.levels, made.info.levels[1:])):
        values = coarsen(values, step_between(finer, coarser), kind="image")
        assert np.array_equal(made.read(coarser.box, level + 1), values)


def test_memory_for_a_level_does_not_grow_with_the_volume(tmp_path):
    def most(shape):
        info = new_volume(
            "made.zarr", shape=shape, voxel_nm=VoxelNm((50, 10, 10)), dtype="uint32", kind="labels"
        )
        return max(step.peak_bytes for step in pyramid_steps(info, digest="d", name="made"))

    assert most((512, 8192, 8192)) == most((512, 2048, 2048)) < 2**29
