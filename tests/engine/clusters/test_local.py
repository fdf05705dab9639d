import subprocess
import sys

import pytest


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
