import dask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.engine.worker_settings import DASK, THREADS, dask_environment, environment


@given(workers=st.integers(1, 64), cores=st.integers(1, 64))
def test_the_threads_of_all_workers_are_no_more_than_the_cores_or_one_each(workers, cores):
    found = environment(workers, cores=cores)
    (each,) = {int(found[name]) for name in THREADS}
    assert each * workers <= max(cores, workers)
    assert (each + 1) * workers > cores


@pytest.mark.parametrize("name", list(DASK))
def test_dask_reads_its_settings_from_the_environment_as_they_were_meant(name):
    read = dask.config.collect_env(dask_environment())
    assert dask.config.get(name, config=read) == DASK[name]
