import hashlib
import io
import zipfile
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from onnx import TensorProto, helper
from tests.model.foreign.networks import onnx_of, pt2_of, script_of, two_levels, write_package
from torch import nn

from volproc.errors import ModelError
from volproc.model.foreign.foreign_network import difference_from_test
from volproc.model.foreign.weights_file import WeightsFile
from volproc.model.resolver import open_network

CARD = "voxel_nm = [50, 50, 50]\n"


def opened(path, *, trust=True, card=""):
    return open_network(str(path), card=card, trust=trust)


def saved(tmp_path, name, data, card=CARD):
    path = tmp_path / name
    path.write_bytes(data)
    path.with_suffix(".toml").write_text(card)
    return path


def answered(network, raw):
    """Probabilities for a raw image (H, W), which counts as its own volume."""
    constants = network.constants_from(raw)
    planes = torch.from_numpy(raw[None, None])
    return network.load("cpu")(planes, constants)[0, 0, 0].numpy()


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_package_reproduces_its_test_output(package, grey, probability, tmp_path, kind, packed):
    folder = package()
    (tmp_path / "card.toml").write_text(f'weights = "{kind}"')
    if packed:
        with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
        folder = tmp_path / "tiny.zip"
    network = opened(folder, card=str(tmp_path / "card.toml"))
    assert np.abs(answered(network, grey[0, 0]) - probability[0, 0]).max() < 1e-5
    assert (network.slices_in, network.slices_out, network.stride, network.halo) == (1, 1, 2, 4)
    assert network.voxel_nm == (50, 50, 50)
    assert network.notes == (
        "its halo is stated as 2 pixels in plane, but its output depends on 4 (measured): 4 are "
        "taken",
    )


@pytest.mark.real
def test_nuclei_of_the_wild_come_out_to_a_ten_thousandth(real_data, tmp_path):
    folder = real_data / "models" / "unet2d_nuclei_broad"
    (tmp_path / "card.toml").write_text(CARD)
    network = opened(folder, card=str(tmp_path / "card.toml"))
    given, wanted = (np.load(folder / f"test_{n}put.npy")[0, 0] for n in ("in", "out"))
    assert np.abs(answered(network, given) - wanted).max() < 1e-4
    assert (network.stride, network.halo, network.most_pixels) == (8, 56, 512)
    script = WeightsFile(folder, "weights.pt")
    other = replace(
        network,
        description=network.description.model_copy(update={"weights": "torchscript"}),
        file=script,
        weights_sha256=hashlib.sha256(script.read()).hexdigest(),
    )
    assert np.abs(answered(other, given) - wanted).max() < 1e-4


def test_a_package_that_does_not_reproduce_its_test_output_is_refused(package, tmp_path):
    wrong = package(inputs={"preprocessing": []})
    with pytest.raises(ModelError, match=r"does not reproduce its own test output: they differ by"):
        opened(wrong)
    (tmp_path / "tiny.toml").write_text("tolerance = 1.0")
    assert opened(wrong).name == "tiny"


def test_damage_is_named(package):
    folder = package()
    (folder / "weights.onnx").write_bytes(b"damaged")
    with pytest.raises(
        ModelError, match=r"weights\.onnx has SHA-256 .* download the package again"
    ):
        opened(folder)
    folder = package("tensor")
    np.save(folder / "in.npy", np.zeros(3))
    with pytest.raises(ModelError, match=r"in\.npy has SHA-256"):
        opened(folder)


def test_weights_elsewhere_are_not_fetched_and_tests_elsewhere_are_told(package):
    url = "https://example.org/weights.onnx"
    with pytest.raises(ModelError, match=rf"{url} is elsewhere and nothing is fetched"):
        opened(package(weights={"onnx": {"source": url}}))
    network = opened(package("other", outputs={"test_tensor": {"source": f"{url}.npy"}}))
    assert "its test tensors are not in the package: not checked" in network.notes


def test_a_test_tensor_that_is_a_pickle_is_not_read(package, grey):
    folder = package()
    np.save(folder / "in.npy", np.array([{}]), allow_pickle=True)
    text = (folder / "rdf.yaml").read_text()
    lines = [line for line in text.splitlines() if "sha256" not in line]
    (folder / "rdf.yaml").write_text("\n".join(lines))
    with pytest.raises(ModelError, match=r"a test tensor is not a readable \.npy file"):
        opened(folder)


def test_several_channels_are_refused_unless_they_are_planes(tmp_path, grey):
    module = two_levels(planes=3)
    three = np.concatenate([grey, grey + 1, grey + 2], axis=1)
    normal = torch.from_numpy((three - three.mean()) / (three.std() + 1e-6))
    names = [{"type": "channel", "channel_names": ["r", "g", "b"]}]
    with torch.inference_mode():
        wanted = module(normal).numpy()
    sides = [{"type": "space", "id": a, "size": 32 if a == "y" else 48} for a in "yx"]
    sides = [{**side, "size": {"min": 16, "step": 2}} for side in sides]
    folder = write_package(
        tmp_path / "rgb",
        {"weights.onnx": onnx_of(module, planes=3)},
        three,
        wanted,
        inputs={"axes": [{"type": "batch"}, *names, *sides]},
        outputs={"axes": [{"type": "batch"}, *names, *sides]},
    )
    (tmp_path / "rgb.toml").write_text(CARD)
    with pytest.raises(ModelError, match=r'wants 3 channels.*axes = "bzyx"'):
        opened(folder)
    (tmp_path / "rgb.toml").write_text(f'{CARD}axes = "bzyx"\noutput_axes = "bzyx"')
    network = opened(folder)
    assert (network.slices_in, network.slices_out) == (3, 3)


@pytest.mark.parametrize(
    ("name", "make"), [("a.onnx", onnx_of), ("a.pt2", pt2_of), ("a.pt", script_of)]
)
def test_bare_files_need_a_card_only(tmp_path, name, make):
    path = saved(tmp_path, name, make(two_levels()), "")
    with pytest.raises(ModelError, match=r"does not say at which voxel size .* into .*a\.toml"):
        opened(path)
    path.with_suffix(".toml").write_text(CARD)
    network = opened(path)
    raw = np.random.default_rng(0).random((20, 30), np.float32)
    with torch.inference_mode():
        wanted = two_levels()(torch.from_numpy(raw[None, None]))[0, 0]
    assert np.allclose(answered(network, raw), wanted, atol=1e-6)
    assert network.notes == ()


def test_sizes_a_network_does_not_take_are_filled_up(tmp_path):
    """Pixels further from the filled end than the halo are those of the network of any size."""
    free = opened(saved(tmp_path, "free.onnx", onnx_of(two_levels())))
    fixed = opened(saved(tmp_path, "fixed.onnx", onnx_of(two_levels(), sides=[32, 32])))
    raw = np.random.default_rng(0).random((20, 32), np.float32)
    wanted, found = answered(free, raw), answered(fixed, raw)
    assert found.shape == (20, 32)
    assert np.allclose(found[:16], wanted[:16], atol=1e-6)
    assert not np.allclose(found[16:], wanted[16:], atol=1e-6)
    assert (fixed.most_pixels, fixed.halo) == (32, 4)
    assert fixed.flop(20, 10) == free.flop(32, 32)


def test_networks_without_padding_answer_every_pixel(tmp_path):
    torch.manual_seed(0)
    valid = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3), nn.Sigmoid())
    network = opened(saved(tmp_path, "valid.pt", script_of(valid)))
    raw = np.random.default_rng(0).random((20, 30), np.float32)
    found = answered(network, raw)
    with torch.inference_mode():
        wanted = valid(torch.from_numpy(raw[None, None]))[0, 0]
    assert found.shape == (20, 30)
    assert np.allclose(found[2:-2, 2:-2], wanted, atol=1e-6)
    assert network.halo == 2


def test_one_of_several_channels_is_the_probability(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1))
    card = f'{CARD}channel = 2\n[[postprocessing]]\nid = "softmax"'
    network = opened(saved(tmp_path, "a.pt", script_of(module), card))
    raw = np.random.default_rng(0).random((20, 30), np.float32)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(raw[None, None])).softmax(1)[0, 2]
    assert np.allclose(answered(network, raw), wanted, atol=1e-6)
    path = saved(tmp_path, "b.pt", script_of(module), f"{CARD}channel = 3")
    with pytest.raises(ModelError, match="predicts 3 channels, there is no channel 3"):
        opened(path)


def test_answers_that_are_no_probabilities_are_refused(tmp_path):
    path = saved(tmp_path, "a.onnx", onnx_of(two_levels()[:-1]))
    with pytest.raises(ModelError, match=r'expected probabilities.*postprocessing.*"sigmoid"'):
        opened(path)


def test_a_network_that_looks_at_its_whole_tile_is_named(tmp_path):
    module = two_levels(norm=nn.InstanceNorm2d(4))
    for name, make in (("a.onnx", onnx_of), ("a.pt", script_of)):
        (note,) = opened(saved(tmp_path, name, make(module))).notes
        assert (
            note.lower().replace("_", "").startswith("looks at a whole tile at once (instancenorm")
        )
        assert "seams may show" in note


def test_a_model_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, "a.onnx", onnx_of(two_levels()))
    size = path.stat().st_size
    for free in (size - 1, size + 1):
        memory = type("Memory", (), {"available": free})
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        with pytest.raises(ModelError, match=r"a\.onnx.* GB of memory, 0\.0 GB are free here"):
            opened(path)


def test_an_onnxruntime_without_cuda_leaves_no_gpu_idle(tmp_path):
    found = opened(saved(tmp_path, "a.onnx", onnx_of(two_levels())))
    with pytest.raises(
        ModelError, match=r"a\.onnx was planned .* no CUDA .*; pip install onnxruntime-gpu"
    ):
        found.load("cuda")


def test_a_model_that_changed_after_it_was_planned_is_refused(tmp_path):
    path = saved(tmp_path, "a.onnx", onnx_of(two_levels()))
    network = opened(path)
    path.write_bytes(onnx_of(two_levels(), sides=[32, 32]))
    with pytest.raises(ModelError, match="changed after the run was planned"):
        network.load("cpu")


def test_trust_is_asked_for_again_by_every_worker(tmp_path):
    network = opened(saved(tmp_path, "a.pt", script_of(two_levels())))
    with pytest.raises(ModelError, match="if you trust its maker"):
        replace(network, trust=False).load("cpu")
    with pytest.raises(ModelError, match="if you trust its maker"):
        opened(tmp_path / "a.pt", trust=False).load("cpu")


def test_nan_answers_are_refused(tmp_path):
    class Root(nn.Module):
        def forward(self, values):
            return torch.sqrt(values + 6).clamp(0, 1) * values.sigmoid()

    network = opened(saved(tmp_path, "a.pt", script_of(Root())))
    with pytest.raises(ModelError, match="predicts NaN or infinity for the image; it may want"):
        answered(network, np.full((16, 16), -100, np.float32))


def test_the_difference_from_the_test_output_is_the_greatest(tmp_path, package, grey, probability):
    network = opened(package())
    off = probability.copy()
    off[0, 0, 3, 4] += 0.25
    data = []
    for values in (grey, off):
        buffer = io.BytesIO()
        np.save(buffer, values)
        data.append(buffer.getvalue())
    assert difference_from_test(network.load("cpu"), *data) == pytest.approx(0.25, abs=1e-5)


def test_what_is_no_model_at_all_is_named(tmp_path):
    with pytest.raises(ModelError, match="no model 'nothing-here'"):
        opened("nothing-here")
    (tmp_path / "net.h5").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"net\.h5 is no model"):
        opened(tmp_path / "net.h5")
    with pytest.raises(ModelError, match=r"is no model: neither card\.json"):
        opened(tmp_path)


class Grey(nn.Module):
    """A mean of 3 x 3 grey values from 0 to 255, then a logit, then `last`."""

    def __init__(self, last, channels=1):
        super().__init__()
        self.mean = nn.Conv2d(1, channels, 3, padding=1)
        nn.init.constant_(self.mean.weight, 0.08 / 9)
        nn.init.constant_(self.mean.bias, -10.0)
        with torch.no_grad():  # of two channels the first answers the same to all
            self.mean.weight[: channels - 1] = 0
        self.last = last

    def forward(self, values):
        return self.last(self.mean(values))


class Mask(nn.Module):
    def forward(self, values):
        return (values > 0).float()


class Percent(nn.Module):
    def forward(self, values):
        return values.sigmoid() * 100


class Bytes(nn.Module):
    def forward(self, values):
        return values.sigmoid() * 255


@pytest.mark.parametrize(("last", "most"), [(Bytes(), 255), (Percent(), 100)])
def test_answers_beyond_1_on_grey_values_are_refused_and_scaled_by_a_card(tmp_path, last, most):
    """bioimage-io/archive.bioimage.io exports that answer grey levels: below 1 on noise about 0."""
    data = script_of(Grey(last))
    with pytest.raises(ModelError, match=r"for grey values from 0 to 255, expected .*scale_lin"):
        opened(saved(tmp_path, "a.pt", data))
    card = f'{CARD}postprocessing = [{{ id = "scale_linear", gain = {1 / most} }}]'
    network = opened(saved(tmp_path, "b.pt", data, card))
    raw = np.full((20, 20), 200, np.float32)
    assert answered(network, raw)[10, 10] == pytest.approx(1 / (1 + np.exp(-6)), abs=1e-5)


def test_answers_that_leave_0_to_1_on_the_image_only_are_refused_there(tmp_path):
    class Late(nn.Module):
        def forward(self, values):
            return torch.where(values > 1000, values, values.sigmoid())

    network = opened(saved(tmp_path, "a.pt", script_of(Late())))
    with pytest.raises(ModelError, match=r"predicts .* for the image, expected probabilities"):
        answered(network, np.full((16, 16), 40000, np.float32))


def test_masks_are_answers_too(tmp_path):
    """A network that ends in a threshold answers noise about 0 with nothing at all."""
    network = opened(saved(tmp_path, "a.pt", script_of(Grey(Mask()))))
    assert (network.stride, network.halo) == (1, 1)
    assert answered(network, np.full((16, 16), 200, np.float32))[8, 8] == 1
    assert answered(network, np.full((16, 16), 100, np.float32))[8, 8] == 0


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("", None),
        ('channels = ["a", "b"]', None),
        ('channels = ["background", "nucleus"]', 1),
        ('channels = ["nucleus", "Background"]', 0),
        ('channels = ["background"]', None),
        ("channel = 0", 0),
        ('channel = "b"\nchannels = ["a", "b"]', 1),
    ],
)
def test_the_channel_of_several_is_never_guessed(tmp_path, names, taken):
    """bioimage-io/archive.bioimage.io#324, qubvel-org/segmentation_models.pytorch#176."""
    path = saved(tmp_path, "a.pt", script_of(Grey(nn.Softmax(1), channels=2)), CARD + names)
    if taken is None:
        with pytest.raises(ModelError, match=r"predicts 2 channels.*nothing says which.*channel ="):
            opened(path)
        return
    network = opened(path)
    noted = "is its output" in " ".join(network.notes)
    assert noted is ("channel =" not in names)
    assert network.description.channel_of(2) == taken


@pytest.mark.parametrize(
    ("shape", "card", "said"),
    [
        (["n", "h", "w", 1], "", 'come last, state axes = "byxc" in a card'),
        (["n", 64, 64, 1], "", 'any x 64 x 64 x 1.*state axes = "byxc"'),
        (["n", "d", "h", "w", 1], 'axes = "bczyx"\n', 'state axes = "bzyxc"'),
        (["n", 1, 4, 4], "", "of any x 1 x 4 x 4, .* of 4 pixels, fewer than the 16"),
        (["n", 1, 64, 48], "", "takes planes of 64 x 48 pixels: they must be as high as wide"),
        (["n", 1, "h", "w"], "size = 8\n", "of 8 pixels, fewer than the 16"),
        (["n", 3, "h", "w"], "", "wants 3 channels"),
        (["n", "h", "w"], "", "takes an input of 3 axes"),
    ],
)
def test_inputs_that_are_no_planes_are_one_line(tmp_path, shape, card, said):
    """bioimage-io/core-bioimage-io-python#157, spec-bioimage-io#509, tensorflow-onnx's NHWC."""
    kind = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    node = helper.make_node("Identity", ["image"], ["answer"])
    out = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [kind], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = saved(tmp_path, "a.onnx", model.SerializeToString(), CARD + card)
    with pytest.raises(ModelError, match=said):
        opened(path)
