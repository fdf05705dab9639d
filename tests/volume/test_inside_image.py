import numpy as np
import pytest

from volproc.grid.scale import parse_voxel_nm
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

NM = (50, 10, 10)


def save(url, shape, *, voxel_nm=NM, corner_nm=None, kind="labels"):
    info = new_volume(
        str(url),
        shape=shape,
        voxel_nm=parse_voxel_nm(voxel_nm),
        corner_nm=corner_nm,
        dtype="uint8",
        kind=kind,
        max_levels=2,
    )
    volume = create_volume(info, step="test", digest=str(url), version="0")
    volume.write(info.box, np.zeros(shape, np.uint8))
    return volume.finish()


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / "a.zarr", (4, 40, 300), corner_nm=(1000.0, -200.0, 80.0), kind="image")


@pytest.mark.parametrize(("shape", "nm"), [((4, 40, 300), NM), ((4, 20, 150), (50, 20, 20))])
def test_labels_without_a_translation_lie_where_their_image_does(tmp_path, image, shape, nm):
    save(tmp_path / "a.zarr" / "labels" / "n", shape, voxel_nm=nm)
    info = open_volume(tmp_path / "a.zarr" / "labels" / "n").info
    assert info.corner_nm == image.info.corner_nm
    for level in info.levels:
        corner = np.subtract(level.translation_nm, np.divide(level.voxel_nm, 2))
        assert tuple(corner) == image.info.corner_nm


def test_labels_that_say_where_they_lie_or_are_a_crop_stay_there(tmp_path, image):
    save(tmp_path / "a.zarr" / "labels" / "n", (4, 40, 300), corner_nm=(1000.0, -100.0, 80.0))
    assert open_volume(tmp_path / "a.zarr" / "labels" / "n").info.corner_nm == (1000, -100, 80)
    save(tmp_path / "a.zarr" / "labels" / "crop", (4, 20, 20))
    crop = open_volume(tmp_path / "a.zarr" / "labels" / "crop").info
    assert crop.levels[0].translation_nm == (0, 0, 0)


def test_a_folder_that_is_called_labels_is_no_image(tmp_path):
    alone = save(tmp_path / "labels" / "n.zarr", (4, 40, 300))
    assert open_volume(alone.info.url).info.levels == alone.info.levels
