import numpy as np
import pytest

from volproc.errors import VolumeError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.report.field import field_of
from volproc.stages.report.shown_slices import canvases, read_smooth
from volproc.volume.metadata import new_volume
from volproc.volume.pyramid import coarsen, step_between
from volproc.volume.store import create_volume

VALUES = np.random.default_rng(4).integers(0, 255, (20, 600, 300), dtype=np.uint8)


@pytest.fixture
def made(tmp_path):
    """Finished volumes with all their levels: made(name, values, voxel_nm, ...)."""

    def make(name, values, voxel_nm, **more):
        info = new_volume(
            str(tmp_path / name),
            shape=values.shape,
            voxel_nm=parse_voxel_nm(voxel_nm),
            dtype="uint8",
            **more,
        )
        volume = create_volume(info, step="test", digest="test", version="0")
        for n, level in enumerate(info.levels):
            if n:
                step = step_between(info.levels[n - 1], level)
                values = coarsen(values, step, kind="image")
            volume.write(level.box, values, level=n)
        return volume.finish()

    return make


@pytest.mark.parametrize("corner", [(0, 0, 0), (1000, 200, 40)])
def test_what_is_shown_is_where_the_results_are(made, corner):
    image = made("image.zarr", VALUES, (50, 10, 10), corner_nm=corner)
    inside = tuple(c + n for c, n in zip(corner, (200, 1000, 500)))
    result = made(
        "p.zarr", np.zeros((8, 40, 30), np.uint8), (50, 50, 50), corner_nm=inside, part=True
    )
    shown = field_of(image, [result])
    assert shown.info.shape == (8, 200, 150)
    assert shown.info.corner_nm == pytest.approx(inside)
    wanted = VALUES[4:12, 100:300, 50:200]
    assert np.array_equal(shown.read(shown.info.box), wanted)
    part = made("part.zarr", wanted, (50, 10, 10))
    for canvas in canvases(shown.info):
        found = read_smooth(shown, canvas, 120.0)
        assert np.allclose(found, read_smooth(part, canvas, 120.0), atol=1)


def test_coarser_levels_begin_with_whole_voxels(made):
    image = made("image.zarr", VALUES, (50, 10, 10))
    odd = (25 + 3 * 50, 5 + 101 * 10, 5 + 33 * 10)
    result = made("p.zarr", np.zeros((2, 9, 20), np.uint8), (50, 50, 50), corner_nm=odd, part=True)
    shown = field_of(image, [result])
    for n, level in enumerate(shown.info.levels):
        assert shown.read(Box((0, 0, 0), level.shape), level=n).shape == level.shape
        first = level.translation_nm[1] - level.voxel_nm[1] / 2
        assert 0 <= shown.info.corner_nm[1] - first < level.voxel_nm[1]


def test_results_of_the_whole_image_show_all_of_it(made):
    image = made("image.zarr", VALUES, (50, 10, 10))
    result = made("p.zarr", np.zeros((20, 120, 60), np.uint8), (50, 50, 50))
    assert field_of(image, [result]) is image
    assert field_of(image, []) is image


def test_results_that_lie_elsewhere_are_refused(made):
    image = made("image.zarr", VALUES, (50, 10, 10))
    values = np.zeros((8, 40, 30), np.uint8)
    one = made("a.zarr", values, (50, 50, 50), corner_nm=(0, 0, 0), part=True)
    beyond = made("b.zarr", values, (50, 50, 50), corner_nm=(0, 5000, 0), part=True)
    with pytest.raises(VolumeError, match="they meet nowhere"):
        field_of(image, [one, beyond])
    with pytest.raises(VolumeError, match="of which it covers a part only"):
        field_of(image, [beyond])
