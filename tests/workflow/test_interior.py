"""Where a network marks envelopes, nuclei are made of them, and those are labelled."""

import numpy as np

import volproc
from volproc.volume.store import open_volume
from volproc.workflow.workflow_file import Workflow

SHAPE, VOXEL_NM = (40, 48, 48), (50, 50, 50)


def test_envelopes_become_whole_objects(tmp_path, save_volume):
    place = np.stack(np.mgrid[:40, :48, :48]) - np.array([20, 24, 24])[:, None, None, None]
    radius = np.sqrt((place**2).sum(axis=0))
    shell = ((radius > 13) & (radius < 16)).astype("uint8") * 255
    (tmp_path / "run").mkdir()
    source = save_volume("image.zarr", shell, voxel_nm=VOXEL_NM).info.url
    save_volume("run/prediction.zarr", shell, voxel_nm=VOXEL_NM)
    tables = {
        "run": {"source": source, "folder": str(tmp_path / "run")},
        "cluster": {"kind": "serial"},
        "interior": {"gap_nm": 300, "min_volume_um3": 0.1},
        "label": {"min_volume_um3": 0.1},
    }
    volproc.run(Workflow.model_validate(tables), stages=["interior", "label"])
    objects = open_volume(str(tmp_path / "run" / "objects.zarr"))
    found = objects.read(objects.info.box)
    missed, added = (found != 1) & (radius < 16), (found == 1) & (radius >= 16)
    assert (missed.sum(), added.sum()) == (0, 0), (radius[missed], radius[added])
    assert found.max() == 1
