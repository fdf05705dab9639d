"""Edits in files: TOML and CSV say the same, and what is wrong is named."""

import pytest

from volproc.errors import ConfigError
from volproc.stages.edits.requests import requests_in

TOML = """
[[edit]]
do = "merge"
objects = [3, 7]
why = "a fold"
[[edit]]
do = "split"
objects = 5
parts = [[[1, 2, 3], [1, 2, 4]], [[1, 2, 9]]]
[[edit]]
do = "paint"
objects = 0
points = [[1, 2, 3]]
radius_nm = 20
over = [5]
"""
CSV = """do,objects,parts,points,radius_nm,over,why
merge,3 7,,,,,a fold
split,5,1 2 3; 1 2 4 | 1 2 9,,,,
paint,0,,1 2 3,20,5,
"""


def test_toml_and_csv_say_the_same(tmp_path):
    (tmp_path / "edits.toml").write_text(TOML)
    (tmp_path / "edits.csv").write_text(CSV)
    found = requests_in(tmp_path / "edits.toml")
    assert requests_in(tmp_path / "edits.csv") == found
    assert [one.do for one in found] == ["merge", "split", "paint"]
    assert found[1].parts == (((1, 2, 3), (1, 2, 4)), ((1, 2, 9),))


WRONG = {
    'do = "merge"\nobjects = [3]': "edit 1: .*two objects or more",
    'do = "split"\nobjects = [3]\nparts = [[[1, 2, 3]]]': "two parts or more",
    'do = "split"\nobjects = [3, 4]': "split needs one object",
    'do = "delete"\nobjects = [0]': "that is the background",
    'do = "paint"\nobjects = 3\npoints = [[1, 2, 3]]': "a stroke needs radius_nm",
    'do = "paint"\nobjects = 3\nshape = "box"\npoints = [[1, 2, 3]]': "a box has two corners",
    'do = "explode"\nobjects = 3': "do",
    'do = "delete"\nobjects = 3\ncolour = "red"': "colour",
}


@pytest.mark.parametrize(("stated", "message"), WRONG.items())
def test_a_wrong_edit_is_one_line(tmp_path, stated, message):
    (tmp_path / "edits.toml").write_text(f"[[edit]]\n{stated}\n")
    with pytest.raises(ConfigError, match=message) as refused:
        requests_in(tmp_path / "edits.toml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.toml", "[[edits]]\ndo = 1", "has 'edits'; edits are tables called"),
        ("e.toml", "do =", "is not a TOML file"),
        ("e.toml", "", "has no edits"),
        ("e.csv", "do,objects,colour\nmerge,1 2,red\n", "has a column 'colour'"),
        ("e.csv", "do,objects\nmerge,one\n", "ids are such as"),
        ("e.csv", "do,objects,parts\nsplit,1,1 2; 3 4 5\n", "'1 2' is no position"),
        ("e.csv", "do,objects\nmerge,1 2,3\n", "more values than there are columns"),
        ("none.csv", None, "cannot read the edits"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        requests_in(tmp_path / name)
