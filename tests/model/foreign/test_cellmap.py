"""Folders that cellmap-models exports: metadata.json beside model.onnx, model.ts or model.pt2."""

import json
import re

import numpy as np
import pytest
import torch
from tests.model.foreign.networks import onnx_of, script_of, two_levels

from volproc.errors import ModelError
from volproc.model.resolver import open_network

SCALED = 'preprocessing = [{ id = "scale_linear", gain = 0.00392156 }]\n'
STATED = {
    "model_name": "mito",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "input_voxel_size": [8, 8, 8],
    "output_voxel_size": [8, 8, 8],
    "channels_names": ["mito"],
    "input_shape": [1, 1, 96, 96],
    "author": "someone",
    "format_version": "1",
}


@pytest.fixture
def exported(tmp_path):
    """A folder as it is exported: exported(files, card="", **what metadata.json states)."""

    def write(files, card=SCALED, **stated):
        folder = tmp_path / "mito"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        (folder / "metadata.json").write_text(json.dumps(STATED | stated))
        (tmp_path / "mito.toml").write_text(card)
        return str(folder)

    return write


@pytest.mark.parametrize(
    ("name", "make", "dims"),
    [("model.onnx", onnx_of, 2), ("model.ts", script_of, 2), ("model.onnx", onnx_of, 3)],
)
def test_what_the_folder_states_is_taken(exported, name, make, dims):
    folder = exported({name: make(two_levels(dims), dims=dims)}, spatial_dims=dims)
    network = open_network(folder, trust=True)
    assert (network.name, network.voxel_nm, network.classes) == ("mito", (8, 8, 8), ("mito",))
    assert (network.stride, network.halo) == (2, 4)
    constants = network.constants_from(np.full((1, 16, 16), 255, np.uint8))
    assert constants.apply(torch.tensor([255.0])).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("card", "stated", "said"),
    [
        ("", {}, "does not say what the network wants grey values to be; state it in a card"),
        (
            SCALED,
            {"output_voxel_size": [4, 4, 4]},
            "predicts at [4.0, 4.0, 4.0] nm, but reads [8.",
        ),
        (SCALED, {"input_voxel_size": None}, "does not say at which voxel size"),
        (SCALED, {"spatial_dims": 3}, "takes an input of 4 axes, 'bczyx' is stated"),
        (SCALED, {"spatial_dims": 4}, "spatial_dims: input should be less than or equal to 3"),
        (SCALED, {"input_voxel_size": [0, 8, 8]}, "input_voxel_size.0: input should be greater"),
    ],
)
def test_what_cannot_be_honoured_is_one_line(exported, card, stated, said):
    folder = exported({"model.onnx": onnx_of(two_levels())}, card, **stated)
    with pytest.raises(ModelError, match=f"(?i){re.escape(said)}"):
        open_network(folder)


def test_a_pickle_is_not_read(exported):
    folder = exported({"model.pt": b"pickle"})
    with pytest.raises(ModelError, match=r"holds none of model\.onnx.*model\.pt is a pickle"):
        open_network(folder, trust=True)


@pytest.mark.parametrize("content", ["{", "[]", "", "\x00"])
def test_damaged_metadata_is_one_line(exported, tmp_path, content):
    folder = exported({"model.onnx": onnx_of(two_levels())})
    (tmp_path / "mito" / "metadata.json").write_text(content)
    with pytest.raises(ModelError, match=r"metadata\.json (is not JSON|holds no keys)"):
        open_network(folder)
