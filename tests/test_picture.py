"""ARCHITECTURE.md's picture is what scripts/picture draws from the imports."""

import importlib.util
import re
from graphlib import CycleError
from pathlib import Path

import grimp
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "picture.py"
spec = importlib.util.spec_from_file_location("picture", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture
def graph_of(tmp_path, monkeypatch):
    """graph_of({"a.py": "from house import b"}): the imports of a package `house`."""

    def build(files):
        for name, content in files.items():
            path = tmp_path / "house" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (path.parent, tmp_path / "house"):
                (folder / "__init__.py").touch()
            path.write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
        return grimp.build_graph("house", cache_dir=None)

    return build


def test_the_page_shows_the_imports_as_they_are():
    drawn = script.picture(script.built())
    shown = script.MARKED.findall(script.PAGE.read_text())
    assert shown == [f"```\n{drawn}```\n"], "scripts/picture --write draws it again"


def test_the_page_says_what_is_in_every_package():
    table = script.PAGE.read_text().split("| package | what is in it |")[1].split("\n\n")[0]
    named = {name.removesuffix(".py") for name in re.findall(r"`(\w+(?:\.py)?)/?`", table)}
    assert set(script.imports(script.built())) - {"__main__"} <= named


def test_a_package_is_one_layer_above_the_highest_that_it_imports(graph_of):
    files = {
        "roof.py": "from house import wall, ground",
        "wall.py": "import house.ground.stone",
        "ground/stone.py": "",
        "tree.py": "",
    }
    imported = script.imports(graph_of(files), "house")
    assert imported == {"ground": set(), "roof": {"ground", "wall"}, "tree": set()} | {
        "wall": {"ground"}
    }
    assert script.layers(imported) == [["roof"], ["wall"], ["ground", "tree"]]


def test_imports_that_run_in_a_circle_have_no_layers():
    with pytest.raises(CycleError):
        script.layers({"egg": {"hen"}, "hen": {"egg"}})
