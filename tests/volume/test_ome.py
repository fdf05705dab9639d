import pytest

from volproc.errors import VolumeError
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import Window, new_volume
from volproc.volume.ome import multiscale_of, scale_and_translation, spatial_axes, to_ome

ZYX = {"axes": [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]}


def volume(shape=(518, 8192, 8192), voxel_nm=(50, 10, 10), **more):
    return new_volume("a.zarr", shape=shape, voxel_nm=VoxelNm(voxel_nm), dtype="uint8", **more)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_written_metadata_is_read_back(version):
    info = volume(version=version)
    multiscale = multiscale_of(to_ome(info), url="a.zarr")
    leading, nm = spatial_axes(multiscale, url="a.zarr")
    for level, dataset in zip(info.levels, multiscale["datasets"], strict=True):
        voxel, offset = scale_and_translation(
            dataset, multiscale, space=range(leading, leading + 3), nm=nm, url="a.zarr"
        )
        assert voxel == level.voxel_nm
        assert offset == level.translation_nm


def test_the_version_stands_where_each_version_has_it():
    old, new = to_ome(volume(version="0.4")), to_ome(volume(version="0.5"))
    assert old["multiscales"][0]["version"] == "0.4"
    assert "ome" not in old
    assert new["ome"]["version"] == "0.5"
    assert "version" not in new["ome"]["multiscales"][0]


def test_votes_are_red_green_and_blue():
    votes = volume(channels=("x", "y", "z"), window=Window(0, 255, 0, 255))
    channels = to_ome(votes)["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in channels] == [
        ("x", "FF0000"),
        ("y", "00FF00"),
        ("z", "0000FF"),
    ]


def test_an_image_is_one_white_channel_of_its_name():
    (channel,) = to_ome(volume(window=Window(0, 255, 12, 240)))["ome"]["omero"]["channels"]
    assert (channel["label"], channel["color"]) == ("a", "FFFFFF")
    assert channel["window"] == {"min": 0, "max": 255, "start": 12, "end": 240}
    assert "omero" not in to_ome(volume(kind="labels", window=Window(0, 1, 0, 1)))["ome"]


def test_axes_of_versions_before_0_4_are_understood():
    datasets = [{"path": "0"}]
    first = multiscale_of({"multiscales": [{"version": "0.1", "datasets": datasets}]}, url="a")
    assert [axis["name"] for axis in first["axes"]] == list("tczyx")
    third = {"version": "0.3", "axes": list("zyx"), "datasets": datasets}
    with pytest.raises(VolumeError, match="state the voxel size with --voxel-nm Z Y X"):
        spatial_axes(multiscale_of({"multiscales": [third]}, url="a"), url="a")


def test_units_are_brought_to_nm():
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    dataset = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [0.05, 0.01, 0.01]}],
    }
    multiscale = {"axes": space, "datasets": [dataset]}
    _, nm = spatial_axes(multiscale, url="a")
    voxel, _ = scale_and_translation(dataset, multiscale, space=range(3), nm=nm, url="a")
    assert voxel == pytest.approx((50, 10, 10))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([{"name": "y"}, {"name": "x"}], r"axes \['y', 'x'\]; a volume needs"),
        ([{"name": n} for n in "zyx"], "--voxel-nm Z Y X"),
        ([{"name": n, "unit": "second"} for n in "zyx"], "second"),
    ],
)
def test_axes_that_are_no_volume_are_refused(axes, message):
    with pytest.raises(VolumeError, match=message):
        spatial_axes({"axes": axes}, url="a.zarr")


@pytest.mark.parametrize(
    ("scale", "message"),
    [([0, 1, 1], "three positive numbers"), ([-1, 1, 1], r"\[-1.0, .*\]: .* runs backwards")],
)
def test_voxel_sizes_that_cannot_be_are_refused(scale, message):
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    with pytest.raises(VolumeError, match=message):
        scale_and_translation(dataset, ZYX, space=range(3), nm=(1, 1, 1), url="a.zarr")
    with pytest.raises(VolumeError, match="voxel size none"):
        scale_and_translation({"path": "0"}, ZYX, space=range(3), nm=(1, 1, 1), url="a.zarr")


def test_axes_and_classes_have_colours_of_their_own():
    def shown(*channels):
        info = new_volume(
            "v.zarr",
            shape=(4, 4, 4),
            voxel_nm=(8, 8, 8),
            dtype="uint8",
            channels=channels,
            window=Window(0, 255, 0, 255),
        )
        found = to_ome(info)["ome"]["omero"]["channels"]
        return [(one["color"], one["active"]) for one in found]

    red, green, blue = "FF0000", "00FF00", "0000FF"
    assert shown("x", "y", "z") == [(red, True), (green, True), (blue, True)]
    assert shown() == [("FFFFFF", True)]
    votes = shown("a b x", "a b z", "er x", "er z")
    assert votes == [(red, True), (blue, True), (red, False), (blue, False)]
    classes = shown("a b", "er", "golgi x-like")
    assert len({colour for colour, _ in classes}) == 3
    assert all(active for _, active in classes)
