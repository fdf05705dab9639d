import base64

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from volproc.stages.pictures import (
    Picture,
    data_uri,
    grey,
    hex_colour,
    id_colours,
    outlined,
    outlines,
    png,
    two_wide,
    voted,
)

pictures = hnp.arrays(
    np.uint32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 3)
)


def has_other_neighbour(labels, y, x):
    rows, columns = labels.shape
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    inside = [labels[j, i] for j, i in around if 0 <= j < rows and 0 <= i < columns]
    return any(value != labels[y, x] for value in inside)


@given(pictures)
def test_outlines_are_the_object_pixels_with_another_id_beside_them(labels):
    expected = [
        [bool(labels[y, x]) and has_other_neighbour(labels, y, x) for x in range(labels.shape[1])]
        for y in range(labels.shape[0])
    ]
    np.testing.assert_array_equal(outlines(labels), expected)


@given(pictures)
def test_wide_outlines_hold_the_thin_ones_and_stay_on_the_objects(labels):
    wide = two_wide(labels)
    assert wide[outlines(labels)].all()
    assert not wide[labels == 0].any()


def test_a_disc_has_an_outline_two_wide():
    square = np.zeros((9, 9), dtype=int)
    square[1:8, 1:8] = 5
    inside = np.zeros((9, 9), dtype=bool)
    inside[3:6, 3:6] = True
    np.testing.assert_array_equal(two_wide(square), (square > 0) & ~inside)


def test_outlines_have_the_colour_of_their_id_and_the_rest_is_grey():
    labels = np.zeros((5, 5), dtype=np.uint32)
    labels[1:4, 1:4] = 300
    image = np.full((5, 5), 128, dtype=np.uint8)
    edge = outlines(labels)
    rgb = outlined(image, labels, edge).rgb
    assert (rgb[edge] == id_colours(np.array([300]))).all()
    assert len(np.unique(rgb[~edge])) == 1
    assert abs(int(rgb[0, 0, 0]) - 128) <= 4


def test_colours_differ_between_near_ids_and_are_bright():
    colours = id_colours(np.arange(1, 30)).astype(int)
    assert len(np.unique(colours, axis=0)) == 29
    assert (colours.max(axis=1) > 200).all()
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 100


@pytest.mark.parametrize(
    ("votes", "bright"),
    [
        ("", ""),
        ("x", "r"),
        ("y", "g"),
        ("z", "b"),
        ("xy", "rg"),
        ("xz", "rb"),
        ("yz", "gb"),
        ("xyz", "rgb"),
    ],
)
def test_votes_light_up_red_green_and_blue_and_mix(votes, bright):
    image = np.full((2, 3), 100, dtype=np.uint8)
    yes = np.array([np.full(image.shape, axis in votes) for axis in "xyz"])
    pixel = voted(image, yes).rgb[0, 0].astype(int)
    dark = 0.45 * 100
    for channel, name in zip(pixel, "rgb", strict=True):
        assert channel == pytest.approx(dark + 0.55 * 255 * (name in bright), abs=3)


@given(
    hnp.arrays(np.uint8, (4, 5)),
    hnp.arrays(np.bool_, (3, 4, 5)),
)
def test_every_pixel_mixes_its_own_image_and_votes(image, yes):
    expected = 0.45 * image[..., None] + 0.55 * 255 * np.moveaxis(yes, 0, -1)
    assert np.abs(voted(image, yes).rgb - expected).max() <= 4


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_png_decodes_to_its_picture(pixels):
    palette = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    picture = Picture(pixels, palette)
    np.testing.assert_array_equal(imagecodecs.png_decode(png(picture))[..., :3], picture.rgb)


def test_a_data_uri_holds_the_png():
    picture = Picture(np.zeros((3, 4), np.uint8), np.zeros((256, 3), np.uint8))
    head, _, body = data_uri(picture).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png(picture)


def test_grey_spans_black_to_white_and_nan_is_black():
    values = np.array([[0.0, 5.0, 10.0, 99.0, np.nan]])
    assert grey(values, low=0, high=10).tolist() == [[0, 128, 255, 255, 0]]


def test_colour_of_an_id_is_the_one_in_the_picture():
    red, green, blue = id_colours(np.array([5]))[0]
    assert hex_colour(5) == f"#{red:02x}{green:02x}{blue:02x}"
