import io
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.model.foreign.networks import onnx_model, onnx_of, pt2_of, script_of, two_levels
from torch import nn

from volproc.errors import ModelError
from volproc.model.foreign.weights_file import kind_of, load_runnable

MAKERS = {"onnx": onnx_of, "torchscript": script_of, "pt2": pt2_of}


def load(kind, data, *, trust=True):
    return load_runnable(kind, data, where=f"net.{kind}", device="cpu", trust=trust)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", MAKERS)
@torch.inference_mode()
def test_every_format_gives_the_answers_and_costs_of_the_network(kind, dims):
    module = two_levels(dims)
    values = torch.rand(2, 1, *[24] * dims)
    run = load(kind, MAKERS[kind](module, dims=dims))
    assert torch.allclose(run(values), module(values), atol=1e-6)
    cost = run.cost(values)
    half = 2 * 4 * (24 // 2) ** dims
    taps = 3**dims
    assert cost.flop == 2 * 2 * (4 * taps * 24**dims + half * 2 * taps + 4 * 24**dims)
    assert 4 * 2 * 4 * 24**dims <= cost.bytes <= 4 * 4 * 2 * 4 * 24**dims
    assert run.whole_tile == ()


@pytest.mark.parametrize("kind", ["torchscript", "pt2"])
def test_programs_need_trust(kind):
    with pytest.raises(ModelError, match=rf"net\.{kind}: .*if you trust its maker say --trust-mod"):
        load(kind, MAKERS[kind](two_levels()), trust=False)


def test_a_graph_of_onnx_needs_none():
    assert load("onnx", onnx_of(two_levels()), trust=False).shape == (None, 1, None, None)


def test_sizes_fixed_in_the_file_are_known():
    assert load("onnx", onnx_of(two_levels(), sides=[32, 32])).shape == (None, 1, 32, 32)
    program = torch.export.export(two_levels(), (torch.zeros(1, 1, 32, 32),))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    assert load("pt2", buffer.getvalue()).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("kind", MAKERS)
def test_layers_that_look_at_the_whole_tile_are_found_in_the_graph(kind):
    run = load(kind, MAKERS[kind](two_levels(norm=nn.InstanceNorm2d(4))))
    assert [name.lower().replace("_", "")[:12] for name in run.whole_tile] == ["instancenorm"]


@pytest.mark.parametrize("kind", MAKERS)
def test_weights_that_are_no_numbers_are_refused(kind):
    module = two_levels()
    with torch.no_grad():
        module[3].weight[0, 0, 0, 0] = math.nan
    with pytest.raises(ModelError, match=rf"net\.{kind}: weights '.*' hold NaN or infinity"):
        load(kind, MAKERS[kind](module))


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_such_file_is_refused_in_one_line(kind, capfd):
    with pytest.raises(ModelError, match=rf"net\.{kind} is not ") as refusal:
        load(kind, b"nothing of the kind")
    assert len(str(refusal.value)) < 400
    assert capfd.readouterr() == ("", "")  # torch would log a traceback beside it


def test_a_pickle_is_never_read(tmp_path):
    """Neither what torch.save makes of a module nor a bare pickle runs, trusted or not."""

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was here",)

    buffer = io.BytesIO()
    torch.save({"weights": Evil()}, buffer)
    for kind in MAKERS:
        for trust in (True, False):
            with pytest.raises(ModelError):
                load(kind, buffer.getvalue(), trust=trust)
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("kind", MAKERS)
def test_the_wrong_number_of_channels_is_named(kind):
    run = load(kind, MAKERS[kind](two_levels(planes=3), planes=3))
    with pytest.raises(ModelError, match=rf"net\.{kind} does not take \(1, 1, 16, 16\): .*"):
        run(torch.zeros(1, 1, 16, 16))


def test_an_opset_of_the_future_is_named():
    model = onnx_model(onnx_of(two_levels()))
    model.opset_import[0].version = 99
    with pytest.raises(ModelError, match=r"net\.onnx is of ONNX opset 99, up to \d+ are known"):
        load("onnx", model.SerializeToString())


def test_operators_nobody_knows_are_named():
    model = onnx_model(onnx_of(two_levels()))
    model.graph.node[0].domain = "my.own"
    model.opset_import.add(domain="my.own", version=1)
    with pytest.raises(ModelError, match=r"onnxruntime cannot run net\.onnx: .*my\.own"):
        load("onnx", model.SerializeToString())


def test_weights_in_other_files_are_refused():
    model = onnx_model(onnx_of(two_levels()))
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(ModelError, match=r"net\.onnx keeps weights in another file \(w0\)"):
        load("onnx", model.SerializeToString())


def test_several_inputs_are_refused():
    model = onnx_model(onnx_of(two_levels()))
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "prompt"
    with pytest.raises(ModelError, match=r"net\.onnx wants image .*prompt.*one input here"):
        load("onnx", model.SerializeToString())


def test_whole_numbers_are_given_as_such():
    """An input of uint8 gets uint8."""
    model = onnx_model(onnx_of(two_levels()))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    cast = onnx.helper.make_node("Cast", ["image"], ["cast"], to=onnx.TensorProto.FLOAT)
    model.graph.node[0].input[0] = "cast"
    model.graph.node.insert(0, cast)
    values = torch.tensor(np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16))
    wanted = load("onnx", onnx_of(two_levels()))(values)
    assert torch.equal(load("onnx", model.SerializeToString())(values), wanted)


def test_suffixes_say_the_format(tmp_path):
    assert kind_of(Path("a/net.pt2")) == "pt2"
    with pytest.raises(ModelError, match=r"net\.h5 is no model: expected .*\.onnx, \.pt2"):
        kind_of(Path("net.h5"))
