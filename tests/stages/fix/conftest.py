"""Labels with a table, as `volproc label` leaves them, to be edited."""

import numpy as np
import pytest

from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.stages.edits.edit_log import read_edit_log
from volproc.stages.edits.edit_session import open_session
from volproc.stages.fix.options import FixOptions
from volproc.stages.fix.stage import plan_fix, run_fix
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = (40.0, 20.0, 20.0)
SHAPE = (24, 40, 48)
CUBE = (16, 16, 16)


def blobs(seed=0, count=9, shape=SHAPE, squares=(25, 90)):
    """Balls of random sizes, some of which touch: numbered."""
    rng = np.random.default_rng(seed)
    found = np.zeros(shape, np.uint32)
    grid = np.indices(shape)
    for number in range(1, count + 1):
        middle = [rng.integers(0, n) for n in shape]
        away = sum(((g - m) * v / 20) ** 2 for g, m, v in zip(grid, middle, VOXEL_NM, strict=True))
        found[(away < rng.integers(*squares)) & (found == 0)] = number
    return found


def save_labels(folder, values, cube=CUBE):
    """FOLDER/objects.zarr and its table, as far as edits and viewers read it."""
    info = new_volume(
        str(folder / "objects.zarr"),
        shape=values.shape,
        voxel_nm=VOXEL_NM,
        dtype="uint32",
        kind="labels",
        chunks=cube,
        shards=cube,
        max_levels=1,
    )
    volume = create_volume(info, step="label", digest="test", version="0")
    volume.write(info.box, values)
    volume.finish()
    names = ("id", "start_{}", "stop_{}", "centroid_{}_nm", "volume_um3")
    rows = [",".join(name.format(axis) for name in names for axis in _axes_of(name))]
    for identifier in np.unique(values[values > 0]).tolist():
        places = np.argwhere(values == identifier)
        middle = (places.mean(0) + 0.5) * VOXEL_NM
        size = len(places) * np.prod(VOXEL_NM) * 1e-9
        row = (identifier, *places.min(0), *(places.max(0) + 1), *middle, size)
        rows.append(",".join(map(str, row)))
    (folder / "objects.csv").write_text("\n".join(rows) + "\n")


def _axes_of(name):
    return "zyx" if "{}" in name else "-"


class EditedRun:
    """A folder with labels, a log of edits, and what is made of them."""

    def __init__(self, folder):
        self.folder = folder
        self.labels = open_volume(folder / "objects.zarr").info

    @property
    def log_url(self):
        return f"{self.folder}/edits.jsonl"

    @property
    def session(self):
        return open_session(self.labels, self.log_url, None)

    def fix(self, engine=None, *, name="edited", block=None):
        """Apply the edits of the log; each `name` has a record of its own."""
        url, log = str(self.folder / f"{name}.zarr"), read_edit_log(self.log_url)
        plan = plan_fix(self.labels, url, log, FixOptions(block=block))
        return run_fix(plan, Runner(engine or SerialEngine(), self.folder / name, own=True))

    def values(self, name="edited"):
        volume = open_volume(self.folder / f"{name}.zarr")
        return volume.read(volume.info.box)


@pytest.fixture
def edited_run(tmp_path):
    """edited_run(values): a run's folder with these labels."""

    def make(values, name="run", cube=CUBE):
        folder = tmp_path / name
        folder.mkdir()
        save_labels(folder, values, cube)
        return EditedRun(folder)

    return make
