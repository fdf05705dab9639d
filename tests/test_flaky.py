"""Disks and stores that fail now and then change nothing: each result equals the undisturbed one.

At a rate of 0.2 every fifth reading, writing and listing fails.
"""

from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from tests.flaky import LISTS, READS, WRITES, flaky_disk, flaky_memory

from volproc import (
    IngestOptions,
    InteriorOptions,
    LabelOptions,
    MeasureOptions,
    PhantomOptions,
    PredictOptions,
    TrainOptions,
)
from volproc.engine.ledger import Ledger
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.ingest.reader import open_source
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.stage import plan_interior, run_interior
from volproc.stages.label import STAGE as LABEL
from volproc.stages.label.stage import plan_label, run_label
from volproc.stages.measure.stage import plan_measure, run_measure
from volproc.stages.phantom.stage import plan_phantom, run_phantom
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.stages.train.options import TrainedOnOptions
from volproc.stages.train.stage import plan_train, run_training
from volproc.stages.train.training_sources import sources_of
from volproc.volume.file_io import read_file, write_file, write_pieces
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

RATES = pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])


def files(folder):
    """All files below a folder, by name.

    Left out are partial ones, whose removal may fail as well, digests of files' dates, and how
    fast a training was.
    """
    differ = "*.partial", "content-of-*", "pace.json"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not any(map(path.match, differ))
    }


def in_memory(folder):
    filesystem = fsspec.filesystem("memory")
    found = filesystem.find(folder)
    return {name.partition(folder)[2]: filesystem.cat_file(name) for name in found}


def equal_on_disk(tmp_path, work, rate, *, kinds=(READS, WRITES, LISTS), of="."):
    """`work` on a sound disk and on a flaky one, in folders of one name; compares `of` in them."""
    for name in ("sound", "flaky"):
        (tmp_path / name / "here").mkdir(parents=True)
    work(tmp_path / "sound" / "here")
    with flaky_disk(tmp_path / "flaky", rate, seed=1) as faults:
        work(tmp_path / "flaky" / "here")
    made = files(tmp_path / "flaky" / "here" / of)
    assert made == files(tmp_path / "sound" / "here" / of)
    assert made
    if rate == 0.2:
        assert all(faults.count[kind] for kind in kinds)
        assert faults.pauses


def write_volume(url, values, kind="image"):
    info = new_volume(
        str(url),
        shape=values.shape,
        voxel_nm=parse_voxel_nm((50, 50, 50)),
        dtype=str(values.dtype),
        kind=kind,
        chunks=(16, 16, 16),
        shards=(32, 32, 32),
        max_levels=1,
    )
    volume = create_volume(info, step="test", digest="d", version="0")
    volume.write(info.box, values)
    return volume.finish()


@pytest.fixture(scope="module")
def voxels():
    coarse = np.random.default_rng(5).integers(0, 2, (5, 7, 8), "uint8") * 255
    return coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2)


@RATES
def test_a_volume_on_disk(tmp_path, voxels, rate):
    def work(folder):
        write_volume(folder / "a.zarr", voxels)
        here = open_volume(folder / "a.zarr")
        np.testing.assert_array_equal(here.read(here.info.box), voxels)

    equal_on_disk(tmp_path, work, rate)


@RATES
def test_a_volume_at_a_url(voxels, rate):
    url = f"memory://{uuid4().hex}"
    write_volume(f"{url}/sound/a.zarr", voxels)
    with flaky_memory(rate, seed=1) as faults:
        write_volume(f"{url}/flaky/a.zarr", voxels)
        here = open_volume(f"{url}/flaky/a.zarr")
        np.testing.assert_array_equal(here.read(here.info.box), voxels)
    folder = url.removeprefix("memory:/")
    assert in_memory(f"{folder}/flaky") == in_memory(f"{folder}/sound")
    if rate == 0.2:
        assert sum(faults.count.values()) > 5


@RATES
def test_a_ledger_on_disk(tmp_path, rate):
    def work(folder):
        for start in (0, 40):
            ledger = Ledger(folder / "l.jsonl", digest="d", blocks=80)
            assert sorted(ledger.records) == list(range(start))
            for block in range(start, start + 40):
                ledger.add(block, {"n": block})

    equal_on_disk(tmp_path, work, rate, kinds=(READS, WRITES))


@RATES
def test_a_ledger_at_a_url(rate):
    url = f"memory://{uuid4().hex}/l.jsonl"
    with flaky_memory(rate):
        for start in (0, 40):
            ledger = Ledger(url, digest="d", blocks=80)
            assert sorted(ledger.records) == list(range(start))
            for block in range(start, start + 40):
                ledger.add(block, {"n": block})
                ledger.flush()
        assert len(Ledger(url, digest="d", blocks=80).records) == 80
        assert Ledger(url, digest="other", blocks=80).records == {}


@RATES
def test_small_files(tmp_path, rate):
    def work(folder):
        for n in range(20):
            write_file(f"{folder}/deep/{n}", bytes([n]) * 999)
            assert read_file(f"{folder}/deep/{n}") == bytes([n]) * 999
        write_pieces(f"{folder}/table.csv", (b"%d\n" % n for n in range(500)))

    equal_on_disk(tmp_path, work, rate)


@RATES
def test_a_phantom(tmp_path, rate):
    options = PhantomOptions(shape=(20, 90, 100), voxel_nm=(100, 100, 100), seed=5)

    def work(folder):
        plan = plan_phantom(str(folder / "made.zarr"), options)
        run_phantom(plan, Runner(SerialEngine(), folder / "ledger"))

    equal_on_disk(tmp_path, work, rate)


@RATES
def test_labels(tmp_path, voxels, rate):
    mask = write_volume(tmp_path / "mask.zarr", voxels)

    def work(folder):
        options = LabelOptions(block=(32, 32, 32), min_volume_um3=0)
        source = open_volume(mask.info.url)
        plan = plan_label(source.info, str(folder / "o.zarr"), options)
        run_label(plan, Runner(SerialEngine(), folder / "ledger"))

    equal_on_disk(tmp_path, work, rate)


@RATES
def test_a_prediction(tmp_path, voxels, tiny_model, rate):
    write_volume(tmp_path / "image.zarr", voxels)

    def work(folder):
        options = PredictOptions(model=str(tiny_model), tile=(40, 56, 64), block=(40, 56, 64))
        image = open_volume(tmp_path / "image.zarr")
        plan = plan_predict(image.info, str(folder / "p.zarr"), options)
        run_predict(plan, Runner(SerialEngine(), folder / "ledger"))

    equal_on_disk(tmp_path, work, rate)


@RATES
def test_nuclei(tmp_path, rate):
    """Its volumes in between are written and read on the same disk."""
    z, y, x = np.ogrid[:40, :40, :40]
    distance = np.sqrt((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2)
    shell = write_volume(tmp_path / "e.zarr", 255 * ((distance > 9) & (distance < 12)).astype("u1"))

    def work(folder):
        options = InteriorOptions(gap_nm=200, min_volume_um3=0, block=(32, 32, 32))
        labelling = Labelling(LABEL)
        plan = plan_interior(shell.info, str(folder / "n.zarr"), options, labelling=labelling)
        run_interior(plan, Runner(SerialEngine(), folder / "ledger"))

    equal_on_disk(tmp_path, work, rate, of="n.zarr")  # the rest names dates of what is between
    assert open_volume(tmp_path / "flaky" / "here" / "n.zarr").info.provenance["objects"] == 1


@RATES
def test_measurements_and_meshes(tmp_path, voxels, rate):
    objects = write_volume(tmp_path / "objects.zarr", voxels // 255 * np.uint8(7), kind="labels")

    def work(folder):
        options = MeasureOptions(meshes="ply", mesh_error_nm=0)
        plan = plan_measure(objects.info, str(folder / "out"), options, image=objects.info)
        run_measure(plan, Runner(SerialEngine(), folder / "ledger"))

    equal_on_disk(tmp_path, work, rate)
    assert (tmp_path / "flaky" / "here" / "out" / "meshes" / "7.ply").exists()


class Killed(Exception):
    """Stands for a signal."""


@RATES
def test_a_training(tmp_path, voxels, rate):
    image = write_volume(tmp_path / "image.zarr", voxels)
    labels = write_volume(tmp_path / "labels.zarr", voxels // 255, kind="labels")

    def work(folder):
        options = TrainOptions(
            images=(image.info.url,),
            labels=(labels.info.url,),
            model_out=str(folder / "model"),
            trained_on=(TrainedOnOptions(name="noise", terms="free"),),
            widths=(3, 4),
            slices_in=4,
            slices_out=2,
            patch=16,
            batch=2,
            steps=4,
            checkpoint_steps=1,
            device="cpu",
        )
        kills = [2]

        def watch(event):
            if event.step in kills:
                kills.clear()
                raise Killed

        plan = plan_train(sources_of(options), options)
        with pytest.raises(Killed):
            run_training(plan, watch=watch)
        run_training(plan, watch=watch)  # goes on from its checkpoint, which is read

    equal_on_disk(tmp_path, work, rate)


@RATES
@pytest.mark.parametrize("name", ["a.tif", "a.mrc", "a.png"])
def test_a_source(tmp_path, voxels, rate, name):
    import mrcfile
    import tifffile
    from PIL import Image

    url = tmp_path / "in" / name
    url.parent.mkdir()
    if name == "a.tif":
        tifffile.imwrite(url, voxels)
    elif name == "a.mrc":
        with mrcfile.new(url) as file:
            file.set_data(voxels.astype("int8"))
    else:
        Image.fromarray(voxels[0]).save(url)
    sound = open_source(str(url), IngestOptions(voxel_nm=(9, 9, 9)))
    with flaky_disk(tmp_path / "in", rate, seed=2) as faults:
        source = open_source(str(url), IngestOptions(voxel_nm=(9, 9, 9)))
        read = source.read(_whole(source))
    np.testing.assert_array_equal(read, sound.read(_whole(sound)))
    if rate == 0.2:
        assert faults.count[READS]


def _whole(source):
    from volproc.grid.box import whole_box

    return whole_box(source.shape)


def test_tries_and_pauses_are_in_the_line_of_a_disk_that_stays_away(tmp_path, voxels):
    volume = write_volume(tmp_path / "a.zarr", voxels)
    with flaky_disk(tmp_path, 1.0) as faults, pytest.raises(Exception, match="cannot re") as caught:
        open_volume(volume.info.url)
    said = str(caught.value)
    assert "tried 17 times, with pauses of" in said
    assert len(faults.pauses) % 16 == 0  # zarr looks for several files at once
    assert said.count("tried") == 1
