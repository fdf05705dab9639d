import sys

import numpy as np
import pytest

from volproc.errors import ConfigError

xarray = pytest.importorskip("xarray")


@pytest.fixture
def volume(save_volume, noise):
    return save_volume("a.zarr", noise, voxel_nm=(50, 10, 20), corner_nm=(100, 0, 0))


@pytest.mark.parametrize(("unit", "nm"), [("nm", 1), ("um", 1000)])
def test_coordinates_are_the_centres_of_voxels(volume, noise, unit, nm):
    found = volume.to_xarray(unit=unit)
    assert found.dims == ("z", "y", "x")
    assert found.name == "a"
    np.testing.assert_allclose(found.z[:2] * nm, [125, 175])
    np.testing.assert_allclose(found.x[:2] * nm, [10, 30])
    assert {found[axis].attrs["units"] for axis in "zyx"} == {unit}
    assert found.attrs["voxel_nm"] == (50, 10, 20)
    near = found.sel(z=(100 + 3.4 * 50) / nm, method="nearest")
    assert np.array_equal(near.values, noise[3])


def test_it_is_lazy_and_may_be_cut_otherwise(volume):
    assert volume.to_xarray(chunks=(5, 70, 90)).chunks[0] == (5,) * 8


def test_another_unit_and_a_missing_package_are_told_in_one_line(volume, monkeypatch):
    with pytest.raises(ConfigError, match=r"unit='mm'\): expected 'nm' or 'um'"):
        volume.to_xarray(unit="mm")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ConfigError, match=r"needs xarray: pip install '\.\[xarray\]'"):
        volume.to_xarray()
