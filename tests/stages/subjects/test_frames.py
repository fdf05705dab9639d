from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from volproc.errors import AnnotateError
from volproc.stages.pictures import grey
from volproc.stages.subjects import frames
from volproc.stages.subjects.frames import QUALITIES, encoded, picture_of, size_at


def area_means(values, size):
    """Each voxel cut into as many pieces as there are pixels: the pieces tile both."""
    for axis, (n, m) in enumerate(zip(values.shape, size)):
        pieces = np.moveaxis(values.repeat(m, axis), axis, 0)
        values = np.moveaxis(pieces.reshape(m, n, *pieces.shape[1:]).mean(1), 0, axis)
    return values


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    scale=st.floats(0.05, 1),
    band=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_a_pixel_is_the_mean_of_the_area_it_covers(shape, scale, band, seed):
    plane = np.random.default_rng(seed).integers(0, 60000, shape).astype(np.uint16)
    size = size_at(shape, scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BAND_ROWS", band)
        found = picture_of(plane, size=size, low=5000, high=50000)
    expected = grey(area_means(plane.astype(float), size), low=5000, high=50000)
    assert found.shape == size
    assert np.abs(found.astype(int) - expected).max() <= 1  # ties of rounding


def test_at_full_size_only_the_contrast_changes():
    plane = np.array([[0, 50, 100, 150, 200]], np.uint8)
    assert picture_of(plane, size=(1, 5), low=50, high=150).tolist() == [[0, 0, 128, 255, 255]]


def test_what_is_not_a_number_is_black_and_spoils_no_neighbour():
    plane = np.array([[np.nan, np.inf, -np.inf, 10.0]], np.float32)
    assert picture_of(plane, size=(1, 4), low=0, high=10).tolist() == [[0, 255, 0, 255]]
    assert picture_of(plane, size=(1, 2), low=0, high=10).tolist() == [[128, 128]]


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_png_gives_back_every_pixel():
    picture = noise(50, 70)
    content, quality = encoded(picture, kind="png", largest_bytes=10_000)
    assert quality == 100
    assert np.array_equal(np.asarray(Image.open(BytesIO(content))), picture)


def test_jpeg_takes_the_best_quality_that_fits():
    picture = noise(200, 200)
    best, quality = encoded(picture, kind="jpeg", largest_bytes=10**6)
    assert quality == QUALITIES[0]
    seen = [(len(best), quality)]
    while seen[-1][1] > QUALITIES[-1]:
        content, quality = encoded(picture, kind="jpeg", largest_bytes=seen[-1][0] - 1)
        assert len(content) < seen[-1][0]
        assert quality < seen[-1][1]
        assert Image.open(BytesIO(content)).size == (200, 200)
        seen.append((len(content), quality))
    assert len(seen) > 5


@pytest.mark.parametrize(
    ("kind", "way_out"), [("jpeg", "what it is$"), ("png", 'or format = "jpeg"$')]
)
def test_an_image_that_cannot_be_made_small_enough_is_refused(kind, way_out):
    with pytest.raises(AnnotateError, match=f"200 x 100 pixels take .* make scale.*{way_out}"):
        encoded(noise(100, 200), kind=kind, largest_bytes=2000)


def test_the_scale_that_a_refusal_names_is_small_enough():
    picture = noise(400, 400)
    with pytest.raises(AnnotateError) as refusal:
        encoded(picture, kind="jpeg", largest_bytes=20_000)
    scale = float(str(refusal.value).split("about ")[1].split()[0])
    smaller = picture_of(picture, size=size_at((400, 400), scale), low=0, high=255)
    content, _ = encoded(smaller, kind="jpeg", largest_bytes=20_000)
    assert len(content) <= 20_000
