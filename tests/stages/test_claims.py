"""What may be written where: nothing is replaced that nobody asked to replace."""

import os
from dataclasses import replace

import numpy as np
import pytest
import zarr

from volproc import lease
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import OutputError
from volproc.lease.lease_file import create
from volproc.lease.owner import this_process
from volproc.stages.claims import Claim, admit, require_apart
from volproc.stages.output import begin_volume, finish_volume
from volproc.stages.provenance import read_provenance, write_provenance
from volproc.volume.access import canonical
from volproc.volume.metadata import new_volume
from volproc.volume.store import open_volume

RECIPE = Recipe("stage", 1, {"mask": "aa"}, {"size": 3}, places={"mask": "/data/mask.zarr"})


def output(url, recipe=RECIPE, **more):
    info = new_volume(str(url), shape=(4, 8, 8), voxel_nm=(9, 9, 9), dtype="uint8", **more)
    return info.with_provenance(recipe=recipe.record())


def claim(url, recipe=RECIPE, *, inputs=(), **more):
    return Claim(recipe, inputs, (output(url, recipe),), **more)


def make(url, runner, recipe=RECIPE, *, finish=True):
    """The volume, as a stage called "stage" makes it."""
    info = output(url, recipe)
    volume = begin_volume(runner, info, step=recipe.stage, digest=recipe.digest, steps=())
    volume.write(info.box, np.full(info.shape, 7, "uint8"))
    return finish_volume(runner, volume, ()) if finish else volume


@pytest.fixture
def own(tmp_path):
    """A runner of a run, whose records lie in run/ledger."""
    return Runner(SerialEngine(), tmp_path / "run" / "ledger", own=True)


@pytest.fixture
def command(tmp_path):
    """A runner of a command that writes out.zarr."""
    return Runner(SerialEngine(), tmp_path / "out.zarr.volproc" / "ledger")


SPELLINGS = {
    "the same words": lambda path: path,
    "a slash at the end": lambda path: f"{path}/",
    "the long way round": lambda path: f"{os.path.dirname(path)}/./x/../{os.path.basename(path)}",
    "a file URL": lambda path: f"file://{path}",
    "a relative path": os.path.relpath,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_output_that_is_the_input_is_refused_however_it_is_spelled(tmp_path, spelling):
    path = str(tmp_path / "x.zarr")
    with pytest.raises(OutputError, match="is the same place as"):
        require_apart(claim(SPELLINGS[spelling](path), inputs=(path,)))


@pytest.mark.parametrize("linked", ["output", "input", "folder"])
def test_links_do_not_hide_the_input(tmp_path, linked):
    (tmp_path / "real" / "x.zarr").mkdir(parents=True)
    os.symlink(tmp_path / "real" / "x.zarr", tmp_path / "link.zarr")
    os.symlink(tmp_path / "real", tmp_path / "folder")
    real, link = tmp_path / "real" / "x.zarr", tmp_path / "link.zarr"
    pairs = {
        "output": (link, real),
        "input": (real, link),
        "folder": (tmp_path / "folder" / "x.zarr", real),
    }
    out, source = pairs[linked]
    with pytest.raises(OutputError, match="is the same place as"):
        require_apart(claim(out, inputs=(str(source),)))


def test_two_spellings_of_a_place_in_a_store_are_one():
    assert canonical("s3://bucket/a//./b/../x.zarr/") == canonical("s3://bucket/a/x.zarr")
    with pytest.raises(OutputError, match="is the same place as"):
        require_apart(claim("s3://b/a/./x.zarr", inputs=("s3://b/a/x.zarr",)))


def test_inside_one_another_only_labels_may_lie_in_their_image(tmp_path, save_volume, noise):
    image = save_volume("x.zarr", noise).info.url
    require_apart(claim(f"{image}/labels/nuclei", inputs=(image,)))
    require_apart(claim(tmp_path / "other.zarr", inputs=(image,)))
    with pytest.raises(OutputError, match="lies inside"):
        require_apart(claim(f"{image}/0", inputs=(image,)))
    with pytest.raises(OutputError, match="lies inside"):
        require_apart(claim(f"{image}/labels/a/b", inputs=(image,)))
    with pytest.raises(OutputError, match="holds"):
        require_apart(claim(image, inputs=(f"{image}/labels/nuclei",)))


def test_a_volume_may_go_into_the_folder_of_the_slices_it_is_made_of(tmp_path):
    (tmp_path / "0.tif").touch()
    require_apart(claim(tmp_path / "out.zarr", inputs=(str(tmp_path),)))


def test_two_outputs_need_two_places_and_so_do_files_beside_them(tmp_path):
    one = output(tmp_path / "x.zarr")
    with pytest.raises(OutputError, match="are one place"):
        require_apart(Claim(RECIPE, (), (one, replace(one, url=f"{tmp_path}/./x.zarr"))))
    table = str(tmp_path / "table.csv")
    with pytest.raises(OutputError, match=r"table\.csv would be written, .* which is read"):
        require_apart(claim(tmp_path / "x.zarr", inputs=(table,), siblings=(table,)))


def test_what_volproc_did_not_make_is_always_left_alone(tmp_path, command):
    zarr.create_array(f"{tmp_path}/out.zarr", shape=(4,), dtype="u1")[...] = 1
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="was not written by volproc"):
            admit(claim(tmp_path / "out.zarr"), replace(command, overwrite=overwrite))
    assert zarr.open_array(f"{tmp_path}/out.zarr")[0] == 1


def test_a_users_file_beside_a_new_output_is_left_alone(tmp_path, command):
    table = tmp_path / "out.csv"
    table.write_text("years of work")
    with pytest.raises(OutputError, match=r"out\.csv exists and would be written beside"):
        admit(claim(tmp_path / "out.zarr", siblings=(str(table),)), command)


def test_files_beside_a_volume_that_was_removed_by_hand_are_its_own(tmp_path, command, own):
    (tmp_path / "out.csv").write_text("a table of ours")
    there = claim(tmp_path / "out.zarr", siblings=(str(tmp_path / "out.csv"),))
    admit(there, own)
    (tmp_path / "out.zarr.volproc" / "ledger").mkdir(parents=True)
    admit(there, command)


def test_what_another_stage_made_is_refused_and_overwrite_removes_it(tmp_path, command):
    other = Recipe("ingest", 1, {}, {})
    make(tmp_path / "out.zarr", command, other)
    mine = claim(tmp_path / "out.zarr")
    with pytest.raises(OutputError, match=r"was made by `ingest` and `stage` would replace it"):
        admit(mine, command)
    assert open_volume(tmp_path / "out.zarr").read(mine.volumes[0].box).min() == 7
    said = []
    admit(mine, replace(command, overwrite=True, watchers=[said.append]))
    assert not (tmp_path / "out.zarr").exists()
    assert "--overwrite" in said[0].text


def test_a_run_may_not_replace_what_another_stage_made_either(tmp_path, own):
    make(tmp_path / "run" / "out.zarr", own, Recipe("ingest", 1, {}, {}))
    with pytest.raises(OutputError, match="was made by `ingest`"):
        admit(claim(tmp_path / "run" / "out.zarr"), own)


@pytest.mark.parametrize("finish", [True, False])
def test_other_options_are_refused_by_a_command(tmp_path, command, finish):
    make(tmp_path / "out.zarr", command, finish=finish)
    other = claim(tmp_path / "out.zarr", replace(RECIPE, options={"size": 4}))
    with pytest.raises(OutputError, match=r"made otherwise \(size: 3 -> 4\); .* --overwrite"):
        admit(other, command)
    admit(other, replace(command, overwrite=True))
    assert other.state == "other"


def test_another_input_is_refused_by_a_command_but_an_edited_one_is_meant(tmp_path, command):
    make(tmp_path / "out.zarr", command)
    edited = replace(RECIPE, inputs={"mask": "bb"})
    said = []
    admit(claim(tmp_path / "out.zarr", edited), replace(command, watchers=[said.append]))
    assert said[0].text.endswith("is remade: its mask changed")
    elsewhere = replace(edited, places={"mask": "/data/other.zarr"})
    with pytest.raises(OutputError, match=r"its mask: /data/mask.zarr -> /data/other.zarr"):
        admit(claim(tmp_path / "out.zarr", elsewhere), command)


def test_a_run_makes_anew_what_it_made_otherwise(tmp_path, own):
    make(tmp_path / "run" / "out.zarr", own)
    other = claim(tmp_path / "run" / "out.zarr", replace(RECIPE, options={"size": 4}))
    admit(other, own)
    assert str(other.why) == "size: 3 -> 4"


@pytest.mark.parametrize("runner", ["own", "command"])
def test_what_was_edited_since_is_not_replaced_unasked(tmp_path, request, runner):
    runner = request.getfixturevalue(runner)
    url = tmp_path / ("run" if runner.own else "") / "out.zarr"
    make(url, runner)
    assert claim(url).edited == ()
    zarr.open_group(str(url), mode="r+")["0"][0, 0, 0] = 3
    same = claim(url)
    assert (same.state, same.edited) == ("done", (str(url),))
    admit(same, runner)  # nothing would be replaced
    changed = claim(url, replace(RECIPE, inputs={"mask": "bb"}))
    way_out = "--redo stage" if runner.own else "--overwrite"
    with pytest.raises(OutputError, match=f"changed after `stage` finished it .* {way_out}"):
        admit(changed, runner)


def test_what_was_edited_since_is_spoken_of_and_made_anew_where_asked(tmp_path, command):
    told = []
    url = tmp_path / "out.zarr"
    make(url, command)
    zarr.open_group(str(url), mode="r+")["0"][0, 0, 0] = 3
    admit(claim(url), replace(command, watchers=[told.append]))
    assert "out.zarr was changed after it was finished, and stays as it is" in told[0].text
    assert claim(url).state == "done"
    admit(claim(url), replace(command, watchers=[told.append], overwrite=True))
    assert told[1].text.endswith("it is remade, as --overwrite says")
    assert claim(url).state == "absent"


@pytest.mark.parametrize("died", [True, False])
def test_half_files_of_a_dead_owner_go(tmp_path, command, died):
    table, tables, folder = (tmp_path / name for name in ("out.csv", "out.tables", "made"))
    left = [tmp_path / "out.csv.ab.partial", tables / "3.ids.cd.partial", folder / "x.ef.partial"]
    others = [tmp_path / "else.csv.ab.partial", tables / "3.ids"]
    for path in (*left, *others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    write_provenance(str(folder), RECIPE, finished=False, folder=True)
    records = f"{tmp_path}/out.zarr.volproc"
    state = "held" if died else "released"
    create(records, 1, replace(this_process("former"), pid=0, state=state).text())  # none has 0
    mine = claim(
        tmp_path / "out.zarr",
        folders=(str(folder),),
        siblings=(str(table),),
        scratch=(str(tables),),
    )
    with lease.holding(records):
        admit(mine, command)
    assert [path.exists() for path in left] == [not died] * 3
    assert all(path.exists() for path in others)


def test_an_older_volproc_kept_no_recipe_so_nothing_is_replaced(tmp_path, own):
    info = new_volume(
        str(tmp_path / "run" / "out.zarr"), shape=(4, 8, 8), voxel_nm=(9, 9, 9), dtype="uint8"
    )
    volume = begin_volume(own, info, step="stage", digest="old", steps=())
    volume.write(info.box, 7)
    volume.finish()
    with pytest.raises(OutputError, match="an older volproc made it"):
        admit(claim(info.url), own)


def test_states_of_folders_and_files_and_of_several_outputs(tmp_path):
    folder, file = f"{tmp_path}/measure", f"{tmp_path}/scores.json"
    both = Claim(RECIPE, (), folders=(folder, file))
    assert both.state == "absent"
    write_provenance(folder, RECIPE, finished=True, folder=True)
    (tmp_path / "scores.json").write_text("{}")
    assert replace(both).state == "foreign"
    write_provenance(file, RECIPE, finished=False, folder=False)
    assert replace(both).state == "begun"
    write_provenance(file, RECIPE, finished=True, folder=False, objects=5)
    assert replace(both).state == "done"
    assert read_provenance(file)["objects"] == 5
    assert Claim(replace(RECIPE, algorithm=2), (), folders=(folder, file)).state == "other"


def test_what_is_made_the_same_way_twice_is_the_same_bytes_and_has_one_fingerprint(tmp_path):
    made = []
    for name in ("a", "b"):
        records = tmp_path / name / "ledger"
        volume = make(tmp_path / name / "out.zarr", Runner(SerialEngine(), records, own=True))
        made.append((volume.fingerprint, (tmp_path / name / "out.zarr/zarr.json").read_bytes()))
    assert made[0] == made[1]


def test_an_edit_changes_the_fingerprint_for_good(tmp_path, own):
    volume = make(tmp_path / "run" / "out.zarr", own)
    before = volume.fingerprint
    zarr.open_group(volume.info.url, mode="r+")["0"][0, 0, 0] = 3
    edited = volume.fingerprint
    assert edited != before
    again = begin_volume(own, output(volume.info.url), step="stage", digest=RECIPE.digest, steps=())
    finish_volume(own, again, ())  # finds it finished
    assert open_volume(volume.info.url).fingerprint == edited
