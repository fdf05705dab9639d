"""volproc plan --cluster, from the workflow file to its lines; nothing is run on a cluster."""

import json
import re
import sys

import pytest

from volproc import cli

JOBS = {
    **{"kind": "jobqueue", "cpu.jobs": 4, "cpu.cores": 8, "cpu.workers_per_job": 2},
    **{"cpu.price_per_job_hour": 0.5, "gpu.gpus_per_job": 1, "gpu.price_per_job_hour": 3},
}


@pytest.fixture
def plan(tmp_path, tiny_model, noise, save_volume, monkeypatch, capsys):
    """plan(flags, key=value of [cluster], ...): the exit code and what was said."""
    monkeypatch.chdir(tmp_path)
    save_volume("image.zarr", noise)
    (tmp_path / "w.toml").write_text(
        f'[run]\nsource = "image.zarr"\n[predict]\nmodel = "{tiny_model}"\nthreshold = 0.3\n'
        "tile = [40, 40, 40]\nblock = [40, 40, 40]\n[label]\nmin_volume_um3 = 0.001\n"
    )

    def run(command, *flags, **cluster):
        sets = [f"--set=cluster.{key}={json.dumps(value)}" for key, value in cluster.items()]
        monkeypatch.setattr(sys, "argv", ["volproc", command, "w.toml", *flags, *sets])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def rows(said, first):
    """Cells of the rows of tables that begin with a word."""
    cells = [[c.strip() for c in line.strip("│").split("│")] for line in said.splitlines()]
    return [row for row in cells if row[0] == first and len(row) > 1]


def test_a_first_estimate_needs_no_run(plan):
    code, said = plan("plan", "--cluster", **JOBS)
    assert code == 0, said
    assert {row[2] + row[-1] for row in rows(said, "predict")} == {"gpuassumed"}
    assert {row[2] + row[-1] for row in rows(said, "label")} == {"cpustated"}
    assert [row[1:3] for row in rows(said, "cpu")] == [["4", "8"]]
    assert [row[1:3] for row in rows(said, "gpu")] == [["1", "1"]]
    assert "assumed: 30 TFLOP/s of a GPU" in said
    assert re.search(r"a block of predict: \S+ s on the GPU, .* bottleneck: the cores", said)
    assert "stated: 0.107 TFLOP/s" in said
    assert "(price_per_job_hour)" in said


def test_what_a_run_measured_counts_and_a_deadline_says_how_many_jobs(plan):
    assert plan("run", "--quiet", kind="serial")[0] == 0
    other = ("--set=predict.threshold=0.4", "--set=cluster.cpu.jobs=1")
    code, said = plan("plan", "--deadline", "8h", *other, kind="jobqueue")
    assert code == 0, said
    assert {row[-1] for row in rows(said, "predict")} == {"measured on 1 worker"}
    assert "measured: by the run whose log" in said
    assert "cheapest within 8.0 h: [cluster.cpu] jobs = 1, " in said
    code, said = plan("plan", "--deadline", "0.000001s", *other, kind="jobqueue")
    assert code == 0
    assert "no number of jobs does it within 0.0 s: the fastest, [cluster.cpu] jobs = " in said
    code, said = plan("plan", "--cluster", kind="serial")
    assert (code, said.strip()) == (0, "nothing is left to do")


def test_a_faster_gpu_is_stated_by_a_flag(plan):
    said = plan("plan", "--cluster", "--gpu-tflops", "400", **JOBS)[1]
    assert "assumed: 400 TFLOP/s of a GPU" in said


def test_this_machine_costs_no_money(plan):
    code, said = plan("plan", "--cluster", kind="local", workers=2)
    assert code == 0
    assert [row[1:3] + row[-1:] for row in rows(said, "cpu")] == [["1", "2", "-"]]


@pytest.mark.parametrize(
    ("flags", "cluster", "words"),
    [
        (["--deadline", "soon"], {}, r"--deadline 'soon': give a length of time, e.g. 8h"),
        (["--cluster"], {"kind": "connect"}, "known to its scheduler only; state as many"),
    ],
)
def test_what_cannot_be_estimated_is_one_line(plan, flags, cluster, words):
    code, said = plan("plan", *flags, **cluster)
    assert code == 2
    assert said.startswith("volproc: ")
    assert words in said
    assert said.count("\n") == 1
