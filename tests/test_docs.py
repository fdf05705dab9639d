"""Every page of docs/ is found from its index; links lead somewhere; what the pages show runs."""

import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import tifffile
from typer.main import get_command

import volproc
from volproc import cli
from volproc.model.foreign.model_card import Description, with_card
from volproc.workflow.workflow_file import load_workflow

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*ROOT.glob("*.md"), *DOCS, *ROOT.glob("examples/*/*.md"), *ROOT.glob("benchmarks/*.md")]
PAGES += [*(ROOT / "src").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)\s]+)\)")
BLOCK = re.compile(r"(?ms)^```(bash|python|toml)\n(.*?)^```")
WRITTEN = re.compile(r"(?ms)Write `([\w.-]+\.toml)`[^`]*:\n\n```toml\n(.*?)^```")
"""A workflow file that a page tells its reader to write."""

ONLY_PARSED = {
    "fetch": "needs EMPIAR: tests/stages/ingest/empiar has a server",
    "EMPIAR-10094": "the same",
    "CLASSIFICATIONS.csv": "needs an export of Zooniverse: tests/stages/annotate has some",
    "drawings.csv": "the same",
    "MODEL": "needs somebody's network: tests/model/foreign has some",
    "net.pt": "the same",
    "workflow.toml": "stands for one's own: my.toml of getting_started.md is run",
    "monday": "stands for runs of one's own: tests/workflow/test_work.py reports two",
    "view": "serves until Ctrl-C: tests/viewing looks",
    "fix": "has ids and positions of one's own: tests/whole/test_fix.py runs it",
    "examples/crowd.toml": "takes minutes: tests/whole/test_loop.py has a smaller one",
}
"""Commands with one of these words are parsed and not run."""

NOT_RUN = {
    "import napari": "needs a screen: tests/whole/test_viewers.py opens volumes by its reader",
    "run = volproc.edited_run": "has ids of one's own: tests/whole/test_fix.py runs the command",
}
"""Python that begins so is compiled and not run."""

TRUTH = "phantom.zarr/labels/nuclei"
MADE = ("prediction.zarr", "votes.zarr", "objects.zarr")
SMALLER = {
    "--shape 24 360 360": "--shape 6 160 160",
    "--shape 64 240 240": "--shape 8 64 64",
    "--roi 50 2000 2000": "--roi 8 100 100",
    "--shape 64 400 400": "--shape 64 64 64",
    "--shape 96 320 320": "--shape 48 64 64",
    "--shape 120 1024 1024": "--shape 8 160 160",
    "few = true": "few = true\nsteps = 2\npatch = 48\nbatch = 1",
    "--volunteers 11": "--volunteers 3",
    "--box 0:64,1000:1512,1000:1512": "--box 0:6,10:60,10:60",
    "--box 0:2um,10:15um,:": "--box 0:0.2um,0.5:1um,:",
}
INPUTS = {
    "crowd.md": {"IMAGE.zarr": "phantom.zarr", "TRUTH.zarr": TRUTH},
    "filter.md": {"IMAGE.zarr": "phantom.zarr"},
    "ingest.md": {"SOURCE": "slices", "VOLUME.zarr": "phantom.zarr"},
    "labels.md": {"prediction.zarr": "run/prediction.zarr", "mask.zarr": TRUTH},
    "doubt.md": {name: f"run/{name}" for name in MADE},
    "measure.md": {name: f"run/{name}" for name in MADE} | {"image.zarr": "run/image.zarr"},
    "models.md": {"IMAGE.zarr": "phantom.zarr"},
    "predict.md": {"IMAGE.zarr": "phantom.zarr"},
    "scores.md": {"TRUTH.zarr": TRUTH},
}
"""What lies in the folder under the names of a page, besides README's run."""


def blocks(page, *languages):
    """Language and content of the code blocks of a page."""
    return [found for found in BLOCK.findall(page.read_text()) if found[0] in languages]


def commands_in(block):
    """The words of each volproc command in a block of bash."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["srun"]:
            words = words[1:]
        if words[:1] == ["volproc"]:
            yield words[1:]


def parse(words):
    """As the command line does it, without running: an error of usage is an error."""
    program = get_command(cli.app)
    context = program.context_class(program, info_name="volproc")
    command = program.get_command(context, words[0])
    assert command, f"volproc has no command {words[0]}"
    command.make_context(words[0], list(words[1:]), parent=context)


def run(words):
    """The command in this process; its exit code has to be 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["volproc", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code, f"volproc {shlex.join(words)}"


COMMANDS = [
    pytest.param(words, id=f"{page.name}: {shlex.join(words)}")
    for page in PAGES
    for _, block in blocks(page, "bash")
    for words in commands_in(block)
]


def anchors(page):
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    named = re.findall(r"\b((?:src|scripts|benchmarks|examples)/[\w/.-]*\w)", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_page_is_found_from_the_index():
    found, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        links = [
            (page.parent / link.partition("#")[0]).resolve()
            for link in LINK.findall(page.read_text())
        ]
        waiting += {link for link in links if link in DOCS} - found
    assert found >= set(DOCS)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_has_the_options_that_the_page_gives_it(words):
    parse(words)


def test_extras_that_are_named_exist():
    named = re.compile(r"'\.\[(\w+)\]'|INSTALL\.format\(['\"](\w+)['\"]\)")
    texts = [path.read_text() for path in (*DOCS, *(ROOT / "src").rglob("*.py"))]
    found = {name for text in texts for pair in named.findall(text) for name in pair if name}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"s3", "parquet", "mesh", "onnx"} < found < project["optional-dependencies"].keys()


def test_a_wrong_option_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        parse(["label", "a.zarr", "b.zarr", "--no-such-option"])


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_tables_of_toml_are_workflows_or_cards(page, tmp_path):
    shown = tmp_path / "shown.toml"
    for _, block in blocks(page, "toml"):
        shown.write_text(block)
        if "[" in {line[:1] for line in block.splitlines()}:
            load_workflow(shown, environment={})
        else:
            with_card(Description(name="net"), shown)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with the files that the pages speak of, and the finished run of README's my.toml."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VOLPROC_CLUSTER__KIND", "serial")
        run(["phantom", "phantom.zarr", "--shape", "14", "200", "200", "--seed", "3"])
        (folder / "slices").mkdir()
        for name, url in (("image", "phantom.zarr"), ("labels", TRUTH)):
            volume = volproc.open_volume(url)
            voxels = volume.read(volume.info.box)
            tifffile.imwrite(f"{name}.tif", voxels)
        for number, plane in enumerate(tifffile.imread("image.tif")):
            tifffile.imwrite(f"slices/s_{number:03}.tif", plane)
        shown = (block for _, block in blocks(ROOT / "README.md", "toml"))
        (folder / "my.toml").write_text(next(shown))
        run(["run", "my.toml", "--quiet"])
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=lambda page: page.name)
def test_what_a_page_shows_runs(page, world, tmp_path, monkeypatch):
    shown = blocks(page, "bash", "python")
    if not shown:
        pytest.skip("no commands")
    monkeypatch.setenv("VOLPROC_CLUSTER__KIND", "serial")
    monkeypatch.setitem(sys.modules, "kimimaro", SimpleNamespace(skeletonize=lambda *_, **__: {}))
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "world"))
    for name, place in INPUTS.get(page.name, {}).items():
        shutil.copytree(place, name)
    for name, text in WRITTEN.findall(page.read_text()):
        Path(name).write_text(smaller(text))
    names = {"viewer": SimpleNamespace(add_labels=lambda *_, **__: None), "labels": None}
    for language, block in shown:
        if language == "bash":
            for words in commands_in(smaller(block)):
                if not ONLY_PARSED.keys() & set(words):
                    run(words)
        else:
            code = compile(block, page.name, "exec")
            if not block.startswith(tuple(NOT_RUN)):
                exec(code, names)


def smaller(block):
    """The same with less to do."""
    for shown, less in SMALLER.items():
        block = block.replace(shown, less)
    return block
