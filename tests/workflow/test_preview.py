"""The preview of a workflow: another model, another folder, and nothing of the full run."""

import numpy as np
import pytest
import tifffile

import volproc
from volproc.config.run import RunOptions
from volproc.errors import ConfigError
from volproc.workflow import preview as previews
from volproc.workflow.preview import preview_of, said_of
from volproc.workflow.workflow_file import Workflow

RUN = {"source": "a.zarr", "folder": "out"}


def of(**tables):
    return preview_of(Workflow.model_validate({"run": RUN, **tables}))


def test_a_preview_has_the_coarser_model_and_a_folder_of_its_own():
    found = of(label={"min_volume_um3": 2})
    assert found.predict.model == "nuclei-100nm"
    assert found.run.folder == "out-preview"
    assert found.report.title == "preview: a.zarr"
    assert found.label.min_volume_um3 == 2
    assert "nuclei-100nm in place of nuclei-50nm" in said_of(found)
    assert of(report={"title": "Cells"}).report.title == "preview: Cells"


@pytest.mark.parametrize(
    ("folder", "beside"), [("s3://b/out/", "s3://b/out-preview"), ("out/", "out-preview")]
)
def test_its_folder_lies_beside_that_of_the_run(folder, beside):
    assert of(run={**RUN, "folder": folder}).run.folder == beside


def test_drawings_and_training_are_left_to_the_full_run():
    found = of(train={"images": ["a.zarr"], "labels": ["l.zarr"]}, predict={"model": "nuclei-50nm"})
    assert found.train is None


@pytest.mark.parametrize(
    "tables",
    [
        {"predict": {"model": "membranes-10nm"}},
        {"predict": {"model": "nuclei-100nm"}},
        {"train": {"images": ["a.zarr"], "labels": ["l.zarr"]}},
    ],
)
def test_other_models_have_no_preview(tables):
    with pytest.raises(ConfigError, match=r"--preview is for 'nuclei-50nm' only.*--box"):
        of(**tables)


@pytest.fixture
def tiny_models(tiny_model, monkeypatch):
    """A network with random weights in place of both."""
    monkeypatch.setattr(previews, "FULL", str(tiny_model))
    monkeypatch.setattr(previews, "COARSE", str(tiny_model))
    return str(tiny_model)


def test_a_full_run_is_left_as_it_is_and_its_image_is_not_converted_again(
    tmp_path, tiny_models, noise
):
    tifffile.imwrite(tmp_path / "stack.tif", noise[:16, :32, :32], photometric="minisblack")
    full = Workflow(
        run=RunOptions(source=str(tmp_path / "stack.tif"), folder=str(tmp_path / "run")),
        ingest={"voxel_nm": (50, 50, 50)},
        predict={"model": tiny_models},
        cluster={"kind": "serial"},
    )
    first = preview_of(full)
    volproc.run(first)
    assert (tmp_path / "run-preview" / "image.zarr").exists()
    assert not (tmp_path / "run").exists()
    volproc.run(full)
    files = _contents(tmp_path / "run")
    assert preview_of(full) == first  # it goes on with the image that it has
    page = (tmp_path / "run-preview" / "report.html").read_text()
    assert "<h1>preview: stack.tif</h1>" in page
    (tmp_path / "run-preview").rename(tmp_path / "kept")
    again = preview_of(full)
    assert again.run.source == str(tmp_path / "run" / "image.zarr")
    volproc.run(again)
    assert not (tmp_path / "run-preview" / "image.zarr").exists()
    assert _contents(tmp_path / "run") == files
    made = [volproc.open_volume(tmp_path / f / "prediction.zarr") for f in ("run-preview", "kept")]
    assert np.array_equal(*(one.read(one.info.box) for one in made))


def _contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
