import numpy as np

from volproc.stages.measure.tables.table_files import properties_of


def test_properties_leave_out_what_is_not_known():
    columns = {
        "id": np.array([3, 8]),
        "volume_um3": np.array([1.23456789, 2.0]),
        "surface_um2": np.array([np.nan, 4.0]),
        "voxels": np.array([1, 2]),
    }
    assert properties_of(columns) == [
        {"label-value": 3, "volume_um3": 1.23457},
        {"label-value": 8, "volume_um3": 2.0, "surface_um2": 4.0},
    ]
