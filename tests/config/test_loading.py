import math
from typing import get_args

import pytest

from volproc import ClusterOptions, PredictOptions, load_workflow
from volproc.config.options import RenamedOptionWarning
from volproc.errors import ConfigError
from volproc.functions import options
from volproc.workflow.workflow_file import Workflow

HEAD = '[run]\nsource = "a.tif"\n'


def load(tmp_path, text, *, flags=(), environment=None):
    path = tmp_path / "w.toml"
    path.write_text(text)
    return load_workflow(path, flags=flags, environment=environment or {})


def test_file_then_environment_then_flags(tmp_path):
    text = HEAD + '[predict]\naxes = "z"\nfusion = "max"\nthreshold = 0.1\n'
    found = load(
        tmp_path,
        text,
        environment={"VOLPROC_PREDICT__FUSION": "mean", "VOLPROC_PREDICT__THRESHOLD": "0.2"},
        flags=["predict.threshold=0.3", "label.connectivity=6", "label.block=[8, 8, 8]"],
    )
    assert (found.predict.axes, found.predict.fusion, found.predict.threshold) == ("z", "mean", 0.3)
    assert found.label.connectivity == 6
    assert found.label.block == (8, 8, 8)


def test_paths_are_seen_from_the_file(tmp_path):
    found = load(
        tmp_path,
        '[run]\nsource = "a.tif"\nfolder = "/out"\n[evaluate]\nground_truth ="s3://b/t.zarr"',
    )
    assert found.run.source == str(tmp_path / "a.tif")
    assert found.run.folder == "/out"
    assert found.evaluate.ground_truth == "s3://b/t.zarr"


@pytest.mark.parametrize(
    "key", ["run.source", "run.folder", "evaluate.ground_truth", "predict.model"]
)
def test_home_in_a_file_is_home(tmp_path, monkeypatch, key):
    """A shell writes it out, a file does not."""
    monkeypatch.setenv("HOME", "/somewhere")
    table, _, option = key.partition(".")
    source = "" if key == "run.source" else '[run]\nsource = "a.tif"\n'
    text = f'{source}[{table}]\n{option} = "~/data/x"\n'
    if key == "run.folder":
        text = '[run]\nsource = "a.tif"\nfolder = "~/data/x"\n'
    assert getattr(getattr(load(tmp_path, text), table), option) == "/somewhere/data/x"


def test_paths_of_the_loop_are_seen_from_the_file(tmp_path):
    found = load(
        tmp_path,
        HEAD
        + '[crowd]\nground_truth = "t.zarr"\n[annotate]\nexport = "c.csv"\nmanifest = "m.csv"\n'
        '[train]\nimages = ["a.zarr"]\nignore = [""]\nagreement = ["../b.zarr"]',
    )
    assert found.crowd.ground_truth == str(tmp_path / "t.zarr")
    assert found.annotate.export == str(tmp_path / "c.csv")
    assert found.annotate.manifest == str(tmp_path / "m.csv")
    assert found.train.ignore == ("",)
    assert found.train.agreement == (str(tmp_path.parent / "b.zarr"),)


def test_a_model_is_a_path_from_the_file_or_a_shipped_name(tmp_path):
    (tmp_path / "mine").mkdir()
    for name, wanted in {
        "nuclei-50nm": "nuclei-50nm",
        "mine": str(tmp_path / "mine"),
        "../models/a": str(tmp_path.parent / "models" / "a"),
    }.items():
        assert load(tmp_path, HEAD + f'[predict]\nmodel = "{name}"').predict.model == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[predict]\nblok = 1", r"unknown key \[predict\] blok; did you mean 'block'\?"),
        ("[train]\nstep = 1", r"unknown key \[train\] step; did you mean 'steps'\?"),
        ("[crowd]\nvolunteer = 1", r"unknown key \[crowd\] volunteer; did you mean"),
        ("[foo]\na = 1", "unknown key foo; known are run, cluster"),
        ("[predict]\nthreshold = 3", r"\[predict\] threshold = 3: .*less than or equal to 1"),
        ("[label]\nconnectivity = 7", r"\[label\] connectivity = 7: .*6, 18 or 26"),
        ("[ingest]\nvoxel_nm = [0, 1, 1]", r"\[ingest\] voxel_nm.0 = 0: .*greater than 0"),
        ("[ingest]\nvoxel_nm = [-5, 1, 1]", r"greater than 0"),
        ("predict = 3", r"predict = 3"),
        ('[predict]\naxes = "zz"', r"\[predict\] axes"),
        (
            '[measure]\nmeshes = "precomputed-legacy"',
            "no longer written; take 'precomputed', which",
        ),
        ("x = ", "is not a TOML file"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_flags_must_name_a_table_and_a_key(tmp_path):
    for flag in ("threshold=3", "predict.threshold"):
        with pytest.raises(ConfigError, match=r"--set needs table\.key=value"):
            load(tmp_path, HEAD, flags=[flag])


def test_a_missing_file_source_or_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the workflow file .*none\.toml"):
        load_workflow(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"\[run\] source is missing"):
        _ = load(tmp_path, "").source_is_volume


def test_every_option_says_what_it_means():
    def options_of(kind):
        for name, field in kind.model_fields.items():
            kinds = (field.annotation, *get_args(field.annotation))
            inner = [one for one in kinds if hasattr(one, "model_fields")]
            for one in inner:
                yield from options_of(one)
            if not inner:
                yield f"{kind.__name__}.{name}", field.description

    meanings = dict(options_of(Workflow))
    assert len(meanings) > 100
    assert [name for name, meaning in meanings.items() if not meaning] == []


TABLES = [ClusterOptions, *options().values()]
FLOATS = [
    (table, name)
    for table in TABLES
    for name, field in table.model_fields.items()
    if "float" in str(field.annotation)
]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("table", "name"), FLOATS, ids=lambda one: getattr(one, "__name__", one))
def test_no_option_is_infinite(table, name, value):
    """TOML has inf and nan; many write them for "no limit"."""
    field = table.model_fields[name]
    kind = str(field.annotation)
    given = (value,) * (2 if "tuple[float, float]" in kind else 3) if "tuple" in kind else value
    needed = {key: "x" for key, one in table.model_fields.items() if one.is_required()}
    with pytest.raises(ConfigError, match=rf"{table.__name__}: .*{name}"):
        table(**{**needed, name: given})


def test_an_option_by_an_earlier_name_works_with_a_note(tmp_path):
    old = '[evaluate]\ntruth = "t.zarr"\n[predict]\nkeep = 2\n[annotate]\nfewest_votes = 5\n'
    with pytest.warns(RenamedOptionWarning, match=r"option \w+ is called \w+ now"):
        found = load(tmp_path, HEAD + old)
    assert found.evaluate.ground_truth == str(tmp_path / "t.zarr")
    assert (found.predict.center_planes, found.annotate.min_votes) == (2, 5)
    with pytest.raises(ConfigError, match="keep is an earlier name of center_planes; give center_"):
        load(tmp_path, HEAD + "[predict]\nkeep = 2\ncenter_planes = 2\n")


@pytest.mark.parametrize("kind", options().values(), ids=lambda kind: kind.__name__)
def test_earlier_names_are_of_options_that_are_there(kind):
    for old, new in kind.RENAMED.items():
        assert new in kind.model_fields
        assert old not in kind.model_fields


def test_recipes_keep_the_names_that_options_had_first():
    """Else every release that renames an option would make everything anew."""
    recorded = PredictOptions(center_planes=2, seam_check=4).recorded(exclude={"seam_check"})
    assert recorded["keep"] == 2
    assert not {"center_planes", "certify", "seam_check"} & set(recorded)


def test_tables_in_tables_are_set_from_all_places(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(
        '[cluster]\nkind = "jobqueue"\n[cluster.cpu]\njobs = 2\nlog_directory = "logs"\n'
    )
    options = load_workflow(
        file,
        flags=["cluster.gpu.jobs=3"],
        environment={"VOLPROC_CLUSTER__CPU__CORES": "8", "VOLPROC_CLUSTER__GPU__QUEUE": "gpu"},
    ).cluster
    assert (options.cpu.jobs, options.cpu.cores) == (2, 8)
    assert options.cpu.log_directory == str(tmp_path / "logs")
    assert (options.gpu.jobs, options.gpu.queue) == (3, "gpu")
    assert options.gpus_elsewhere


def test_a_mistake_in_a_table_in_a_table_names_both(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text("[cluster.cpu]\njobs = 0\n")
    with pytest.raises(ConfigError, match=r"\[cluster\.cpu\] jobs = 0"):
        load_workflow(file)
    file.write_text("[cluster.gpu]\njob = 1\n")
    with pytest.raises(ConfigError, match=r"unknown key \[cluster\.gpu\] job; did you mean 'jobs'"):
        load_workflow(file)
    file.write_text('[cluster.gpu]\nwalltime = "soon"\n')
    with pytest.raises(ConfigError, match="walltime 'soon': give hours:minutes:seconds"):
        load_workflow(file)
