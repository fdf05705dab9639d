"""Which stored values are grey, and which greys they stand for."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.stages.ingest.formats.test_views import array, whole
from tifffile import PHOTOMETRIC

from volproc.errors import IngestError
from volproc.stages.ingest.formats.photometry import by_palette, in_greys, is_grey

INDICES = array(np.array([[[0, 1, 2]]], np.uint8))


@pytest.mark.parametrize(
    ("pixels", "grey"),
    [
        ([[7], [8]], True),
        ([[7, 0], [8, 0]], True),  # grey, and how opaque: equally
        ([[7, 0], [8, 1]], False),
        ([[7, 7, 7], [8, 8, 8]], True),
        ([[7, 7, 8], [8, 8, 8]], False),
        ([[7, 8, 7], [8, 8, 8]], False),
        ([[7, 7, 7, 1], [8, 8, 8, 1]], True),
        ([[7, 7, 7, 1], [8, 8, 8, 2]], False),
    ],
)
def test_grey_has_equal_colours_and_hides_nothing(pixels, grey):
    assert is_grey(np.array(pixels)) is grey


@pytest.mark.parametrize(
    ("greys", "kind", "expected", "dtype"),
    [
        ([0, 257 * 7, 65535], "u2", [0, 7, 255], "uint8"),
        ([0, 256 * 7, 65280], "u2", [0, 7, 255], "uint8"),
        ([0, 256 * 7, 65535], "u2", [0, 256 * 7, 65535], "uint16"),
        ([0, 7, 257], "u2", [0, 7, 257], "uint16"),
        ([0, 1, 256], "u2", [0, 1, 256], "uint16"),
        ([0, 7, 255], "u1", [0, 7, 255], "uint8"),
        ([0, 0, 0], "u1", [0, 0, 0], "uint8"),
    ],
)
def test_a_palette_of_8_or_16_bits(greys, kind, expected, dtype):
    view = by_palette(INDICES, np.repeat(np.array(greys, kind)[:, None], 3, axis=1), "a")
    assert (whole(view)[0, 0].tolist(), view.dtype) == (expected, dtype)
    assert "palette of greys" in view.note


@pytest.mark.parametrize("step", [1, 256, 257])
def test_a_palette_in_order_changes_nothing(step):
    palette = np.repeat(np.arange(256, dtype="u2")[:, None] * step, 3, axis=1)
    palette = palette.astype("u1") if step == 1 else palette
    assert by_palette(INDICES, palette, "a") is INDICES


@pytest.mark.parametrize("palette", [None, np.array([[1, 1, 1], [2, 2, 3]], np.uint8)])
def test_a_palette_of_colours_or_none_is_refused(palette):
    with pytest.raises(IngestError, match="a holds indices into a palette of colours"):
        by_palette(INDICES, palette, "a")


def page(kind, bits=8):
    return SimpleNamespace(photometric=PHOTOMETRIC[kind], bitspersample=bits, colormap=None)


def test_the_photometric_tag_decides():
    assert in_greys(INDICES, [page("MINISBLACK"), page("RGB")], "a") is INDICES
    assert whole(in_greys(INDICES, [page("MINISWHITE")], "a")).tolist() == [[[255, 254, 253]]]
    assert whole(in_greys(INDICES, [page("MINISWHITE", 4)], "a")).tolist() == [[[15, 14, 13]]]
    signed = array(np.array([[[-2, 0, 1]]], np.int16))
    assert whole(in_greys(signed, [page("MINISWHITE", 16)], "a")).tolist() == [[[1, -1, -2]]]
    palette = page("PALETTE")
    palette.colormap = np.array([[257 * 7, 0, 257 * 9]] * 3, "u2")  # red, green, blue
    assert whole(in_greys(INDICES, [palette], "a")).tolist() == [[[7, 0, 9]]]
    with pytest.raises(IngestError, match="planes of minisblack and miniswhite"):
        in_greys(INDICES, [page("MINISBLACK"), page("MINISWHITE")], "a")
    with pytest.raises(IngestError, match="does not state which value is black"):
        in_greys(array(np.zeros((1, 1, 1), "f4")), [page("MINISWHITE", 32)], "a")
