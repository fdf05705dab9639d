"""A run in pods of a real API server, where it was built; scripts/clusters-kubernetes does more."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.dask
@pytest.mark.skipif(
    not (os.environ.get("K8S_BIN") and shutil.which("etcd") and shutil.which("kubectl")),
    reason="no API server here: scripts/clusters/kubernetes_build OUT makes one, then K8S_BIN=OUT",
)
def test_two_pods_write_what_this_machine_writes(tmp_path):
    ended = subprocess.run(
        [ROOT / "scripts/clusters-kubernetes", "two_pods"],
        env=os.environ | {"PYTHON": sys.executable, "CLUSTER_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 trials, 0 failed" in ended.stdout
