import pytest

from volproc.model.own_network import own_network
from volproc.model.whole_planes import WholePlanes
from volproc.stages.inference.votes import load_once

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),  # what torch.compile uses may be deprecated
]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_calls_of_all_sizes_share_compiled_code_on_a_gpu(tiny_model, device):
    predict = load_once(own_network(tiny_model), device, compiled=True)
    assert isinstance(predict.module, WholePlanes) == (device == "cuda")
