import pickle
import shutil
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import zarr

from volproc import lease
from volproc.errors import GridError, VolumeError
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.lease.lease_file import create
from volproc.lease.owner import this_process
from volproc.volume.metadata import Window, new_volume
from volproc.volume.store import Volume, create_volume, open_volume


def new(folder, name="a.zarr", *, shape=(20, 40, 50), **more):
    voxel_nm = VoxelNm((50, 10, 10))
    options = {"dtype": "uint8", "chunks": (8, 8, 8), "shards": (16, 16, 32), **more}
    return new_volume(str(folder / name), shape=shape, voxel_nm=voxel_nm, **options)


def begin(info, digest="d"):
    return create_volume(info, step="ingest", digest=digest, version="0")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_voxels_and_metadata_survive(tmp_path, dtype):
    volume = begin(new(tmp_path, dtype=dtype))
    values = np.random.default_rng(0).integers(0, 200, (20, 40, 50)).astype(dtype)
    volume.write(volume.info.box, values)
    volume.finish()
    again = open_volume(tmp_path / "a.zarr")
    box = Box((1, 2, 3), (20, 11, 44))
    assert np.array_equal(again.read(box), values[box.slices])
    assert again.read(box).dtype == dtype
    assert again.info.levels == volume.info.levels
    assert np.array_equal(pickle.loads(pickle.dumps(again)).read(box), values[box.slices])


def test_a_finished_image_says_how_to_show_it(tmp_path):
    values = np.random.default_rng(0).integers(20, 200, (20, 40, 50), dtype="uint8")
    values[0, 0, :20] = 255
    volume = begin(new(tmp_path))
    volume.write(volume.info.box, values)
    volume.finish()
    (channel,) = zarr.open_group(str(tmp_path / "a.zarr")).attrs["ome"]["omero"]["channels"]
    assert channel["window"] == {"min": 0, "max": 255, "start": 20, "end": 199}
    begin(new(tmp_path, window=Window(0, 255, 0, 255)), digest="probabilities").finish()
    (channel,) = zarr.open_group(str(tmp_path / "a.zarr")).attrs["ome"]["omero"]["channels"]
    assert channel["window"] == {"min": 0, "max": 255, "start": 0, "end": 255}
    labels = begin(new(tmp_path, "a.zarr/labels/nuclei", kind="labels", dtype="uint32")).finish()
    assert "omero" not in zarr.open_group(labels.info.url).attrs["ome"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_volume_of_invalid_metadata_stays_unfinished(tmp_path, version):
    volume = begin(new(tmp_path, version=version))
    (level,) = volume.info.levels
    wrong = replace(volume.info, levels=(replace(level, path="none"),))
    with pytest.raises(VolumeError, match=f"is not valid OME-Zarr {version} and stays unfinished"):
        Volume(replace(wrong, window=Window(0, 255, 0, 255))).finish()
    with pytest.raises(VolumeError):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_urls_of_files_are_paths(tmp_path, version):
    """Written whole or not at all, like paths."""
    volume = begin(new(tmp_path, version=version))
    url = f"file://{tmp_path}/b.zarr"
    same = begin(replace(volume.info, url=url, provenance={}))
    values = np.ones((20, 40, 50), "uint8")
    for each in (volume, same):
        each.write(each.info.box, values)
        each.finish()
    assert np.array_equal(open_volume(url).read(volume.info.box), values)
    assert names_below(tmp_path / "a.zarr") == names_below(tmp_path / "b.zarr")


def names_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_volumes_are_read_from_a_web_server(tmp_path, version, web_server):
    volume = begin(new(tmp_path, version=version))
    values = np.random.default_rng(1).integers(0, 255, (20, 40, 50), dtype="uint8")
    volume.write(volume.info.box, values)
    volume.finish()
    box = Box((1, 2, 3), (20, 11, 44))
    away = open_volume(f"{web_server}/a.zarr")
    assert np.array_equal(away.read(box), values[box.slices])
    assert pickle.loads(pickle.dumps(away)).fingerprint == away.fingerprint
    with pytest.raises(VolumeError, match=r"http://.*none\.zarr does not exist"):
        open_volume(f"{web_server}/none.zarr")


@pytest.fixture
def web_server(tmp_path):
    """The address of a server of the files in tmp_path; it gives parts, and lists no folders."""

    class Parts(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            file = Path(self.translate_path(self.path))
            if not file.is_file():
                self.send_error(404)
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

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Parts, directory=tmp_path)) as here:
        thread = Thread(target=here.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{here.server_port}"
        here.shutdown()
        thread.join()


def test_volumes_of_old_ome_zarr_are_read(tmp_path):
    values = np.arange(6 * 7 * 8, dtype="uint16").reshape(1, 6, 7, 8)
    group = zarr.open_group(str(tmp_path / "old.zarr"), mode="w", zarr_format=2)
    group.create_array("s0", data=values, chunks=(1, 4, 4, 4))
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = {"type": "scale", "scale": [1, 0.05, 0.02, 0.02]}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "c", "type": "channel"}, *space],
            "datasets": [{"path": "s0", "coordinateTransformations": [scale]}],
        }
    ]
    volume = open_volume(tmp_path / "old.zarr")
    assert volume.info.voxel_nm == pytest.approx((50, 20, 20))
    assert volume.info.channels == ()
    assert np.array_equal(volume.read(volume.info.box), values[0])


@pytest.mark.real
def test_volumes_that_others_wrote_are_read(real_data):
    url = real_data / "ome-zarr" / "6001240_labels_v0.5.zarr"
    volume = open_volume(url)
    assert volume.info.channels == ("LaminB1", "Dapi")
    assert volume.info.shape == (236, 68, 67)
    assert volume.read(Box((0, 0, 0), (2, 3, 4))).shape == (2, 2, 3, 4)
    assert open_volume(url / "labels" / "0").info.kind == "labels"


@pytest.mark.parametrize(
    "box", [Box((0, 0, 0), (8, 16, 32)), Box((0, 8, 0), (20, 40, 50)), Box((0, 0, 0), (16, 16, 31))]
)
def test_writing_a_part_of_a_shard_is_refused(tmp_path, box):
    volume = begin(new(tmp_path))
    with pytest.raises(GridError, match="make the block a multiple of the shard"):
        volume.write(box, np.zeros(box.shape, "uint8"))


def test_reading_outside_is_refused(tmp_path):
    with pytest.raises(GridError, match="is outside"):
        begin(new(tmp_path)).read(Box((0, 0, 0), (21, 1, 1)))


def test_an_unfinished_volume_is_not_trusted(tmp_path):
    begin(new(tmp_path))
    with pytest.raises(VolumeError, match="is unfinished: the ingest step"):
        open_volume(tmp_path / "a.zarr")


def test_a_volume_of_the_same_digest_is_taken_up_another_is_replaced(tmp_path):
    first = begin(new(tmp_path))
    first.write(first.info.box, np.ones((20, 40, 50), "uint8"))
    assert begin(new(tmp_path)).read(first.info.box).all()
    begin(new(tmp_path), digest="other")
    assert not list((tmp_path / "a.zarr" / "0").glob("c/**/0"))


@pytest.mark.parametrize("url", ["{}/a.zarr", "file://{}/a.zarr"])
def test_half_files_of_a_dead_owner_are_removed(tmp_path, url):
    left = tmp_path / "a.zarr" / "0" / "left.partial"
    records = f"{tmp_path}/a.zarr.volproc"
    info = replace(new(tmp_path), url=url.format(tmp_path))
    for state in ("held", "released"):  # killed, or ended as it should
        begin(info)
        left.touch()
        create(records, 7, replace(this_process("before"), pid=2**30, state=state).text())
        with lease.holding(records):
            begin(info)
        assert left.exists() == (state == "released")
        shutil.rmtree(records, ignore_errors=True)


def test_a_smaller_volume_leaves_nothing_of_a_larger_one(tmp_path):
    large = begin(new(tmp_path, shape=(20, 600, 600), shards=(24, 128, 128)))
    assert len(large.info.levels) > 1
    begin(new(tmp_path), digest="other")
    assert sorted(path.name for path in (tmp_path / "a.zarr").iterdir()) == ["0", "zarr.json"]


def test_a_replaced_chunk_of_others_changes_the_identity(tmp_path):
    foreign = zarr.open_group(str(tmp_path / "f.zarr"), mode="w")
    foreign.create_array("0", data=np.zeros((4, 8, 8), "uint8"), chunks=(2, 4, 4))
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    scale = {"type": "scale", "scale": [1, 1, 1]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    foreign.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    before = open_volume(tmp_path / "f.zarr").fingerprint
    assert open_volume(tmp_path / "f.zarr").fingerprint == before
    foreign["0"][2:4, 4:8, 4:8] = 7
    assert open_volume(tmp_path / "f.zarr").fingerprint != before


@pytest.mark.parametrize("left", [".zgroup", ".zattrs", "zarr.json.4f.partial"])
def test_half_a_group_that_a_kill_left_is_written_anew(tmp_path, left):
    zarr.open_group(str(tmp_path / "whole.zarr"), mode="w", zarr_format=2).attrs["mine"] = 1
    (tmp_path / "a.zarr").mkdir()
    half = tmp_path / "whole.zarr" / left
    (tmp_path / "a.zarr" / left).write_text(half.read_text() if half.exists() else "")
    with lease.holding(f"{tmp_path}/a.zarr.volproc"):
        for version in ("0.4", "0.5"):
            begin(new(tmp_path, version=version, kind="labels"), digest=version).finish()
    assert names_below(tmp_path / "a.zarr") == ["0", "0/zarr.json", "zarr.json"]
    with pytest.raises(VolumeError, match="was not written by volproc"):
        begin(new(tmp_path, "whole.zarr"))


def test_what_others_wrote_is_never_replaced(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").attrs["mine"] = 1
    with pytest.raises(VolumeError, match="was not written by volproc"):
        begin(new(tmp_path))
    (tmp_path / "b.zarr").write_text("a file")
    with pytest.raises(VolumeError, match="was not written by volproc"):
        begin(new(tmp_path, "b.zarr"))


@pytest.mark.parametrize("damage", ["cut short", "turned over"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    volume = begin(new(tmp_path))
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 50), dtype="uint8")
    volume.write(volume.info.box, noise)
    shard = tmp_path / "a.zarr" / "0" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2] if damage == "cut short" else content[::-1])
    with pytest.raises(VolumeError, match=r"cannot read .*a\.zarr level 0, voxels z 0:20"):
        volume.read(volume.info.box)


def test_no_volume_no_group_no_unit(tmp_path):
    with pytest.raises(VolumeError, match="does not exist"):
        open_volume(tmp_path / "none.zarr")
    (tmp_path / "text.zarr").write_text("no volume")
    with pytest.raises(VolumeError, match="is not an OME-Zarr volume"):
        open_volume(tmp_path / "text.zarr")
    zarr.open_group(str(tmp_path / "bare.zarr"), mode="w")
    with pytest.raises(VolumeError, match="has no multiscales"):
        open_volume(tmp_path / "bare.zarr")


def test_a_stated_voxel_size_replaces_a_missing_one(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", data=np.zeros((4, 8, 8), "uint8"))
    group.create_array("1", data=np.zeros((4, 4, 4), "uint8"))
    datasets = [
        {"path": p, "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
        for p in "01"
    ]
    axes = [{"name": n, "type": "space"} for n in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    with pytest.raises(VolumeError, match="--voxel-nm"):
        open_volume(tmp_path / "a.zarr")
    info = open_volume(tmp_path / "a.zarr", voxel_nm=(50, 10, 10)).info
    assert [level.voxel_nm for level in info.levels] == [(50, 10, 10), (50, 20, 20)]


def test_identity_changes_with_content_of_others_and_with_our_digest(tmp_path, save_volume):
    ours = save_volume("ours.zarr", np.zeros((8, 8, 8), "uint8"))
    assert open_volume(tmp_path / "ours.zarr").fingerprint == ours.fingerprint
    other = begin(new(tmp_path, "x.zarr", kind="labels"), digest="1").finish().fingerprint
    again = begin(new(tmp_path, "x.zarr", kind="labels"), digest="2")
    assert again.finish().fingerprint != other
