import subprocess
import sys

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


@pytest.mark.dask
def test_a_script_without_a_guard_is_run_once(tmp_path):
    """No `if __name__ == "__main__":` is needed: workers do not import the caller's script."""
    script = tmp_path / "script.py"
    script.write_text(
        "from volproc.engine.clusters.local import local_engine\n"
        "print('begun', flush=True)\n"
        "with local_engine(workers=1, worker_bytes=10**9) as engine:\n"
        "    print(engine.client.submit(lambda n: n + 1, 41).result(), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.split() == ["begun", "42"], done.stderr
