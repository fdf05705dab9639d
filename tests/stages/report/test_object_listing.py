import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import VolumeError
from volproc.stages.report.object_listing import NUMBERS, histogram, read_objects

HEADER = ",".join([*NUMBERS, "touches_border"])


def test_lengths_become_um_and_sizes_follow():
    line = "7,2.5,1000,2000,3000,500,1000,2000,1500,3000,4000,True"
    found = read_objects([HEADER, line], name="objects.csv")
    assert found.ids.tolist() == [7]
    assert found.centroid_um.tolist() == [[1, 2, 3]]
    assert found.size_um.tolist() == [[1, 2, 2]]
    assert found.touches_border.tolist() == [True]
    assert found.highest == 7


def test_an_empty_table_has_no_objects():
    found = read_objects([HEADER], name="objects.csv")
    assert len(found) == found.highest == 0


def test_another_table_is_refused():
    with pytest.raises(VolumeError, match=r"objects\.csv has no column centroid_x_nm"):
        read_objects(["id,volume_um3,touches_border"], name="objects.csv")


def test_a_broken_number_is_refused():
    line = "1,?,0,0,0,0,0,0,1,1,1,False"
    with pytest.raises(VolumeError, match=r"t.csv: volume_um3 = '\?' is not a number"):
        read_objects([HEADER, line], name="t.csv")


@given(st.lists(st.floats(1e-4, 1e6), min_size=2, max_size=60))
def test_a_histogram_loses_nothing(values):
    found = histogram(values)
    assert found is not None
    assert sum(found.counts) == len(values)
    assert (np.diff(found.edges) > 0).all()


def test_volumes_far_apart_have_a_logarithmic_axis():
    assert histogram([1.0, 1000.0]).logarithmic
    assert not histogram([10.0, 20.0]).logarithmic


def test_one_object_has_no_histogram():
    assert histogram([4.0]) is None
