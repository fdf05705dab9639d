import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import volproc

DOCS = Path(__file__).parents[1] / "docs"


def test_every_public_name_is_there_and_in_the_docs():
    for name in volproc.__all__:
        assert getattr(volproc, name) is not None
    told = set(re.findall(r"`volproc\.(\w+)", (DOCS / "api.md").read_text()))
    assert told == set(volproc.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = volproc.nothing


def test_importing_volproc_and_asking_for_help_is_cheap():
    check = "import sys, volproc.cli; print({'torch', 'zarr', 'dask'} & set(sys.modules))"
    command = [sys.executable, "-c", check]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_volume_goes_on_as_a_dask_array(save_volume, noise):
    volume = save_volume("a.zarr", noise)
    lazy = volproc.open_volume(volume.info.url).dask()
    assert lazy.shape == noise.shape
    assert np.array_equal(lazy[3:9, 4:, :7].compute(scheduler="sync"), noise[3:9, 4:, :7])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: volproc.predict(None, "out.zarr"), "volproc.predict needs image"),
        (lambda: volproc.predict("image.zarr"), "volproc.predict needs out"),
        (lambda: volproc.predict("a", "b", "c"), "takes image, out, options by position"),
        (lambda: volproc.predict("a", "b", out="c"), "got out twice"),
        (lambda: volproc.predict("a", "b", fusoin="mean"), "did you mean 'fusion'"),
        (lambda: volproc.label("a", "b", volproc.PredictOptions()), "expected LabelOptions, got"),
        (lambda: volproc.evaluate("a"), "volproc.evaluate needs ground_truth"),
    ],
)
def test_a_wrong_argument_is_one_line(call, said):
    with pytest.raises(volproc.VolprocError, match=said):
        call()


def test_a_flag_goes_over_what_a_file_says_by_an_earlier_name(tmp_path, monkeypatch, capsys):
    from volproc.cli import main

    (tmp_path / "w.toml").write_text("[predict]\nkeep = 2\nhalo = -1\n")
    flags = ("--config", str(tmp_path / "w.toml"), "--center-planes", "4")
    monkeypatch.setattr(sys, "argv", ["volproc", "predict", "a", "b", "c", *flags])
    with warnings.catch_warnings(action="always"), pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "option keep is called center_planes now" in said
    assert "halo = -1" in said
