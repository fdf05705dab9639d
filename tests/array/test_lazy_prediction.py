"""`volproc.array.predict` gives the bits of the stage `predict`, whatever chunks it is given."""

import dask
import dask.array as da
import numpy as np
import pytest
from tests.two_classes import CLASSES, save_two_classes

import volproc.array
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import ConfigError, VolumeError
from volproc.stages.output import finish_volume, pyramid_steps
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

TILE = {"tile": (12, 20, 16), "block": (16, 16, 32)}
NM = (50, 50, 40)


@pytest.fixture
def image(save_volume, noise):
    """Resampled along x by a factor that is not whole."""
    return save_volume("image.zarr", noise[:20, :36, :45], voxel_nm=NM)


@pytest.fixture
def stage(tiny_model, tmp_path):
    def run(image, **options):
        chosen = PredictOptions(model=str(tiny_model), votes=False, **{**TILE, **options})
        plan = plan_predict(image.info, str(tmp_path / "out.zarr"), chosen)
        return run_predict(plan, Runner(SerialEngine(), tmp_path / "ledger", overwrite=True))[...]

    return run


@pytest.fixture
def lazy(tiny_model):
    def make(array, **options):
        return volproc.array.predict(array, str(tiny_model), **{**TILE, **options})

    return make


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fusion": "majority", "threshold": 0.4},
        {"axes": "zx", "flips": True},
        {"box": "4:16,8:30,10:40"},
        {"skip_empty_std": 1.6},
        {"fusion": "weighted", "weights": (2, 1, 1), "block": None},
    ],
    ids=str,
)
def test_it_has_the_bits_of_the_stage(image, noise, stage, lazy, options):
    expected = stage(image, **options)
    assert expected.std() > 1
    arrays = [noise[:20, :36, :45], da.from_array(noise[:20, :36, :45], chunks=(7, 36, (40, 5)))]
    for array in arrays:
        found = lazy(array, voxel_nm=NM, **options)
        assert found.dtype == np.uint8
        assert np.array_equal(found.compute(scheduler="sync"), expected)
    assert np.array_equal(lazy(image, **options).compute(scheduler="threads"), expected)


def test_skipped_blocks_are_skipped_here_too(save_volume, stage, lazy, noise):
    values = noise[:20, :36, :45].copy()
    values[:, :, 20:] = 120
    image = save_volume("half.zarr", values, voxel_nm=NM)
    options = {"skip_empty_std": 0.8, "block": (20, 36, 8), "tile": (12, 20, 8)}
    expected = stage(image, **options)
    assert not expected[:, :, -4:].any()
    assert np.array_equal(lazy(values, voxel_nm=NM, **options).compute(), expected)
    flat = np.full_like(values, 9)
    assert not lazy(flat, voxel_nm=NM).compute().any()


def test_of_a_pyramid_the_level_is_read_that_the_stage_reads(tmp_path, noise, stage, lazy):
    values = noise.repeat(2, 1).repeat(4, 2)[:24]
    how = {"voxel_nm": (50.0, 25.0, 12.0), "dtype": "uint8", "chunks": (16, 16, 16)}
    info = new_volume(str(tmp_path / "image.zarr"), shape=values.shape, **how)
    made = create_volume(info, step="test", digest="test", version="0")
    made.write(info.box, values)
    records = Runner(SerialEngine(), tmp_path / "pyramid")
    image = finish_volume(records, made, pyramid_steps(info, digest="test", name="image"))
    plan = lazy(image)
    assert any("volume" in name for name in plan.dask.layers)
    assert np.array_equal(plan.compute(), stage(image))


def test_tasks_per_block_do_not_grow_with_the_volume(lazy):
    """A task per block, and those that cut its parts from the chunks that it meets."""
    for n in (4, 8):
        array = da.zeros((24, 16 * n, 32 * n), chunks=(24, 16, 32), dtype="uint8")
        found = lazy(array, voxel_nm=(50, 50, 50), constants=(0.0, 1.0), block=(24, 16, 32))
        assert found.npartitions == n * n
        assert len(found.dask.layers[found.name]) <= 1 + (1 + 9) * n * n


def test_constants_of_the_whole_serve_a_part(noise, tiny_model, lazy):
    """What the halo of a block does not reach is not computed for it."""
    known = volproc.array.constants(noise, str(tiny_model), voxel_nm=(50, 50, 50))
    whole = lazy(noise, voxel_nm=(50, 50, 50))
    seen = []

    def noted(block, block_info=None):
        seen.append(block_info[0]["chunk-location"])
        return block

    array = da.from_array(noise, chunks=(8, 10, 10)).map_blocks(
        noted, dtype="uint8", meta=noise[:0]
    )
    part = lazy(array, voxel_nm=(50, 50, 50), constants=known).blocks[0, 0, 0]
    with dask.config.set(scheduler="sync"):
        found = part.compute()
    assert np.array_equal(found, whole.compute()[:16, :16, :32])
    assert 0 < len(set(seen)) < 0.7 * array.npartitions
    pair = lazy(noise, voxel_nm=(50, 50, 50), constants=(known.mean, known.std))
    assert np.array_equal(pair.compute(), whole.compute())


def test_the_same_call_gives_the_same_keys(noise, lazy):
    array = da.from_array(noise)
    one = lazy(array, voxel_nm=(50, 50, 50))
    assert one.name == lazy(array, voxel_nm=(50, 50, 50)).name
    others = [
        lazy(array, voxel_nm=(50, 50, 50), fusion="max"),
        lazy(array, voxel_nm=(50, 50, 40)),
        lazy(array + 1, voxel_nm=(50, 50, 50)),
        lazy(array, voxel_nm=(50, 50, 50), constants=(1.0, 2.0)),
    ]
    assert len({one.name, *(other.name for other in others)}) == 5


def test_what_needs_files_or_is_no_number_is_refused(noise, lazy):
    with pytest.raises(ConfigError, match="writes no files, so it takes no image_grid, seam_check"):
        lazy(noise, voxel_nm=NM, image_grid=True, seam_check=3)
    with pytest.raises(ConfigError, match="fusion"):
        lazy(noise, voxel_nm=NM, fusion="sum")
    broken = noise.astype("float32")
    broken[3, 4, 5] = np.nan
    with pytest.raises(VolumeError, match="holds NaN or infinite voxels"):
        lazy(broken, voxel_nm=NM).compute(scheduler="sync")


@pytest.mark.dask
def test_it_runs_on_a_cluster_of_the_users_own(image, noise, stage, lazy, dask_engine):
    found = lazy(da.from_array(noise[:20, :36, :45], chunks=(10, 20, 45)), voxel_nm=NM)
    assert np.array_equal(dask_engine.client.compute(found).result(), stage(image))


def test_several_classes_are_a_first_axis(image, noise, tmp_path):
    folder = str(save_two_classes(tmp_path / "model"))
    chosen = PredictOptions(model=folder, votes=False, **TILE)
    plan = plan_predict(image.info, str(tmp_path / "two.zarr"), chosen)
    expected = run_predict(plan, Runner(SerialEngine(), tmp_path / "ledger"))
    found = volproc.array.predict(noise[:20, :36, :45], folder, voxel_nm=NM, **TILE)
    assert found.shape == expected.shape
    assert found.chunks[0] == (2,)
    assert np.array_equal(found.compute(scheduler="sync"), expected[...])
    dark = volproc.array.predict(image, folder, classes=CLASSES[1:], **TILE)
    assert np.array_equal(dark.compute(scheduler="sync"), expected[1])
    objects = volproc.array.label(found[0], voxel_nm=(50, 50, 50), threshold=0.5)
    of_volume = volproc.array.label(expected, object_class=CLASSES[0], threshold=0.5)
    assert np.array_equal(*dask.compute(objects, of_volume, scheduler="sync"))
    with pytest.raises(ConfigError, match="name one of them as object_class"):
        volproc.array.label(expected, threshold=0.5)
