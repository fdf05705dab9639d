import shutil

import fsspec
import numpy as np
import pytest
import zarr

from volproc.errors import VolumeError
from volproc.stages.check.stage import plan_check

DEPTHS = ("fast", "samples", "deep")
DEEPER = DEPTHS[1:]


def flipped(path, *, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "uint16"},
        {"dtype": "float32"},
        {"dtype": "uint32", "kind": "labels"},
        {"channels": ("x", "y", "z")},
        {"max_levels": 1},
        {"version": "0.4"},
        {"version": "0.4", "dtype": "uint32", "kind": "labels"},
    ],
)
@pytest.mark.parametrize("depth", DEPTHS)
def test_what_volproc_writes_is_sound(written, check, options, depth):
    assert check(written("a.zarr", **options), depth) == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_volumes_on_a_web_server(sound, listing_web_server, check, depth):
    assert check(f"{listing_web_server}/a.zarr", depth) == []
    (sound / "0/c/1/2/0").unlink()
    assert [one[:2] for one in check(f"{listing_web_server}/a.zarr", depth)] == [("error", "0")]


def test_a_web_server_that_lists_no_files(sound, web_server, check):
    found = check(f"{web_server}/a.zarr", "deep")
    assert [one[:2] for one in found] == [("warning", "")]
    assert "its files cannot be listed, so missing ones go unseen" in found[0][2]


@pytest.mark.parametrize("depth", DEPTHS)
def test_volumes_in_a_store(sound, check, depth):
    memory = fsspec.filesystem("memory")
    memory.put(f"{sound}/", "/check-store.zarr/", recursive=True)
    try:
        assert check("memory://check-store.zarr", depth) == []
        memory.rm_file("/check-store.zarr/1/c/0/0/1")
        assert [one[:2] for one in check("memory://check-store.zarr", depth)] == [("error", "1")]
    finally:
        memory.rm("/check-store.zarr", recursive=True)


@pytest.mark.parametrize("depth", DEPTHS)
def test_both_engines_find_a_sound_volume_sound(sound, check, any_runner, depth):
    assert check(sound, depth, any_runner) == []


@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
@pytest.mark.parametrize("method", ["resize", "local_mean", "nearest"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_what_ome_zarr_writes_is_sound(tmp_path, check, depth, method):
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image, write_labels

    rng = np.random.default_rng(0)
    grey = (100 + 50 * np.sin(np.arange(131) / 9) + rng.uniform(0, 40, (31, 130, 131))).astype("u1")
    group = zarr.open_group(str(tmp_path / "o.zarr"), mode="w")
    common = {
        "scaler": None,
        "scale_factors": (2, 4, 8),
        "axes": "zyx",
        "scale": {"z": 50.0, "y": 10.0, "x": 10.0},
        "axes_units": dict.fromkeys("zyx", "nanometer"),
    }
    write_image(grey, group, method=Methods(method), **common)
    assert check(tmp_path / "o.zarr", depth) == []
    write_labels((grey > 100).astype("u2"), group, "bright", **common)
    # ome-zarr 0.18 leaves the version out of the group of labels
    unversioned = "ome-zarr-models refuses it: LabelsAttrs: version: Field required"
    assert check(tmp_path / "o.zarr", depth) == [("warning", "", unversioned)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_missing_file_of_an_image(sound, check, depth):
    (sound / "0/c/1/2/0").unlink()
    assert check(sound, depth) == [
        (
            "error",
            "0",
            "1 of 18 chunk files are missing (c/1/2/0): their voxels are lost",
        )
    ]


def test_a_missing_file_of_labels_is_a_loss_but_in_those_of_earlier_versions(sound, check, edit):
    (sound / "labels/nuclei/1/c/0/0/0").unlink()
    ((severity, where, what),) = check(sound, "fast")
    assert (severity, where) == ("error", "labels/nuclei/1")
    assert "1 of 8 chunk files are missing" in what

    def forget(document):  # they left out files of background
        del document["attributes"]["volproc"]["complete"]

    edit(sound / "labels/nuclei", forget)
    assert check(sound, "fast") == []
    found = check(sound, "deep")
    assert {one[:2] for one in found} == {
        (x, f"labels/nuclei/{n}") for n in "12" for x in ["error"]
    }
    assert all("do not come from" in what for _, _, what in found)


@pytest.mark.parametrize("depth", DEPTHS)
def test_an_empty_file(sound, check, depth):
    (sound / "1/c/0/0/1").write_bytes(b"")
    wanted = ("error", "1/c/0/0/1", "is empty (0 bytes): its voxels are lost")
    assert check(sound, depth) == [wanted]


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_a_kill_left(sound, check, depth):
    (sound / "0/c/0/0/0.abc.partial").write_bytes(b"x")
    found = check(sound, depth)
    assert [(one[0], one[1]) for one in found] == [("warning", "0/c/0/0/0.abc.partial")]


@pytest.mark.parametrize("level", ["0", "1"])
def test_a_truncated_shard_is_named(sound, check, level):
    shard = sound / level / "c/0/1/1"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    assert check(sound, "fast") == []
    ((severity, where, what),) = check(sound, "deep")
    assert (severity, where) == ("error", f"{level}/c/0/1/1")
    assert what.startswith("cannot be read: Stored and computed checksum do not match")


def test_a_truncated_shard_is_named_by_a_sample(sound, check):
    shard = sound / "0/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:500])
    assert [one[1] for one in check(sound, "samples")] == ["0/c/0/0/0"]


@pytest.mark.parametrize("byte", [3, -8])
def test_a_flipped_byte_in_a_chunks_frame_or_the_shards_index(sound, check, byte):
    flipped(sound / "0/c/0/1/1", byte=byte)
    assert [one[:2] for one in check(sound, "deep")] == [("error", "0/c/0/1/1")]


def test_a_flipped_byte_among_the_voxels_shows_in_the_next_level(sound, check):
    """zstd frames carry no checksum: such a byte decodes, to another voxel."""
    flipped(sound / "0/c/0/1/1", byte=900)
    ((severity, where, what),) = check(sound, "deep")
    assert (severity, where) == ("error", "1")
    assert "do not come from" in what


@pytest.mark.parametrize("depth", DEEPER)
def test_the_voxels_of_another_volume(sound, written, check, depth):
    other = written("b.zarr", dtype="uint8")
    values = zarr.open_array(str(other / "1"), mode="r+")
    values[:] = 255 - values[:]
    shutil.rmtree(sound / "1/c")
    shutil.copytree(other / "1/c", sound / "1/c")
    found = check(sound, depth)
    assert {one[:2] for one in found} == {("error", "1"), ("error", "2")}


@pytest.mark.parametrize("kind", ["image", "labels"])
@pytest.mark.parametrize("depth", DEEPER)
def test_a_swapped_level_of_others(written, check, edit, kind, depth):
    url = written("a.zarr", dtype="uint16", kind=kind)
    edit(url, lambda document: document["attributes"].pop("volproc"))
    assert check(url, depth) == []
    values = zarr.open_array(str(url / "1"), mode="r+")
    values[:] = np.flip(values[:], axis=(0, 1))
    assert ("error", "1") in {one[:2] for one in check(url, depth)}


def test_not_a_number_is_a_warning(written, check):
    url = written("a.zarr", dtype="float32", max_levels=1)
    values = zarr.open_array(str(url / "0"), mode="r+")
    values[3, 4, 5] = np.nan
    assert check(url, "fast") == []
    assert check(url, "deep") == [("warning", "0", "1 voxels are not a number (NaN)")]


def test_several_things_at_once_are_all_named(sound, check, edit):
    (sound / "0/c/1/2/0").unlink()
    (sound / "1/c/0/0/1").write_bytes(b"")
    edit(sound, lambda d: d["attributes"]["volproc"].update(finished=False))
    edit(sound / "labels/nuclei", lambda d: d["attributes"]["volproc"].update(finished=False))
    found = check(sound, "deep")
    assert [one[1] for one in found] == ["", "1/c/0/0/1", "labels/nuclei"]


def test_a_check_reads_anew_every_time(sound, check, runner):
    assert check(sound, "deep", runner) == []
    flipped(sound / "0/c/0/1/1", byte=3)
    assert len(check(sound, "deep", runner)) == 1


def test_nothing_there(tmp_path):
    with pytest.raises(VolumeError, match=r"none\.zarr does not exist"):
        plan_check(str(tmp_path / "none.zarr"))


@pytest.mark.real
def test_a_real_volume_of_which_levels_are_missing(real_data, check):
    found = check(real_data / "ome-zarr" / "6001240_labels_v0.5.zarr", "deep")
    assert found == [("warning", "", "its finest level is called 2: 0, 1 missing?")]
