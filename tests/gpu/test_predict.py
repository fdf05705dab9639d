import json
import re

import numpy as np
import pytest
import torch

from volproc import ClusterOptions
from volproc.engine.events import BlockDone
from volproc.errors import ModelError
from volproc.model import predictor
from volproc.stages.predict import seam_places
from volproc.stages.predict.seam_check import WRITTEN_TOLERANCE
from volproc.volume.file_io import sibling

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
    assert apart(votes, votes_on_gpu) <= WRITTEN_TOLERANCE
    assert apart(fused, on_gpu) <= WRITTEN_TOLERANCE
    assert np.ptp(votes.read(votes.info.box)) > 10


@pytest.mark.filterwarnings("default")  # what torch.compile uses may be deprecated
def test_a_compiled_network_answers_as_it_is(gpu, image, predict):
    if gpu:
        pytest.skip("the simulated GPU compiles nothing")
    _, votes = predict(image, "plain", **CUDA, **SMALL)
    _, compiled = predict(image, "compiled", **CUDA, **SMALL, compiled=True)
    assert apart(votes, compiled) <= WRITTEN_TOLERANCE


def certificate(made):
    with open(sibling(made.info.url, "-certificate.json")) as file:
        return json.load(file)


@pytest.mark.parametrize("votes", [True, False])
def test_no_seams_on_the_gpu(image, predict, votes, monkeypatch):
    """Looked for in float32, as sharply as on a CPU; what 16 bits did is told apart."""
    monkeypatch.setattr(seam_places, "SIDE", 16)
    made, _ = predict(image, "out", **CUDA, **SMALL, seam_check=6, keep_votes=votes)
    found = certificate(made)
    assert found["passed"] is True
    assert (found["tolerance"], found["written_tolerance"]) == (1, WRITTEN_TOLERANCE)
    assert found["largest"] <= 1
    assert 0 < found["written_largest"] <= WRITTEN_TOLERANCE


@pytest.mark.parametrize("votes", [True, False])
def test_a_card_that_lies_about_how_far_its_network_sees_is_caught_on_the_gpu(
    image, predict, votes, monkeypatch
):
    """By a seam that is smaller than what 16 bits may do."""
    monkeypatch.setattr(seam_places, "SIDE", 16)
    said = r"not certified: with other tiles its votes differ by up to (\d+) of 255"
    with pytest.raises(ModelError, match=said) as caught:
        predict(image, "out", **CUDA, **SMALL, halo=4, seam_check=6, keep_votes=votes)
    seen = re.search(said, str(caught.value))
    assert seen
    assert 1 < int(seen[1]) <= WRITTEN_TOLERANCE


def test_votes_that_16_bits_did_not_give_are_told_apart(image, predict, monkeypatch):
    """Votes on disk that are all others: nothing is wrong with the tiles."""
    monkeypatch.setattr(seam_places, "SIDE", 16)
    _, votes = predict(image, "out", **CUDA, **SMALL)
    votes.write(votes.info.box, 255 - votes.read(votes.info.box))
    said = r"not certified: its votes, in 16 bits, differ by up to \d+ of 255 from those in float32"
    with pytest.raises(ModelError, match=said):
        predict(image, "out", **CUDA, **SMALL, seam_check=6)


def test_a_certificate_is_made_without_tf32(image, predict, monkeypatch):
    seen = []
    sigmoid = predictor.Sigmoid.__call__

    def noted(self, logits):
        seen.append((torch.backends.cudnn.allow_tf32, logits.dtype))
        return sigmoid(self, logits)

    predict(image, "out", **CUDA, **SMALL)
    monkeypatch.setattr(predictor.Sigmoid, "__call__", noted)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    predict(image, "out", **CUDA, **SMALL, seam_check=2)
    assert {tf32 for tf32, _ in seen} == {False}
    assert {dtype for _, dtype in seen} == {torch.float32}  # as the votes are kept
    assert torch.backends.cudnn.allow_tf32


def test_a_worker_with_four_blocks_in_hand_finds_what_one_process_finds(image, predict):
    heard = []
    _, alone = predict(image, "alone", **CUDA, **SMALL)
    _, votes = predict(
        image, "worker", **CUDA, **SMALL, cluster=ClusterOptions(), watchers=(heard.append,)
    )
    assert apart(alone, votes) <= 1
    workers = {e.worker for e in heard if isinstance(e, BlockDone) and e.step == "predict"}
    assert 1 <= len(workers) <= torch.cuda.device_count()
