import numpy as np
import pytest

from volproc.errors import LedgerError
from volproc.stages.measure.mesh.surface_files import SurfaceFiles


def test_files_of_another_run_are_refused(tmp_path):
    folder = str(tmp_path / "surfaces")
    SurfaceFiles(folder, "one").save_parts(0, np.array([1]), np.array([0]))
    with pytest.raises(LedgerError, match="belongs to a run with other options; remove"):
        SurfaceFiles(folder, "other").parts(0)
