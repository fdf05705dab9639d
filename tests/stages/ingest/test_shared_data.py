"""Every volume in the folder of real data, read by the reader it should get."""

import numpy as np
import pytest

from volproc import IngestOptions
from volproc.grid.box import whole_box
from volproc.stages.ingest.reader import open_source

pytestmark = pytest.mark.real

VOLUMES = {
    "hela-roi329/raw_40nm.tif": ((300, 500, 500), "uint8", None),
    "hela-roi329/lost_mask.tif": ((300, 500, 500), "uint8", None),
    "hela-roi329/labels5_40nm.tif": ((300, 500, 500), "uint8", None),
    "hela-roi329/labels5_10nm.tif": ((300, 2000, 2000), "uint8", None),
    "hela-roi329/labels4_multinuclei_10nm.tif": ((300, 2000, 2000), "uint8", None),
    "hela-slices": ((4, 2000, 2000), "uint8", None),
    "fib25/raw.tif": ((160, 250, 250), "uint8", None),
    "fib25/bodies.tif": ((160, 250, 250), "uint16", None),
    "drosophila-vnc/raw": ((14, 1024, 1024), "uint8", None),
    "drosophila-vnc/membranes": ((14, 1024, 1024), "uint8", None),
    "drosophila-vnc/mitochondria": ((14, 1024, 1024), "uint8", None),
    "mrc/EMD-3197.map": ((20, 20, 20), "float32", (1.14, 1.14, 1.14)),
    "ome-zarr/6001240_labels_v0.5.zarr": (
        (236, 68, 67),
        "uint16",
        (500.2025531914894, 1441.5926, 1441.5926),
    ),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_shape_type_and_voxel_size(real_data, name):
    shape, dtype, voxel_nm = VOLUMES[name]
    options = IngestOptions(missing="repeat", channel=0)
    source = open_source(str(real_data / name), options)
    assert (source.shape, source.dtype) == (shape, dtype)
    assert source.voxel_nm == (voxel_nm and pytest.approx(voxel_nm, rel=1e-4))
    middle = whole_box(source.shape).slabs(1).__next__()
    assert np.ptp(source.read(middle)) >= 0


@pytest.mark.parametrize("kind", ["dm3", "dm4"])
def test_every_gatan_file(real_data, kind):
    files = sorted((real_data / "dm").glob(f"*.{kind}"))
    assert len(files) == 7
    for file in files:
        source = open_source(str(file), IngestOptions())
        assert source.dtype == "float32"
        assert source.read(whole_box(source.shape)).shape == source.shape


def test_every_hdf5_file(real_data):
    files = sorted((real_data / "gala-fibsem").glob("*.h5"))
    assert files
    for file in files:
        source = open_source(str(file), IngestOptions())
        assert source.shape == (50, 100, 200)
