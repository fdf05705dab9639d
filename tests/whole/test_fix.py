"""`volproc fix RUN`: what edits touch is made again and nothing else, whatever is killed."""

import csv
import random
import shutil
import signal

import numpy as np
import pytest

from volproc.volume.store import open_volume

MEASURED = """
            [measure]
            meshes = "ply"
            mesh_error_nm = 0
"""
MADE = ("edited.zarr", "edited.csv", "measure/objects.csv", "measure/meshes", "measure/made.json")


@pytest.fixture(scope="module")
def finished(place, begin):
    """A run with tables and meshes, and no edits."""
    here = place("finished", more=MEASURED)
    command = begin(here.folder, "run", "workflow.toml", "--quiet")
    assert command.wait() == 0, command.messages.read_text()
    return here


@pytest.fixture
def copied(finished, place):
    """copied("name"): the same run once more, with its dates."""

    def copy(name):
        here = place(name, more=MEASURED)
        shutil.copytree(finished.run, here.run)
        here.log.unlink()
        return here

    return copy


def table(place):
    """Lines of a table by id."""
    lines = (place / "objects.csv").read_text().splitlines()
    return {int(line.partition(",")[0]): line for line in lines[1:]}


def rows_by_size(here):
    """Rows of the objects, the largest first."""
    rows = csv.DictReader((here.run / "objects.csv").read_text().splitlines())
    return sorted(rows, key=lambda row: -int(row["voxels"]))


def voxels(here, name):
    volume = open_volume(here.run / name)
    return volume.read(volume.info.box)


def fix(start, here, *arguments):
    command = start(here.folder, "fix", "run", *map(str, arguments))
    assert command.wait() == 0, command.messages.read_text()
    return command


def position(values, identifier, which):
    """A voxel of an object, in nm."""
    at = (np.argwhere(values == identifier)[which] + 0.5) * 50
    return " ".join(map(str, at))


def test_only_what_an_edit_touches_is_made_again(start, copied):
    here = copied("touched")
    base, rows, before = (
        voxels(here, "objects.zarr"),
        rows_by_size(here),
        table(here.run / "measure"),
    )
    meshes = {f.name: f.stat().st_mtime_ns for f in (here.run / "measure" / "meshes").iterdir()}
    large, small = int(rows[0]["id"]), [int(row["id"]) for row in rows[-3:]]
    fix(start, here, "--delete", small[0])  # once the volume is made as a whole
    files = {f: f.stat().st_mtime_ns for f in (here.run / "edited.zarr" / "0").rglob("c/*/*/*")}
    here.log.unlink()
    two = f"{position(base, large, 0)}; {position(base, large, -1)}"
    fix(start, here, "--split", large, "--at", two, "--why", "two nuclei")

    found = voxels(here, "edited.zarr")
    new = int(base.max()) + 1
    assert set(np.unique(found[base == large])) == {large, new}
    others = ~np.isin(base, [large, small[0]])
    assert (found[others] == base[others]).all()

    changed = {f for f in files if f.stat().st_mtime_ns != files[f]}
    core = open_volume(here.run / "edited.zarr").info.write_unit
    places = np.unique(np.argwhere(found == new) // core, axis=0)
    assert {tuple(map(int, f.parts[-3:])) for f in changed} == set(map(tuple, places.tolist()))

    after = table(here.run / "measure")
    assert after.keys() == before.keys() - {small[0]} | {new}
    assert all(after[one] == before[one] for one in after.keys() - {large, new})
    assert after[large] != before[large]
    now = {f.name: f.stat().st_mtime_ns for f in (here.run / "measure" / "meshes").iterdir()}
    again = {name for name in now if now[name] != meshes.get(name)}
    assert again == {f"{large}.ply", f"{new}.ply"}
    assert f"{small[0]}.ply" not in now


def test_tables_and_meshes_are_those_of_a_measurement_from_scratch(start, copied, same_results):
    here = copied("scratch")
    rows = rows_by_size(here)
    ids = [int(row["id"]) for row in rows]
    fix(start, here, "--merge", f"{ids[0]} {ids[1]}")
    fix(start, here, "--paint", ids[2], "--at", "300 1000 1000; 300 2000 2000", "--radius-nm", 150)
    kept = here.folder / "kept"
    shutil.copytree(here.run / "measure", kept / "measure")
    shutil.rmtree(here.run / "measure")
    command = start(here.folder, "run", "workflow.toml", "--quiet")
    assert command.wait() == 0, command.messages.read_text()
    same_results(kept, here.run, ["measure/objects.csv", "measure/meshes"])


def test_killed_at_writes_it_ends_as_undisturbed(start, copied, same_results):
    calm = copied("calm")
    ids = [int(row["id"]) for row in rows_by_size(calm)]
    base = voxels(calm, "objects.zarr")
    two = f"{position(base, ids[0], 0)}; {position(base, ids[0], -1)}"
    fix(start, calm, "--delete", ids[-1])
    killed = copied("killed")
    shutil.rmtree(killed.run)
    shutil.copytree(calm.run, killed.run)
    edits = [
        ("--split", ids[0], "--at", two),
        ("--merge", f"{ids[1]} {ids[2]}"),
        ("--undo", "--number", 2),
    ]
    rng, deaths = random.Random(4), 0
    log = killed.run / "edits.jsonl"
    for edit in edits:
        fix(start, calm, *edit)
        lines = len(log.read_text().splitlines())
        for most in (15, 100, 0):  # early, late, not at all
            left = edit if len(log.read_text().splitlines()) == lines else ()
            moment = rng.randint(1, most) if most else 0
            command = start(killed.folder, "fix", "run", *map(str, left), die_before_write=moment)
            code = command.wait()
            assert code in (0, -signal.SIGKILL), command.messages.read_text()
            deaths += code != 0
        assert code == 0
    assert deaths >= 4
    same_results(calm.run, killed.run, MADE)
    assert [path for path in killed.run.rglob("*.partial")] == []


def test_wrong_edits_are_one_line(finished, monkeypatch, refused, tmp_path):
    monkeypatch.chdir(finished.folder)
    largest = max(table(finished.run))
    one = rows_by_size(finished)[0]["id"]
    outside = ("--split", one, "--at", "1 1 1; 60 60 60")
    refused(f"there is no object {largest + 1}", by=("fix", "run", "--delete", largest + 1))
    refused("is not in object", "a split begins inside it", by=("fix", "run", *outside))
    at = position(voxels(finished, "objects.zarr"), int(one), 0)
    refused("both begin at", by=("fix", "run", "--split", one, "--at", f"{at}; {at}"))
    refused("outside the volume", by=("fix", "run", "--split", one, "--at", f"{at}; 1e9 0 0"))
    refused(
        "changes no voxel", by=("fix", "run", "--paint", 1, "--at", "1e9 0 0", "--radius-nm", 9)
    )
    refused("which edit?", by=("fix", "run", "--at", at))
    refused("no edit to undo", by=("fix", "run", "--undo"))
    refused("is not a run's folder", by=("fix", tmp_path, "--undo"))
    foreign = tmp_path / "edits.csv"
    foreign.write_text("do,objects,colour\nmerge,1 2,red\n")
    refused("has a column 'colour'", by=("fix", "run", "--edits", foreign))
    foreign.write_text("do,objects\nmerge,1\n")
    refused("edits.csv, edit 1", "two objects or more", by=("fix", "run", "--edits", foreign))
    (tmp_path / "workflow.json").write_text((finished.run / "workflow.json").read_text())
    refused("has no labels to edit", by=("fix", tmp_path, "--delete", 1))
    assert not (finished.run / "edits.jsonl").exists()


def test_edits_of_other_labels_are_refused(copied, start, monkeypatch, refused):
    here = copied("other labels")
    fix(start, here, "--delete", rows_by_size(here)[0]["id"])
    monkeypatch.chdir(here.folder)
    run = ("run", "workflow.toml", "--quiet", "--set", "label.threshold=0.6")
    refused("edits of other labels", "move the file away", by=run)


def test_a_second_owner_is_refused(copied, monkeypatch, refused):
    from volproc import lease

    here = copied("owned")
    monkeypatch.chdir(here.folder)
    with lease.holding(str(here.run / "ledger")):
        refused("is being written by", by=("fix", "run", "--delete", rows_by_size(here)[0]["id"]))
