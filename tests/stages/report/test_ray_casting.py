import numpy as np
import pytest

from volproc.stages.report.camera import Camera
from volproc.stages.report.ray_casting import occupancy, picture_of
from volproc.volume.display_window import id_colours

SHAPE, NM = (40, 60, 50), (50.0, 20.0, 30.0)
EXTENT = tuple(n * v for n, v in zip(SHAPE, NM, strict=True))


def ball(centre_nm, radius_nm, label=1):
    places = np.indices(SHAPE) + 0.5
    nm = places * np.array(NM)[:, None, None, None]
    away = sum((a - c) ** 2 for a, c in zip(nm, centre_nm, strict=True)) ** 0.5
    return np.where(away <= radius_nm, label, 0).astype(np.uint32)


def pictured(labels, camera):
    return picture_of(labels, occupancy(labels), voxel_nm=NM, camera=camera)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (30, 25), (200, 60)])
def test_a_ball_is_a_disc_of_its_size_at_its_place_from_everywhere(azimuth, elevation):
    """Its area is that of the circle, its middle where the camera puts the ball's."""
    centre, radius = (900.0, 700.0, 800.0), 400.0
    camera = Camera(EXTENT, azimuth, elevation, 300)
    picture = pictured(ball(centre, radius), camera)
    coloured = picture[..., :3].max(axis=2).astype(int) - picture[..., :3].min(axis=2) > 20
    rows, columns = np.nonzero(coloured)
    row, column, _ = camera.placed(np.array([centre]))[0]
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((row, column), abs=1.5)
    area = np.pi * (radius / camera.pixel_nm) ** 2
    assert len(rows) == pytest.approx(area, rel=0.06)


def test_what_is_nearer_hides_what_is_behind():
    """From the side of small y, the object there is seen alone; from the other side the other."""
    labels = np.maximum(ball((1000, 300, 750), 250), ball((1000, 900, 750), 250, label=2))
    for azimuth, seen in ((0, 1), (180, 2)):
        picture = pictured(labels, Camera(EXTENT, azimuth, 0, 200))
        middle = picture[picture.shape[0] // 2, 100, :3].astype(float)
        hue = id_colours(np.array([seen]))[0]
        assert np.corrcoef(middle, hue)[0, 1] > 0.99


def test_objects_that_touch_are_parted():
    labels = np.zeros(SHAPE, np.uint32)
    labels[10:30, 10:30, 10:40], labels[10:30, 30:50, 10:40] = 1, 2
    field = occupancy(labels)
    assert field[21, 30:33, 26].min() < 0.7 < field[21, 21, 26]


def test_objects_of_a_voxel_or_two_are_seen():
    labels = np.zeros(SHAPE, np.uint32)
    labels[20, 30, 25], labels[10:12, 10:12, 10:12] = 1, 2
    picture = pictured(labels, Camera(EXTENT, 30, 25, 400))
    for label in (1, 2):
        hue = id_colours(np.array([label]))[0].astype(float)
        coloured = picture[..., :3].astype(float) @ hue / np.linalg.norm(hue)
        norm = np.linalg.norm(picture[..., :3].astype(float), axis=2)
        assert ((coloured > 0.97 * norm) & (norm > 30)).sum() > 4


def test_nothing_is_clear():
    picture = pictured(np.zeros(SHAPE, np.uint32), Camera(EXTENT, 30, 25, 120))
    assert set(np.unique(picture[..., 3])) <= {0, 200}


def test_no_mirror_image_is_shown():
    """From the side of small y, z up: x goes to the right."""
    camera = Camera(EXTENT, 0, 0, 200)
    left, right = camera.placed(np.array([[0, 0, 0], [0, 0, 100.0]]))[:, 1]
    top, bottom = camera.placed(np.array([[100.0, 0, 0], [0, 0, 0]]))[:, 0]
    assert right > left
    assert bottom > top
