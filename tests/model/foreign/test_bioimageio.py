import pytest
import yaml

from volproc.errors import ModelError
from volproc.model.foreign.bioimageio import describe
from volproc.model.foreign.model_card import Extent
from volproc.model.foreign.package import Package


def described(folder):
    return describe(Package(folder))


def test_format_0_5_is_read(package):
    found = described(package())
    description = found.description
    assert (description.axes, description.output_axes) == ("bcyx", "bcyx")
    assert description.voxel_nm == (50, 50, 50)
    assert description.size == Extent(least=16, step=2)
    assert description.halo == 2
    assert [step.id for step in description.preprocessing] == ["zero_mean_unit_variance"]
    assert set(found.weights) == {"onnx", "torchscript"}
    assert found.test_input.source == "in.npy"


def test_a_checksum_may_be_left_empty(package):
    found = described(package(weights={"onnx": {"source": "weights.onnx", "sha256": None}}))
    assert found.weights["onnx"].sha256 is None


def test_format_0_4_says_the_same_in_its_own_words(package):
    sides = {"min": [1, 1, 16, 16], "step": [0, 0, 2, 2]}
    folder = package(
        format_version="0.4.10",
        test_inputs=["in.npy"],
        test_outputs=["out.npy"],
        inputs={
            "name": "raw",
            "axes": "bcyx",
            "shape": sides,
            "preprocessing": [
                {
                    "name": "zero_mean_unit_variance",
                    "kwargs": {"mode": "per_sample", "axes": "yx"},
                }
            ],
        },
        outputs={
            "name": "probability",
            "axes": "bcyx",
            "halo": [0, 0, 2, 2],
            "shape": {"reference_tensor": "raw", "scale": [1] * 4, "offset": [0] * 4},
        },
    )
    old, new = described(folder), described(package("new"))
    different = {"voxel_nm", "channels"}  # 0.4 knows neither
    for key in set(type(new.description).model_fields) - different:
        assert getattr(old.description, key) == getattr(new.description, key), key
    assert old.test_input.source == new.test_input.source


def axes(*kinds):
    known = {
        "b": {"type": "batch"},
        "c": {"type": "channel", "channel_names": ["a"]},
        "t": {"type": "time", "size": 3},
        **{a: {"type": "space", "id": a, "size": 32} for a in "zyx"},
    }
    return [known[kind] if isinstance(kind, str) else kind for kind in kinds]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "0.3.6"}, r"is a 'model' of format 0\.3\.6, expected a model of"),
        ({"type": "dataset"}, "is a 'dataset' of format 0.5.4, expected a model"),
        ({"inputs": {"axes": axes("b", "c", "t", "y", "x")}}, "axes are letters of bczyx"),
        ({"inputs": {"axes": axes("b", "c")}}, "has the axes 'bc', expected y and x there"),
        (
            {"inputs": {"preprocessing": [{"id": "normalise_somehow"}]}},
            r"preprocessing\.0: .*'normalise_somehow'",
        ),
        (
            {"inputs": {"preprocessing": [{"id": "scale_range", "kwargs": {"best": 3}}]}},
            r"preprocessing\.0\.scale_range\.best: Extra inputs",
        ),
        (
            {"outputs": {"postprocessing": [{"id": "stardist_postprocessing"}]}},
            r"postprocessing\.0: .*'stardist_postprocessing'",
        ),
        (
            {"inputs": {"axes": axes("b", "c", "y", {"type": "space", "id": "x", "size": 64})}},
            "takes other heights .* than widths",
        ),
        ({"weights": {"keras_hdf5": {"source": "a.h5"}}}, "holds weights as keras_hdf5, which ne"),
        ({"weights": None}, "holds weights as none"),
        ({"inputs": {"axes": "bcyx"}}, r"rdf\.yaml: inputs\.0: axes"),
    ],
)
def test_what_cannot_be_honoured_is_refused(package, changes, message):
    with pytest.raises(ModelError, match=message):
        described(package(**changes))


def test_several_inputs_are_refused(package):
    folder = package()
    content = yaml.safe_load((folder / "rdf.yaml").read_text())
    content["inputs"] *= 2
    (folder / "rdf.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match="wants 2 inputs; there is one here"):
        described(folder)


@pytest.mark.real
@pytest.mark.parametrize("name", ["bioimageio.yaml", "v0_4_0.bioimageio.yaml"])
def test_descriptions_of_the_wild_are_read(real_data, name):
    found = described(real_data / "models" / "unet2d_nuclei_broad" / name).description
    assert (found.axes, found.size, found.halo) == ("bcyx", Extent(least=512), 32)
    assert "sigmoid" in [step.id for step in found.postprocessing]
