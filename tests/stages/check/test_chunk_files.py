"""Files behind links, and listings that lead in a circle."""

import os
import shutil

import pytest


def moved(folder, name):
    """`name` below the folder lies elsewhere, and a link leads there."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    target = elsewhere / name.replace("/", "_")
    os.rename(folder / name, target)
    os.symlink(target, folder / name)


@pytest.mark.parametrize("depth", ["fast", "samples", "deep"])
@pytest.mark.parametrize(
    "names",
    [
        ["0"],  # a level on another disk
        ["0", "1", "2"],
        ["labels"],
        ["labels/nuclei"],
        ["labels/nuclei/0"],
        ["0/c"],  # only the chunks
        ["0/c/0"],
        ["0/c/0/0/0"],  # datalad/datalad#4893: every file is a link
        ["0/zarr.json"],
        ["zarr.json"],
    ],
)
def test_a_volume_behind_links_is_sound(sound, check, names, depth):
    """xiangruili/dicm2nii#57, photoprism/photoprism#1723: parts on a second disk."""
    for name in names:
        moved(sound, name)
    assert check(sound, depth) == []


def test_the_volume_itself_may_be_a_link(sound, check):
    os.symlink(sound.name, sound.parent / "link.zarr")
    assert check(sound.parent / "link.zarr") == []


def test_what_is_missing_behind_a_link_is_missing(sound, check):
    moved(sound, "0")
    os.remove(sound / "0/c/0/1/1")
    assert [(severity, where) for severity, where, _ in check(sound, "fast")] == [("error", "0")]


def test_a_link_to_nothing_is_a_missing_level(sound, check):
    moved(sound, "0")
    shutil.rmtree(sound.parent / "elsewhere/0")
    assert any("no array can be opened" in what for _, _, what in check(sound, "fast"))


@pytest.mark.parametrize("target", [".", "..", "0", "../a.zarr", "labels"])
def test_links_that_lead_back_end(sound, check, target):
    """anufrievroman/waypaper#132: a folder that is a link made the listing run for ever."""
    os.symlink(target, sound / "again")
    os.symlink("..", sound / "labels/up")
    assert check(sound, "fast") == []
