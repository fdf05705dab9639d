import pytest

from volproc.errors import VolumeError
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import new_volume
from volproc.volume.ome import multiscale_of, scale_and_translation, spatial_axes, to_ome


def volume(shape=(518, 8192, 8192), voxel_nm=(50, 10, 10), **more):
    return new_volume("a.zarr", shape=shape, voxel_nm=VoxelNm(voxel_nm), dtype="uint8", **more)


def test_written_metadata_is_read_back():
    info = volume()
    ome = to_ome(info)["ome"]
    multiscale = multiscale_of({"ome": ome}, url="a.zarr")
    leading, nm = spatial_axes(multiscale, url="a.zarr")
    for level, dataset in zip(info.levels, multiscale["datasets"], strict=True):
        voxel, offset = scale_and_translation(
            dataset, multiscale, leading=leading, nm=nm, url="a.zarr"
        )
        assert voxel == level.voxel_nm
        assert offset == level.translation_nm


def test_votes_are_red_green_and_blue():
    channels = to_ome(volume(channels=("x", "y", "z")))["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in channels] == [
        ("x", "FF0000"),
        ("y", "00FF00"),
        ("z", "0000FF"),
    ]


def test_units_are_brought_to_nm():
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    dataset = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [0.05, 0.01, 0.01]}],
    }
    multiscale = {"axes": space, "datasets": [dataset]}
    leading, nm = spatial_axes(multiscale, url="a")
    voxel, _ = scale_and_translation(dataset, multiscale, leading=leading, nm=nm, url="a")
    assert voxel == pytest.approx((50, 10, 10))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([{"name": "y"}, {"name": "x"}], r"axes \['y', 'x'\]; a volume needs"),
        ([{"name": n} for n in "zyx"], "--voxel-nm Z Y X"),
        ([{"name": n, "unit": "parsec"} for n in "zyx"], "parsec"),
    ],
)
def test_axes_that_are_no_volume_are_refused(axes, message):
    with pytest.raises(VolumeError, match=message):
        spatial_axes({"axes": axes}, url="a.zarr")


@pytest.mark.parametrize("scale", [[0, 1, 1], [-1, 1, 1]])
def test_voxel_sizes_that_cannot_be_are_refused(scale):
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    with pytest.raises(VolumeError, match="three positive numbers"):
        scale_and_translation(dataset, {}, leading=0, nm=1, url="a.zarr")
    with pytest.raises(VolumeError, match="voxel size none"):
        scale_and_translation({"path": "0"}, {}, leading=0, nm=1, url="a.zarr")
