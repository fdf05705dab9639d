import io
import math
import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.stages.ingest.empiar.servers import Fault, HttpArchive

from volproc import IngestOptions, lease
from volproc.errors import IngestError, StoppedError
from volproc.stages.ingest import stage
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.volume import metadata

SLICES = np.random.default_rng(2).integers(1, 250, (70, 60, 50), dtype="uint8")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(metadata, "SHARD_BYTES", 2**16)
    monkeypatch.setattr("volproc.stages.ingest.shard_layout.SHARD_BYTES", 2**16)
    monkeypatch.setattr(metadata, "MIN_LEVEL", 16)
    monkeypatch.setattr(metadata, "FLAT_CHUNK", (16, 128, 128))


def tiff(values, **how):
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack", **how)
    return file.getvalue()


def entry(**more):
    """An archive with the slices of one series, and other files beside them."""
    files = {f"data/roi/s_{n:03}.tif": tiff(plane) for n, plane in enumerate(SLICES)}
    return HttpArchive({**files, "10094.xml": b"<entry/>", **more})


def planned(tmp_path, archive, *, fetch=None, **options):
    given = {"voxel_nm": (50, 10, 10), **options}
    url = str(tmp_path / "out.zarr")
    return plan_ingest(
        "EMPIAR-10094", url, IngestOptions(**given), archive.options(**(fetch or {}))
    )


def cached(tmp_path):
    return sorted(p.name for p in (tmp_path / "out.zarr.volproc/files").rglob("*.tif"))


@pytest.mark.parametrize("keep", [True, False])
def test_an_entry_is_ingested_while_it_arrives(tmp_path, any_runner, quick, keep):
    """As commands do it: under a lease."""
    with entry() as archive:
        archive.faults["/empiar/world_availability/10094/data/roi/s_020.tif"] += [
            Fault(after=1000),
            Fault(status=503),
        ]
        plan = planned(tmp_path, archive, keep=keep)
        assert len(cached(tmp_path)) <= 3
        with lease.holding(f"{tmp_path}/out.zarr.volproc/lease"):
            volume = run_ingest(plan, any_runner)
    assert np.array_equal(volume.read(volume.info.box), SLICES)
    assert len(cached(tmp_path)) == (70 if keep else 0)


def test_files_go_as_soon_as_their_blocks_are_recorded(tmp_path, runner, monkeypatch):
    most = []
    real = stage.CopyBlock.store

    def store(task, block, result):
        most.append(len(cached(tmp_path)))
        return real(task, block, result)

    monkeypatch.setattr(stage.CopyBlock, "store", store)
    with entry() as archive:
        plan = planned(tmp_path, archive, keep=False)
        run_ingest(plan, runner)
    depth = plan.blocks.core[0]
    assert len(most) == len(plan.blocks) > 4
    # those of a block and the two after it, the last one seen when planning, and what is under way
    assert max(most) <= 3 * depth + 3


def test_what_was_converted_is_not_fetched_again(tmp_path, runner, monkeypatch):
    real = stage.CopyBlock.store

    def fail(task, block, result):
        if block.core.start[0] >= 32:
            raise IngestError("stopped here")
        return real(task, block, result)

    with entry() as archive:
        with monkeypatch.context() as broken:
            broken.setattr(stage.CopyBlock, "store", fail)
            with pytest.raises(Exception, match="stopped here"):
                run_ingest(planned(tmp_path, archive, keep=False), runner)
        assert "s_016.tif" not in cached(tmp_path)
        asked = len(archive.gets("data/roi/s_016.tif"))
        volume = run_ingest(planned(tmp_path, archive, keep=False), runner)
        assert len(archive.gets("data/roi/s_016.tif")) == asked == 1
    assert np.array_equal(volume.read(volume.info.box), SLICES)
    assert cached(tmp_path) == []


def test_files_of_blocks_that_had_no_time_stay(tmp_path, runner):
    with entry() as archive:
        plan = planned(tmp_path, archive, keep=False)
        runner.clock, runner.until = count().__next__, 4
        with pytest.raises(StoppedError, match="3 of"):
            run_ingest(plan, runner)
        next_one = f"s_{3 * plan.blocks.core[0]:03}.tif"
        assert next_one in cached(tmp_path)
        runner.until = math.inf
        volume = run_ingest(planned(tmp_path, archive, keep=False), runner)
        assert len(archive.gets(f"data/roi/{next_one}")) == 1
    assert np.array_equal(volume.read(volume.info.box), SLICES)
    assert cached(tmp_path) == []


def test_grey_values_are_sampled_from_files_that_come_first(tmp_path, runner):
    files = {f"data/s_{n:03}.tif": tiff(p.astype("uint16") * 100) for n, p in enumerate(SLICES)}
    with HttpArchive(files) as archive:
        plan = planned(tmp_path, archive, keep=False, dtype="uint8")
        volume = run_ingest(plan, runner)
    assert volume.info.dtype == "uint8"
    assert cached(tmp_path) == []


@pytest.mark.parametrize("keep", [True, False])
def test_an_entry_of_one_stack(tmp_path, runner, keep):
    with HttpArchive({"data/stack.tif": tiff(SLICES)}) as archive:
        volume = run_ingest(planned(tmp_path, archive, keep=keep), runner)
    assert np.array_equal(volume.read(volume.info.box), SLICES)
    assert len(cached(tmp_path)) == keep


def test_several_series_are_told_apart_by_a_pattern(tmp_path, runner):
    other = {f"data/other/s_{n}.tif": tiff(SLICES[n] // 2) for n in range(4)}
    with entry(**other) as archive:
        message = r"data/other/\*\.tif \(4 files\), data/roi/\*\.tif \(70 files\).*--pattern"
        with pytest.raises(IngestError, match=message):
            planned(tmp_path, archive)
        plan = planned(tmp_path, archive, fetch={"pattern": ("data/other/*",)})
        volume = run_ingest(plan, runner)
    assert np.array_equal(volume.read(volume.info.box), SLICES[:4] // 2)


def test_a_slice_that_changed_on_the_server_is_noticed(tmp_path, runner):
    with entry() as archive:
        run_ingest(planned(tmp_path, archive), runner)
        archive.served("data/roi/s_004.tif").date += 100
        with pytest.raises(IngestError, match=r"changed since .*--changed redo"):
            planned(tmp_path, archive)


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"data/a.txt": b"x"}, {}, "has no image files"),
        ({}, {"match_slices": True, "keep": False}, "keep them"),
        ({"data/roi/s_009.tif": b""}, {}, r"s_009\.tif is not a TIFF file"),
        ({"data/roi/s_009.tif": tiff(SLICES[0, :9])}, {}, "all slices need one size"),
    ],
)
def test_what_cannot_be_ingested_is_one_line(tmp_path, runner, quick, files, options, message):
    archive = HttpArchive(files) if "data/a.txt" in files else entry(**files)
    with archive, pytest.raises(Exception, match=message) as caught:
        run_ingest(planned(tmp_path, archive, **options), runner)
    assert "\n" not in str(caught.value)


def test_an_output_at_a_url_needs_a_folder_for_the_files(tmp_path):
    with entry() as archive, pytest.raises(IngestError, match=r"\[fetch\] folder"):
        plan_ingest(
            "EMPIAR-10094",
            "memory://out.zarr",
            IngestOptions(voxel_nm=(50, 10, 10)),
            archive.options(),
        )


def test_the_cache_may_be_elsewhere(tmp_path, runner):
    with entry() as archive:
        fetch = {"folder": str(tmp_path / "cache")}
        volume = run_ingest(planned(tmp_path, archive, fetch=fetch), runner)
    assert np.array_equal(volume.read(volume.info.box), SLICES)
    assert len(list(Path(tmp_path / "cache").rglob("*.tif"))) == 70
    assert not os.path.exists(tmp_path / "out.zarr.volproc/files")


@pytest.mark.parametrize("keep", [True, False])
def test_of_a_part_only_its_files_are_fetched(tmp_path, runner, keep):
    with entry() as archive:
        plan = planned(tmp_path, archive, keep=keep, box="20:40,10:50,:")
        headers = cached(tmp_path)
        volume = run_ingest(plan, runner)
        assert not archive.gets("data/roi/s_010.tif")
        assert archive.gets("data/roi/s_020.tif")
    assert np.array_equal(volume.read(volume.info.box), SLICES[20:40, 10:50])
    part = {f"s_{n:03}.tif" for n in range(20, 40)}
    assert set(cached(tmp_path)) == set(headers) | part if keep else set(headers) - part
