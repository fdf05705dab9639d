import numpy as np
import pytest
import zarr

from volproc.errors import VolumeError
from volproc.volume.store import open_volume

SPACE = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
VALUES = np.arange(4 * 6 * 8, dtype="uint16").reshape(4, 6, 8)


def put(url, attributes, *, version="0.5", values=None, path="0", **options):
    """A group as others write it; attributes go where `version` has them."""
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(str(url), mode="a", zarr_format=zarr_format)
    inner = {"ome": {"version": "0.5", **attributes}} if version == "0.5" else attributes
    group.attrs.put(inner)
    if values is not None:
        group.create_array(path, data=values, **options)
    return group


def image(axes=SPACE, scale=(50, 10, 10), paths=("0",)):
    step = {"type": "scale", "scale": list(scale)}
    datasets = [{"path": path, "coordinateTransformations": [step]} for path in paths]
    return {"multiscales": [{"axes": axes, "datasets": datasets}]}


BOTH = pytest.mark.parametrize("version", ["0.4", "0.5"])


@BOTH
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "counted"])
def test_the_only_image_of_bioformats2raw_is_followed(tmp_path, version, listed):
    put(tmp_path / "a.zarr", {"bioformats2raw.layout": 3}, version=version)
    name = "tissue" if listed else "0"
    if listed:
        put(tmp_path / "a.zarr" / "OME", {"series": [name]}, version=version)
    put(tmp_path / "a.zarr" / name, image(), version=version, values=VALUES)
    (tmp_path / "a.zarr" / "OME").mkdir(exist_ok=True)
    (tmp_path / "a.zarr" / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.info.url == str(tmp_path / "a.zarr" / name)
    assert np.array_equal(volume.read(volume.info.box), VALUES)


@BOTH
def test_several_images_of_bioformats2raw_are_named(tmp_path, version):
    put(tmp_path / "a.zarr", {"bioformats2raw.layout": 3}, version=version)
    with pytest.raises(VolumeError, match="holds 0 images"):
        open_volume(tmp_path / "a.zarr")
    for name in "01":
        put(tmp_path / "a.zarr" / name, image(), version=version, values=VALUES)
    with pytest.raises(VolumeError, match=r"2 images, expected one; name it: .*/0, .*/1"):
        open_volume(tmp_path / "a.zarr")
    assert open_volume(tmp_path / "a.zarr" / "1").info.shape == (4, 6, 8)


@BOTH
def test_plates_wells_and_lists_of_labels_say_what_to_open(tmp_path, version):
    put(tmp_path / "p.zarr", {"plate": {}, "bioformats2raw.layout": 3}, version=version)
    with pytest.raises(VolumeError, match=r"is a plate of many images; name one of them: .*A/1/0"):
        open_volume(tmp_path / "p.zarr")
    put(tmp_path / "p.zarr" / "A" / "1", {"well": {"images": []}}, version=version)
    with pytest.raises(VolumeError, match="1/FIELD, such as 0"):
        open_volume(tmp_path / "p.zarr" / "A" / "1")
    put(tmp_path / "l.zarr", {"labels": ["nuclei"]}, version=version)
    with pytest.raises(VolumeError, match=r"only lists labels; name one of them: .*l.zarr/nuclei"):
        open_volume(tmp_path / "l.zarr")


def test_big_endian_voxels_come_in_the_machines_order(tmp_path):
    """As bioformats2raw writes 16 bits."""
    put(tmp_path / "a.zarr", image(), version="0.4", values=VALUES.astype(">u2"))
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.info.dtype == "uint16"
    values = volume.read(volume.info.box)
    assert values.dtype == np.dtype("uint16")
    assert values.dtype.isnative
    assert np.array_equal(values, VALUES)


def test_more_than_one_point_in_time_is_refused(tmp_path):
    axes = [{"name": "t", "type": "time"}, *SPACE]
    put(tmp_path / "a.zarr", image(axes, (1, 50, 10, 10)), values=np.stack([VALUES] * 3))
    with pytest.raises(VolumeError, match="3 time points"):
        open_volume(tmp_path / "a.zarr")
    put(tmp_path / "b.zarr", image(axes, (1, 50, 10, 10)), values=VALUES[None])
    assert open_volume(tmp_path / "b.zarr").info.shape == (4, 6, 8)


def test_a_level_that_is_missing_is_named(tmp_path):
    put(tmp_path / "a.zarr", image(paths=("0", "1")), values=VALUES)
    with pytest.raises(VolumeError, match="lists level 1, but there is no such array"):
        open_volume(tmp_path / "a.zarr")


def test_versions_before_axes_need_a_voxel_size(tmp_path):
    old = {"multiscales": [{"version": "0.1", "datasets": [{"path": "0"}]}]}
    put(tmp_path / "a.zarr", old, version="0.4", values=VALUES[None, None])
    with pytest.raises(VolumeError, match="--voxel-nm Z Y X"):
        open_volume(tmp_path / "a.zarr")
    volume = open_volume(tmp_path / "a.zarr", voxel_nm=(50, 10, 10))
    assert volume.info.voxel_nm == (50, 10, 10)
    assert np.array_equal(volume.read(volume.info.box), VALUES)


@pytest.mark.parametrize(
    "attributes",
    [
        {"multiscales": [{}]},
        {"multiscales": {"0": 1}},
        {"multiscales": [{"axes": 3, "datasets": []}]},
        {"multiscales": [{"axes": SPACE, "datasets": []}]},
        {"multiscales": [{"axes": SPACE, "datasets": [{}]}]},
        {
            "multiscales": [
                {"axes": SPACE, "datasets": [{"path": "0", "coordinateTransformations": 1}]}
            ]
        },
        image(scale=("a", "b", "c")),
        image(scale=(1, 1)),
    ],
)
def test_metadata_of_any_other_form_are_one_line(tmp_path, attributes):
    put(tmp_path / "a.zarr", attributes, values=VALUES)
    with pytest.raises(VolumeError) as refused:
        open_volume(tmp_path / "a.zarr")
    assert "\n" not in str(refused.value)


@pytest.mark.real
def test_levels_may_have_any_name_and_some_be_missing(real_data):
    url = real_data / "ome-zarr" / "6001240_labels_v0.5.zarr"
    assert [level.path for level in open_volume(url).info.levels] == ["2"]
    labels = open_volume(url / "labels" / "0").info
    assert [level.path for level in labels.levels] == ["0", "1", "2", "3"]
    assert labels.shape == (236, 275, 271)
    assert labels.voxel_nm == pytest.approx(
        (500.2025531914894, 360.3981534640209, 360.3981534640209)
    )
    with pytest.raises(VolumeError, match="only lists labels; name one of them"):
        open_volume(url / "labels")
