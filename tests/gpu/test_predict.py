import numpy as np
import pytest
import torch

from volproc import ClusterOptions
from volproc.engine.events import BlockDone
from volproc.stages.predict.seam_check import TOLERANCES

pytestmark = pytest.mark.gpu

CPU = {"device": "cpu"}
CUDA = {"device": "cuda"}
SMALL = {"tile": (20, 36, 36), "block": (20, 36, 36)}
MANY = {"tile": (8, 16, 16), "block": (40, 72, 72), "batch": 7}


def apart(one, other):
    """The largest difference of two volumes."""
    a, b = (volume.read(volume.info.box).astype(int) for volume in (one, other))
    return np.abs(a - b).max()


@pytest.mark.parametrize("how", [SMALL, MANY, {"flips": True}], ids=str)
def test_sixteen_bits_on_the_gpu_answer_as_the_cpu_but_for_rounding(image, predict, how):
    fused, votes = predict(image, "cpu", **CPU, **how)
    on_gpu, votes_on_gpu = predict(image, "cuda", **CUDA, **how)
    assert apart(votes, votes_on_gpu) <= TOLERANCES["cuda"]
    assert apart(fused, on_gpu) <= TOLERANCES["cuda"]
    assert np.ptp(votes.read(votes.info.box)) > 10


@pytest.mark.filterwarnings("default")  # what torch.compile uses may be deprecated
def test_a_compiled_network_answers_as_it_is(gpu, image, predict):
    if gpu:
        pytest.skip("the simulated GPU compiles nothing")
    _, votes = predict(image, "plain", **CUDA, **SMALL)
    _, compiled = predict(image, "compiled", **CUDA, **SMALL, compiled=True)
    assert apart(votes, compiled) <= TOLERANCES["cuda"]


def test_no_seams_on_the_gpu(image, predict):
    predict(
        image, "out", **CUDA, **SMALL, seam_check=12
    )  # fails where other tiles answer otherwise


def test_a_worker_with_four_blocks_in_hand_finds_what_one_process_finds(image, predict):
    heard = []
    _, alone = predict(image, "alone", **CUDA, **SMALL)
    _, votes = predict(
        image, "worker", **CUDA, **SMALL, cluster=ClusterOptions(), watchers=(heard.append,)
    )
    assert apart(alone, votes) <= 1
    workers = {e.worker for e in heard if isinstance(e, BlockDone) and e.step == "predict"}
    assert 1 <= len(workers) <= torch.cuda.device_count()
