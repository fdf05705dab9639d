"""Rows: disks and stores that fail, and files that are not what they were."""

import os
from functools import partial

import tifffile
import zarr

from faults import injuries
from faults.cells import (
    IDENTICAL,
    REFUSED,
    Wrong,
    calm_of,
    either,
    require_identical,
    require_refusal,
    require_same,
)
from faults.places import copied, moved, remove_all
from faults.shots import Shot

HIDDEN_S = 40
OTHER_SHARDS = 2**17
DAMAGES = ("removed", "cut", "zeroed", "swapped")


def flaky(kind, rate, cell):
    """A share of the calls of a kind fails, once each"""
    fault = injuries.flaky(cell.below, kind, rate, cell.seed)
    return either(cell, cell.ends(fault), f"{rate:.0%} of calls to {kind} failed")


def hidden(cell):
    """A file is invisible for 40 s (the clock is a made one)"""
    name = cell.shards(cell.column.source)[-1] if cell.column.source else "in/stack.tif"
    if cell.column.source:  # files of a volume are waited for while it is young
        described = f"{cell.column.source}/zarr.json"
        cell.place.write(described, cell.place.read(described))
    put_back = set_aside(cell.place, name)
    ended = cell.ends(injuries.clock_with(HIDDEN_S, put_back))
    if ended.code or cell.place.files("out") == cell.calm.files:
        return either(cell, ended, f"{name} was hidden", mend=put_back)
    # the list of its files, too, was made while it was hidden: the input seems edited since
    require_same(_voxels(cell.place.files("out")), _voxels(cell.calm.files), f"{name} was hidden")
    require_identical(cell, cell.ends(), "given again, all seen")
    return "identical, made twice"


def _voxels(files):
    """All but the descriptions, in which volproc notes what a result was made from."""
    return {name: told for name, told in files.items() if not name.endswith(".json")}


def set_aside(place, name):
    """Hide a file; the returned function brings it back, its date kept."""
    if place.remote:
        content = place.read(name)
        place.remove(name)
        return lambda: place.write(name, content)
    path, away = place.folder / name, place.folder / "hidden"
    path.rename(away)
    return lambda: away.rename(path) if away.exists() else None


def damage(place, names, how):
    """Do that to the second of the shards; the returned function undoes it, dates kept."""
    name, neighbour = names[1], names[0]
    kept = {one: (place.read(one), _date(place, one)) for one in (name, neighbour)}
    content = kept[name][0]
    if how == "removed":
        place.remove(name)
    elif how == "swapped":
        place.write(name, kept[neighbour][0])
        place.write(neighbour, content)
    else:
        place.write(name, content[: len(content) // 2] if how == "cut" else bytes(len(content)))

    def undo():
        for one, (was, date) in kept.items():
            place.write(one, was)
            if date:
                os.utime(place.folder / one, ns=(date, date))

    return undo


def _date(place, name):
    return None if place.remote else (place.folder / name).stat().st_mtime_ns


def input_damaged(how, cell):
    """One shard of what is read"""
    names = cell.shards(cell.column.source)
    if how == "swapped":  # sound shards: an edit, as far as anybody can tell
        return _seen_as_edit(cell, lambda place: damage(place, names, how))
    undo = damage(cell.place, names, how)
    ended = cell.ends(injuries.clock_with(0, lambda: None))  # absent files are waited for
    require_refusal(ended, f"a shard of its input was {how}")
    undo()
    require_identical(cell, cell.ends(), "once it was whole again")
    return REFUSED


def edited(cell):
    """What was read is edited by another program, and the command given again"""
    return _seen_as_edit(cell, partial(_edit, cell.column))


def _edit(column, place):
    if column.source:
        url = f"{place.root}/{column.source}"
        array = zarr.open_group(url, mode="r+")["0"]
        array[2:6, 3:12, 4:12] = 1
    else:
        path = place.folder / "in" / "stack.tif"
        values = tifffile.imread(path)
        values[:, 3:12] //= 2
        tifffile.imwrite(path, values)
        if place.remote:
            place.write("in/stack.tif", path.read_bytes())


def _seen_as_edit(cell, edit):
    """Done, edited, given again: as made of the edited input, and said so; or all left alone."""
    require_identical(cell, cell.ends(), "at first")
    edit(cell.place)
    ended = cell.ends()
    if ended.code:
        require_refusal(ended, "after the edit")
        require_same(cell.place.files("out"), cell.calm.files, "left alone after the edit")
        return REFUSED
    if "changed" not in ended.said:
        raise Wrong(f"the edit is not spoken of: {ended.said[-600:]}")
    place = cell.place.at(f"{cell.place.folder.name}-edited")
    copied(cell.place, place)
    remove_all(place, "out")
    require_identical(cell, ended, "after the edit", calm=calm_of(cell.column, place))
    return IDENTICAL


def output_damaged(how, cell):
    """One shard of a finished output: found by check, repaired, made again"""
    require_identical(cell, cell.ends(), "at first")
    out = cell.column.writes
    damage(cell.place, cell.shards(out), how)
    url = cell.place.url(out)
    found = cell.volproc("check", url, "--deep", "--serial")
    if found.code != 1 or "Traceback" in found.said:
        raise Wrong(f"check does not find it: exit code {found.code}: {found.said[-600:]}")
    cell.volproc("check", url, "--deep", "--repair", "--serial")
    # two sound files, swapped: nobody can tell which level is wrong, so all is remade
    more = cell.column.anew if how == "swapped" else ()
    require_identical(cell, cell.ends(more=more), "after the repair")
    return REFUSED


def disk_full(cell):
    """The disk is full from halfway on"""
    fault = injuries.no_space(cell.below, cell.calm.changes // 2)
    ended = cell.ends(fault)
    if not ended.code:
        raise Wrong(f"no byte was written, and it ends well: {ended.said[-600:]}")
    return either(cell, ended, "the disk was full")


def server_away(seconds, cell):
    """From halfway on nobody answers, for so many seconds (the clock is a made one)"""
    back = []
    fault = injuries.away(cell.below, cell.calm.changes // 2, back)
    clock = injuries.clock_with(seconds, lambda: back.append(True))
    return either(cell, cell.ends(fault, clock), f"its server was away for {seconds} s")


def read_only(cell):
    """The input may not be written (measure notes properties in it unless told not to)"""
    return either(cell, cell.ends(injuries.read_only(cell.below[:1])), "with a read-only input")


def upgraded(cell):
    """Killed, and gone on with by a release that makes other shards"""
    cell.ends(injuries.at_change(cell.change(0.6), injuries.die))
    newer = injuries.cut_as(OTHER_SHARDS)
    ended = cell.ends(newer)
    if ended.code:
        return either(cell, ended, "another release")
    place = cell.fresh("newer")
    made = Shot(place.folder, cell.column.arguments(place), newer).ended()
    if made.code:
        raise Wrong(f"the other release alone: {made.said[-600:]}")
    require_same(cell.place.files("out"), place.files("out"), "gone on with by another release")
    return IDENTICAL


def moved_away(cell):
    """Killed, its folder moved, and gone on with there"""
    cell.ends(injuries.at_change(cell.change(0.6), injuries.die))
    place = moved(cell.place, cell.place.at(f"{cell.place.folder.name}-moved"))
    ended = cell.ends(place=place)
    if ended.code:
        require_refusal(ended, "moved")
        return REFUSED
    require_identical(cell, ended, "moved", place=place)
    return IDENTICAL
