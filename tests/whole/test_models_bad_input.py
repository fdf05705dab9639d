"""Models that cannot be used, by command: one clear line, bounded, and no voxel left behind."""

import hashlib
import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.model.foreign.networks import onnx_of, script_of, two_levels, write_package
from torch import nn

from volproc.errors import VolumeError
from volproc.stages.inference import votes
from volproc.stages.predict import seam_places
from volproc.volume.store import open_volume

GREY = np.random.default_rng(6).integers(60, 190, (16, 40, 40), dtype=np.uint8)
CARD = "voxel_nm = [50, 50, 50]\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, save_volume):
    """A folder with an image; networks loaded by other tests are forgotten."""
    save_volume("image.zarr", GREY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(votes, "_loaded", {})
    monkeypatch.setattr(seam_places, "SIDE", 16)
    return tmp_path


@pytest.fixture
def predict_refused(refused):
    """predict_refused(model, words, ..., flags=()): refused, and nothing that would be trusted."""

    def check(model, *words, flags=(), image="image.zarr"):
        refused(*words, by=("predict", image, model, "out.zarr", "--serial", *flags))
        with pytest.raises(VolumeError):
            open_volume("out.zarr")

    return check


@pytest.fixture
def ours(tiny_model, here):
    """A copy of the tiny model to be spoilt: ours(tensor=..., card={...})."""

    def make(card=None, **changes):
        folder = here / "ours"
        shutil.copytree(tiny_model, folder)
        weights = folder / "weights.safetensors"
        save_file({**load_file(weights), **changes}, weights)
        stated = json.loads((folder / "card.json").read_text())
        stated["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        (folder / "card.json").write_text(json.dumps({**stated, **(card or {})}))
        return folder

    return make


@pytest.fixture
def theirs(here):
    """A file of a stranger's network with its card: theirs("net.onnx", bytes, card)."""

    def make(name, data, card=CARD):
        (here / name).write_bytes(data)
        (here / name).with_suffix(".toml").write_text(card)
        return name

    return make


@pytest.fixture
def package(here):
    """A bioimage.io package: package(key=...)."""
    module = two_levels()
    raw = GREY[:1, None, :32].astype(np.float32)
    normal = torch.from_numpy((raw - raw.mean()) / (raw.std() + 1e-6))
    with torch.inference_mode():
        answer = module(normal).numpy()

    def make(**changes):
        return write_package(
            here / "net", {"weights.onnx": onnx_of(module)}, raw, answer, **changes
        )

    return make


def test_our_weights_that_are_no_numbers_damaged_or_of_another_network(ours, predict_refused, here):
    broken = ours(**{"head.bias": torch.full((16,), torch.nan)})
    predict_refused(broken, "'head.bias' holds NaN", "take an older model")
    shutil.rmtree(broken)
    with open(ours() / "weights.safetensors", "r+b") as file:
        file.truncate(1000)
    predict_refused(broken, "SHA-256 differs", "copy the folder again")
    shutil.rmtree(broken)
    ours(card={"reach": 4})
    predict_refused(broken, "card.json says", "use the card that came with the weights")
    shutil.rmtree(broken)
    spec = json.loads((ours() / "card.json").read_text())["spec"]
    shutil.rmtree(broken)
    ours(card={"spec": {**spec, "widths": [10**6, 10**6]}})
    predict_refused(broken, "no number of a network may be larger than 4096", "(1000000, 1000000)")


def test_our_finite_weights_that_answer_nan(ours, tiny_model, predict_refused):
    sound = load_file(tiny_model / "weights.safetensors")
    model = ours(**{name: value * 1e30 for name, value in sound.items() if value.ndim == 4})
    predict_refused(model, "model tiny predicts NaN", "float32", "take another model")


def test_a_file_larger_than_any_memory(theirs, predict_refused, here):
    name = theirs("net.onnx", onnx_of(two_levels()))
    with open(name, "r+b") as file:
        file.truncate(2**42)  # a hole: takes no space
    predict_refused(name, "net.onnx needs 4398.0 GB of memory", "a smaller model")
    wide = theirs("wide.onnx", onnx_of(two_levels()), CARD + "size = 1000000")
    predict_refused(wide, "wide.onnx", "GB of memory", "a smaller model")


def test_their_weights_and_answers_that_are_no_numbers(theirs, predict_refused):
    class Late(nn.Module):
        def forward(self, values):
            return torch.sqrt(150 - values).clamp(0, 1) * values.sigmoid()

    class Root(nn.Module):
        def forward(self, values):
            return torch.sqrt(values) + values.sigmoid()

    module = two_levels()
    module[3].weight.data[0] = torch.nan
    predict_refused(theirs("a.onnx", onnx_of(module)), "a.onnx", "NaN", "take another file of it")
    trust = ("--trust-model",)
    predict_refused(theirs("b.pt", script_of(Root())), "b.pt predicts NaN", "a card", flags=trust)
    predict_refused(theirs("c.pt", script_of(Late())), "c.pt predicts NaN", "its card", flags=trust)


@pytest.mark.parametrize(
    "source", ["../secret.onnx", "{here}/secret.onnx", "sub/../../secret.onnx"]
)
def test_a_package_whose_description_climbs_out(package, predict_refused, here, source):
    (here / "secret.onnx").write_bytes(onnx_of(two_levels()))
    folder = package(weights={"onnx": {"source": source.format(here=here)}})
    predict_refused(folder, "leads out of the package", "do not use it")


@pytest.mark.parametrize("name", ["../evil", "/evil", "..\\evil", "link"])
def test_a_zip_that_climbs_out(package, predict_refused, here, name):
    folder = package(weights={"onnx": {"source": "link" if name == "link" else "weights.onnx"}})
    with zipfile.ZipFile("net.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(folder / "weights.onnx"))
    said = "is a link" if name == "link" else "leads out of the package"
    predict_refused("net.zip", f"net.zip: {name!r}", said)
    assert not (here.parent / "evil").exists()


def test_a_checksum_that_does_not_fit(package, predict_refused):
    folder = package(weights={"onnx": {"source": "weights.onnx", "sha256": "0" * 64}})
    predict_refused(folder, "weights.onnx has SHA-256", "says 000000000000...", "download")


@pytest.mark.parametrize(
    ("module", "card", "said"),
    [
        (two_levels(), 'axes = "bczyx"', ("an input of 4 axes", "state axes in a card")),
        (two_levels(), 'output_axes = "byx"', ("predicts 4 axes", "state output_axes")),
        (two_levels(), "channel = 1", ("predicts 1 channels, there is no channel 1", "in a card")),
        (two_levels(), 'axes = "bzyx"\ndepth = 3', ("does not take (1, 3, 64, 64)",)),
        (two_levels()[:3], "", ("predicts (1, ", "at the same resolution")),
        (two_levels()[:-1], "", ("expected probabilities", "[[postprocessing]]")),
        (two_levels(), "halos = 3", ("unknown key halos; known are name, voxel_nm",)),
    ],
)
def test_a_card_of_another_network(theirs, predict_refused, module, card, said):
    predict_refused(theirs("net.onnx", onnx_of(module), CARD + card), "net.", *said)


def test_a_card_that_lies_about_how_far_its_network_sees(theirs, volproc, refused, tiny_model):
    """A stranger's is measured, not believed; what predict was told shows in the certificate."""
    lying = theirs("net.onnx", onnx_of(two_levels()), CARD + "halo = 0")
    certify = ("--serial", "--seam-check", 4)
    assert volproc("predict", "image.zarr", lying, "out.zarr", *certify)[0] == 0
    assert json.loads(Path("out-certificate.json").read_text())["passed"]
    (note,) = open_volume("out.zarr").info.provenance["model_notes"]
    assert "stated as 0 pixels in plane, but its output depends on 4 (measured)" in note
    short = ("predict", "image.zarr", tiny_model, "short.zarr", *certify)
    refused("is kept, but not certified", "Model tiny sees further", by=(*short, "--halo", 4))
    refused("made otherwise (halo: 4 -> 'exact'", "--overwrite", by=short)
    assert volproc(*short, "--overwrite")[0] == 0


def test_certificates_of_none_and_of_more_places_than_blocks(tiny_model, volproc, refused, here):
    command = ("predict", "image.zarr", tiny_model, "out.zarr", "--serial", "--seam-check")
    refused("seam_check = -1", "greater than or equal to 0", by=(*command, -1))
    assert volproc(*command, 0)[0] == 0
    assert not (here / "out-certificate.json").exists()
    assert volproc(*command, 12)[0] == 0
    found = json.loads((here / "out-certificate.json").read_text())
    assert (found["places"], found["passed"]) == (12, True)


def test_numbers_that_are_none(tiny_model, predict_refused):
    for flags, said in (
        (("--halo", "-5"), "halo = '-5': expected exact, reference, or pixels"),
        (("--fusion", "weighted", "--weights", "inf", 1, 1), "weights.0 = Infinity"),
        (("--skip-empty-std", "nan"), "skip_empty_std = NaN"),
        (("--image-grid", "--fusion", "union"), "--votes VOTES.zarr"),
    ):
        predict_refused(tiny_model, said, flags=flags)
