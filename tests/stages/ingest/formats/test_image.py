import io
import pickle

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.image import is_image, open_image

PLANE = np.random.default_rng(4).integers(0, 255, (31, 43)).astype("uint8")


def encoded(image, kind="PNG", **writing):
    """The bytes of an image: Pillow's, or an array's."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **writing)
    return file.getvalue()


def saved(data):
    url = "memory://image/plane"
    with fsspec.open(url, "wb") as file:
        file.write(data)
    return url


@given(
    dtype=st.sampled_from(["uint8", "uint16"]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
    corners=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4),
)
def test_any_box_of_a_png_is_the_arrays_slice(dtype, height, width, seed, corners):
    end = np.iinfo(dtype).max
    values = np.random.default_rng(seed).integers(0, end, (height, width), dtype, endpoint=True)
    source = pickle.loads(pickle.dumps(open_image(saved(encoded(values)))))
    assert (source.shape, source.dtype) == ((1, height, width), dtype)
    y, x, down, right = corners
    y, x = int(y * height), int(x * width)
    box = Box((0, y, x), (1, y + 1 + int(down * (height - y)), x + 1 + int(right * (width - x))))
    found = source.read(box)
    assert found.dtype == dtype
    assert np.array_equal(found, values[None][box.slices])


def test_bits_are_black_and_white():
    bits = PLANE > 100
    source = open_image(saved(encoded(Image.fromarray(bits))))
    assert source.dtype == "uint8"
    assert np.array_equal(source.read(whole_box(source.shape))[0], bits * np.uint8(255))


def test_jpeg_is_right_within_its_loss():
    smooth = np.add.outer(np.arange(80), np.arange(96)).astype("uint8")
    source = open_image(saved(encoded(smooth, "JPEG", quality=90)))
    assert (source.shape, source.dtype, source.voxel_nm) == ((1, 80, 96), "uint8", None)
    found = source.read(whole_box(source.shape))[0]
    assert np.abs(found.astype(int) - smooth).max() < 8


def test_large_planes_are_no_attack():
    """Pillow's own opening refuses images of this size."""
    data = encoded(Image.new("1", (14_000, 14_000)))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    assert open_image(saved(data)).shape == (1, 14_000, 14_000)


COLOURS = [("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("RGB", "JPEG")]


@pytest.mark.parametrize(("mode", "kind"), COLOURS)
def test_grey_saved_as_colour_is_grey(mode, kind):
    """ilastik/ilastik#728, SlicerMorph/SlicerMorph#172: slices saved as R = G = B."""
    smooth = np.add.outer(np.arange(40), np.arange(48)).astype("uint8")
    source = open_image(saved(encoded(Image.fromarray(smooth).convert(mode), kind)))
    assert (source.shape, source.dtype) == ((1, 40, 48), "uint8")
    found = source.read(Box((0, 3, 5), (1, 30, 40)))[0]
    assert np.abs(found.astype(int) - smooth[3:30, 5:40]).max() <= (kind == "JPEG") * 4


def paletted(entries, **how):
    """A PNG of the indices 0, 1, 2 and ... into a palette."""
    image = Image.new("P", INDICES.shape[::-1])
    image.putdata(INDICES.ravel().tolist())
    image.putpalette([value for entry in entries for value in entry])
    return saved(encoded(image, "PNG", **how))


INDICES = np.array([[0, 1, 2], [3, 2, 1]], np.uint8)
GREYS = np.array([200, 7, 90, 255], np.uint8)


def test_a_grey_palette_gives_the_greys_it_shows():
    """ImageJ and Fiji save 8-bit images with a lookup table as PNGs with a palette."""
    path = paletted([(grey,) * 3 for grey in GREYS])
    source = open_image(path)
    assert (source.dtype, "palette of greys" in source.note) == ("uint8", True)
    assert np.array_equal(source.read(Box((0, 0, 1), (1, 2, 3)))[0], GREYS[INDICES][:, 1:])
    assert np.array_equal(open_image(path, labels=True).read(whole_box(source.shape))[0], INDICES)
    plain = open_image(paletted([(grey,) * 3 for grey in range(256)]))
    assert (np.array_equal(plain.read(whole_box(plain.shape))[0], INDICES), plain.note) == (
        True,
        "",
    )


@pytest.mark.parametrize(
    ("entries", "how"),
    [
        ([(0, 0, 0), (9, 9, 9), (9, 9, 8), (1, 1, 1)], {}),
        ([(grey,) * 3 for grey in GREYS], {"transparency": 1}),
        ([(grey,) * 3 for grey in GREYS], {"transparency": b"\xff\x80"}),
    ],
)
def test_a_palette_of_colours_is_refused_but_for_labels(entries, how):
    path = paletted(entries, **how)
    with pytest.raises(IngestError, match=r"a palette of colours, not grey values; .*--labels"):
        open_image(path)
    ids = open_image(path, labels=True)
    assert np.array_equal(ids.read(whole_box(ids.shape))[0], INDICES)


@pytest.mark.parametrize(("mode", "kind"), COLOURS)
def test_colour_is_refused(mode, kind):
    pixels = np.stack([PLANE, PLANE[::-1], PLANE, PLANE], axis=-1)
    if mode == "LA":  # what is hidden is not grey either
        pixels = pixels[..., :2]
    image = Image.fromarray(pixels[..., : 4 if mode == "RGBA" else 3].copy())
    with pytest.raises(IngestError, match="a volume needs grey planes") as caught:
        open_image(saved(encoded(image.convert(mode), kind)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused_unless_no_pixel_is_lost(kind, share):
    data = encoded(PLANE, kind)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    url = saved(data[: int(share * len(data))])
    try:
        found = open_image(url).read(whole_box((1, *PLANE.shape)))[0]
    except IngestError as error:
        found = expected if url in str(error) and "\n" not in str(error) else None
    assert np.array_equal(found, expected)


def test_text_is_refused():
    with pytest.raises(IngestError, match="is not a PNG or JPEG file"):
        open_image(saved(b"no image at all"))


def test_images_are_known_by_their_first_bytes():
    assert is_image(encoded(PLANE)[:512])
    assert is_image(encoded(PLANE, "JPEG")[:512])
    assert not is_image(encoded(PLANE, "TIFF")[:512])
    assert not is_image(b"")


@pytest.mark.real
@pytest.mark.parametrize("name", ["membranes/00.png", "mitochondria/00.png", "mitochondria/01.png"])
def test_real_sections(real_data, name):
    path = real_data / "drosophila-vnc" / name
    source = open_image(str(path))
    assert (source.shape, source.dtype) == ((1, 1024, 1024), "uint8")
    with Image.open(path) as image:
        expected = np.asarray(image.convert("L"))
    assert np.array_equal(source.read(whole_box(source.shape))[0], expected)
