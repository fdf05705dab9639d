import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.engine.clusters.local import thread_settings


@given(workers=st.integers(1, 64), cores=st.integers(1, 64))
def test_the_threads_of_all_workers_are_no_more_than_the_cores_or_one_each(workers, cores):
    (each,) = set(thread_settings(workers, cores=cores).values())
    assert each * workers <= max(cores, workers)
    assert (each + 1) * workers > cores


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "ZARR_THREADING__MAX_WORKERS"])
def test_the_settings_reach_a_worker_before_it_starts(name):
    assert thread_settings(1, cores=4)[f"distributed.nanny.pre-spawn-environ.{name}"] == 4
