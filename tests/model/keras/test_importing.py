"""Etch-a-Cell's network from Keras: outputs are Keras' own, in whatever order layers were made."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from volproc.errors import ModelError
from volproc.model.checking import check_model
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.keras.importing import import_keras, read_keras
from volproc.model.weights import load_model

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # it writes its settings
keras = pytest.importorskip("keras", reason="keras is not installed (pip install volproc[keras])")

LAYERS = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def convolved(values: Any, width: int, side: int) -> Any:
    return LAYERS.LeakyReLU(0.1)(LAYERS.Conv2D(width, side, padding="same")(values))


def block(values: Any, dim: int, *, deepest: bool = False, order: str = "x35p") -> Any:
    """Towers in the order of the letters: the input, three, five, pool."""
    if deepest:
        values = LAYERS.BatchNormalization(epsilon=1e-3)(values)
        values = LAYERS.SpatialDropout2D(0.3)(values)
    pooled = LAYERS.LeakyReLU(0.1)(LAYERS.MaxPooling2D(3, 1, padding="same")(values))
    parts = {
        "x": values,
        "3": convolved(convolved(values, dim, 1), dim, 3),
        "5": convolved(convolved(values, dim, 1), dim, 5),
        "p": convolved(pooled, dim, 1),
    }
    return LAYERS.Concatenate()([parts[letter] for letter in order])


def network(
    *,
    planes: int = 4,
    out: int = 2,
    start: int = 3,
    levels: int = 3,
    order: str = "x35p",
    skip_first: bool = True,
    last: str = "sigmoid",
) -> Any:
    """Written from the network's description, in Keras' words; as if trained."""
    keras.utils.set_random_seed(0)
    given = LAYERS.Input((None, None, planes))
    values, skips = given, []
    for level in range(levels):
        pooled = LAYERS.MaxPooling2D(2)(values) if level else values
        values = block(pooled, start << level, deepest=level == levels - 1, order=order)
        skips.append(values)
    for level in reversed(range(levels - 1)):
        lifted = LAYERS.Conv2DTranspose(start << level, 3, strides=2, padding="same")(values)
        both = [skips[level], LAYERS.LeakyReLU(0.1)(lifted)]
        joined = LAYERS.Concatenate()(both if skip_first else both[::-1])
        values = block(joined, start << level, order=order)
    made = keras.Model(given, LAYERS.Conv2D(out, 1, activation=last)(values))
    chance = np.random.default_rng(0)  # no bias of 0, no statistics of 0 and 1
    made.set_weights([w + (w.ndim == 1) * _few(chance, w.shape) for w in made.get_weights()])
    return made


def _few(chance: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return chance.uniform(0.05, 0.3, shape).astype("float32")


def outputs(made: Any, read: Any, *, side: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    planes = np.random.default_rng(1).normal(size=(1, *side, made.input_shape[-1]))
    wanted = made.predict(planes.astype("float32"), verbose=0)
    with torch.inference_mode():
        found = torch.sigmoid(read(torch.from_numpy(planes).float().permute(0, 3, 1, 2)))
    return np.moveaxis(wanted, -1, 1), found.numpy()


def saved_weights(made: Any, path: Path) -> Path:
    """As `save_weights` of Keras 2 wrote it."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, made)
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Any:
    """Saves a model as HDF5, with its description."""

    def save(made: Any) -> Path:
        path = tmp_path / "whole.h5"
        made.save(path)
        return path

    return save


@pytest.mark.parametrize("side", [(16, 24), (4, 4), (20, 12)])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"order": "p53x"},
        {"skip_first": False, "order": "53xp"},
        {"levels": 2, "planes": 3, "out": 1, "start": 2},
        {"levels": 4},
    ],
    ids=str,
)
def test_outputs_are_those_of_keras_however_its_layers_are_put_together(
    more: dict[str, Any], side: tuple[int, int], whole: Any
) -> None:
    made = network(**more)
    factor = 2 if more.get("levels") == 4 else 1
    wanted, found = outputs(made, read_keras(whole(made))[0], side=(factor * side[0], 2 * side[1]))
    assert wanted.std() > 0.01
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_file_of_weights_alone_is_read_in_the_order_of_its_layers(tmp_path: Path) -> None:
    made = network()
    read, described = read_keras(saved_weights(made, tmp_path / "w.h5"))
    assert not described
    wanted, found = outputs(made, read, side=(16, 8))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_published_size_has_its_parameters(tmp_path: Path) -> None:
    made = network(planes=12, out=12, start=32, levels=5)
    trainable = sum(int(np.prod(w.shape)) for w in made.trainable_weights)
    read, _ = read_keras(saved_weights(made, tmp_path / "published.hdf5"))
    assert trainable == sum(p.numel() for p in read.parameters()) == 30_030_484
    assert read.spec == EtchACellSpec()
    assert read.spec.flop(256, 256) == pytest.approx(74.98e9, rel=1e-4)
    wanted, found = outputs(made, read, side=(16, 48))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_attributes_that_were_too_long_for_one_are_read(tmp_path: Path) -> None:
    path = saved_weights(network(), tmp_path / "w.h5")
    with h5py.File(path, "r+") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:9], names[9:]
    assert read_keras(path)[0].spec == EtchACellSpec(4, 2, 3, levels=3)


def test_the_imported_model_is_a_folder_like_any_other(tmp_path: Path, whole: Any) -> None:
    made = network()
    card = import_keras(whole(made), tmp_path / "m", licence="CC BY-NC 4.0", voxel_nm=(50, 10, 10))
    read, again = load_model(tmp_path / "m")
    assert again == card
    assert (card.fusion, card.licence, card.voxel_nm) == ("union", "CC BY-NC 4.0", (50, 10, 10))
    assert card.measured_halo == card.spec.halo
    assert "does not say how images were normalised" in card.limits
    wanted, found = outputs(made, read, side=(8, 8))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert not [one for one in check_model(str(tmp_path / "m")) if one.wrong]
    with pytest.raises(ModelError, match="holds a model already"):
        import_keras(tmp_path / "whole.h5", tmp_path / "m")


def _plain(path: Path) -> None:
    path.write_bytes(b"no HDF5")


def _other(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["volume"] = np.zeros(3)


def _three_dense(path: Path) -> None:
    saved_weights(keras.Sequential([LAYERS.Input((3,)), LAYERS.Dense(2)]), path)


def _described_unet(path: Path) -> None:
    given = LAYERS.Input((None, None, 3))
    keras.Model(given, LAYERS.Conv2D(1, 3, padding="same")(given)).save(path)


def _added(path: Path) -> None:
    given = LAYERS.Input((None, None, 3))
    one = LAYERS.Conv2D(3, 3, padding="same")(given)
    keras.Model(given, LAYERS.Add()([one, given])).save(path)


def _another_slope(path: Path) -> None:
    network().save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace(
            '"negative_slope": 0.1', '"negative_slope": 0.3'
        )


def _without_layers(path: Path) -> None:
    network().save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"config": {}})


def _missing_array(path: Path) -> None:
    network().save(path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/conv2d_1"] if "conv2d_1" in file["model_weights"] else None
        assert group is not None
        group.attrs["weight_names"] = []


def _cut_short(path: Path) -> None:
    network().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not a file; expected HDF5 of Keras"),
        (_plain, "is not an HDF5 file"),
        (_other, r"is HDF5, but not of Keras \(no layer_names\)"),
        (_three_dense, "holds 1 convolutions and 0 batch normalisations"),
        (_described_unet, "0 layers of kind BatchNormalization see the 3 channels of a block"),
        (_added, "has a layer add.* of kind Add"),
        (_another_slope, "has 0.3, expected 0.1"),
        (_without_layers, "describes no layers in its model_config"),
        (_missing_array, "conv2d_1 has no kernel, only no weights"),
        (_cut_short, "cannot be read as HDF5 of Keras"),
    ],
)
def test_files_of_other_networks_are_refused_in_a_line(
    tmp_path: Path, make: Any, message: str
) -> None:
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    make(tmp_path / "m.h5")
    with pytest.raises(ModelError, match=message) as refused:
        read_keras(tmp_path / "m.h5")
    assert "\n" not in str(refused.value)
