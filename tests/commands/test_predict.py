import pytest

from volproc.commands.predict import GPU_THREADS, cluster_for
from volproc.config import ClusterOptions


@pytest.mark.parametrize(
    ("device", "cluster", "wanted"),
    [
        ("cpu", ClusterOptions(), ClusterOptions()),
        ("cuda", ClusterOptions(), ClusterOptions(workers=1, threads=GPU_THREADS)),
        ("cuda", ClusterOptions(threads=9), ClusterOptions(workers=1, threads=9)),
        ("cuda", ClusterOptions(workers=2), ClusterOptions(workers=2)),
    ],
)
def test_a_gpu_has_one_worker_with_several_blocks_in_hand(device, cluster, wanted):
    assert cluster_for(device, cluster) == wanted
