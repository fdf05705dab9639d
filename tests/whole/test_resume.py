"""Whatever is killed, the next run of the same command ends as if nothing had happened.

"As if" means: the same files with the same bytes, see `assert_same_results`.
"""

import os
import random
import signal
import time
from itertools import pairwise

import numpy as np
import pytest
import tifffile

RUN = ("run", "workflow.toml", "--quiet")


@pytest.fixture(scope="session")
def moments():
    """moments(10, of=87): so many numbers of blocks, in order, spread from the first to the last.

    One in each tenth of the run, say, at random; the same ones every time.
    """

    def choose(count, *, of, seed=5):
        rng = random.Random(seed)
        edges = np.linspace(0, of, count + 1).astype(int)
        return [rng.randrange(a, b) for a, b in pairwise(edges)]

    return choose


def inside_a_block(number):
    """A moment that is not always right after the last block's end."""
    time.sleep(random.Random(number).random() * 0.05)


def finish(start, here, *command):
    last = start(here.folder, *(command or RUN))
    assert last.wait() == 0, last.messages.read_text()
    return last


def assert_nothing_partial(folder):
    assert [path for path in folder.rglob("*") if "partial" in path.name] == []


def kill_and_go_on(start, here, blocks, *command):
    """Start again and again, killed each time once so many blocks were written in all."""
    for number in blocks:
        running = start(here.folder, *command)
        assert running.until(lambda n=number: len(here.events("BlockDone")) > n), "ended before"
        inside_a_block(number)
        running.kill()


def test_a_run_killed_ten_times_ends_as_an_undisturbed_one(
    place, start, undisturbed, moments, same_results
):
    total = len(undisturbed.events("BlockDone"))
    here = place("killed")
    kill_and_go_on(start, here, moments(10, of=total - 12), *RUN)
    finish(start, here)
    same_results(undisturbed.run, here.run)
    assert_nothing_partial(here.run)
    # at most the one block that was at work is done twice
    assert len(here.events("BlockDone")) <= total + 10


def killed_at_writes(start, here, *command, most):
    """Die before some random write, again and again, until a run reaches its end; the deaths."""
    rng = random.Random(most)
    for deaths in range(500):
        running = start(here.folder, *command, die_before_write=rng.randint(1, most))
        code = running.wait()
        assert code in (0, -signal.SIGKILL), running.messages.read_text()
        if code == 0:
            return deaths
    raise AssertionError("it never ends")


def test_a_run_killed_at_writes_ends_as_an_undisturbed_one(place, start, undisturbed, same_results):
    here = place("killed")
    assert killed_at_writes(start, here, *RUN, most=110) >= 10
    same_results(undisturbed.run, here.run)
    assert_nothing_partial(here.run)


@pytest.mark.dask
def test_a_run_outlives_its_workers_and_its_workers_do_not_outlive_it(
    place, start, undisturbed, moments, same_results
):
    """One worker is killed, then the client; the second run loses another worker, and ends.

    As on a machine with a GPU: the client dies when predict's worker goes, and others come.
    """
    total = len(undisturbed.events("BlockDone"))
    here = place("dask", kind="local")
    first, _, third = moments(3, of=total - 12)
    running = start(here.folder, *RUN, gpus=1)
    kill_a_worker(running, here, first)
    assert running.until(lambda: any(e["step"] == "predict" for e in here.events("StepFinished")))
    inside_a_block(first)
    running.kill()
    assert len(here.events("BlockDone")) < third
    running = start(here.folder, *RUN, gpus=1)
    kill_a_worker(running, here, third)
    assert running.wait() == 0, running.messages.read_text()
    assert here.events("BlockFailed") == []
    same_results(undisturbed.run, here.run)
    assert_nothing_partial(here.run)


@pytest.mark.slow
@pytest.mark.dask
def test_a_run_on_dask_that_loses_ten_clients_and_five_workers(
    place, start, undisturbed, moments, same_results
):
    total = len(undisturbed.events("BlockDone"))
    here = place("dask", kind="local")
    for turn, number in enumerate(moments(10, of=total - 20)):
        before = len(here.events("BlockDone"))
        running = start(here.folder, *RUN)
        if turn % 2:
            kill_a_worker(running, here, before)
        wanted = max(number, before + 1)
        assert running.until(lambda n=wanted: len(here.events("BlockDone")) > n)
        inside_a_block(number)
        running.kill()
    finish(start, here)
    same_results(undisturbed.run, here.run)
    assert_nothing_partial(here.run)


def kill_a_worker(running, here, number):
    assert running.until(lambda: len(here.events("BlockDone")) > number and running.workers())
    inside_a_block(number)
    chosen = random.Random(number).choice(running.workers())
    os.kill(chosen.pid, signal.SIGKILL)


PHANTOM = ("phantom", "run/made.zarr", "--shape", "20", "300", "300", "--serial")
INGEST = ("ingest", "stack.tif", "run/made.zarr", "--voxel-nm", "50", "20", "20", "--serial")


@pytest.mark.parametrize("command", [PHANTOM, (*INGEST, "--match-slices")], ids=lambda c: c[0])
def test_a_single_command_killed_at_writes_ends_as_undisturbed(
    tmp_path, place, start, same_results, command
):
    calm, killed = place("calm"), place("killed")
    stack = np.random.default_rng(2).integers(1, 255, (150, 300, 300), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack)
    for here in (calm, killed):
        os.link(tmp_path / "stack.tif", here.folder / "stack.tif")
    finish(start, calm, *command)
    assert killed_at_writes(start, killed, *command, most=120) >= 3
    names = [path.name for path in calm.run.iterdir() if path.name != "made.zarr.volproc"]
    assert "made.zarr" in names
    same_results(calm.run, killed.run, names)
    assert_nothing_partial(killed.run / "made.zarr")


def test_only_what_depends_on_a_change_is_redone(place, start, scene, tmp_path):
    """Another threshold, another fusion, another source, a volume removed by hand."""
    source = tmp_path / "source.tif"
    source.write_bytes(scene.tiff.read_bytes())
    here = place("run", source=source)
    finish(start, here)
    once = here.blocks_done()

    def done_by(*command):
        here.log.unlink(missing_ok=True)  # where nothing was to do there is none
        finish(start, here, *RUN, *command)
        return here.blocks_done()

    def those_of(*words):
        return {step: n for step, n in once.items() if any(word in step for word in words)}

    labelling = those_of(
        *("label", "merge", "unite", "number", "ids", "relabel", "pyramid of labels", "doubt")
    )
    assert done_by() == {}
    assert done_by("--set", "label.threshold=0.6") == labelling
    assert done_by() == labelling
    assert done_by("--set", "predict.fusion=max") == {
        **those_of("predict", "pyramid of votes", "pyramid of prediction", "evaluate"),
        **labelling,
    }
    redone = those_of("predict", "of votes", "of prediction", "evaluate")
    assert done_by() == {**redone, **labelling}

    os.rename(here.run / "prediction.zarr", tmp_path / "prediction.zarr")
    assert done_by() == those_of("predict", "pyramid of votes", "pyramid of prediction")
    os.rename(here.run / "objects.zarr", tmp_path / "objects.zarr")
    assert done_by() == those_of("number", "relabel", "pyramid of labels")
    os.rename(here.run / "image.zarr", tmp_path / "image.zarr")
    assert done_by() == those_of("ingest", "pyramid of image")

    values = tifffile.imread(source)
    tifffile.imwrite(source, values[:, ::-1])
    refused = start(here.folder, *RUN)
    assert refused.wait() == 2
    assert "files that have changed since" in refused.messages.read_text()
    assert done_by("--set", "ingest.changed=redo") == once
