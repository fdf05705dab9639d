import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from volproc.volume.metadata import new_volume
from volproc.volume.notebook import MAX_READ_BYTES, picture


def pixels(volume):
    return np.asarray(Image.open(BytesIO(picture(volume.info, volume.select))))


def test_the_page_has_the_picture_and_the_facts(save_volume, noise):
    page = save_volume("a<b.zarr", noise, voxel_nm=(50, 10, 10))._repr_html_()
    (data,) = re.findall("base64,([^']+)'", page)
    assert Image.open(BytesIO(base64.b64decode(data))).format == "PNG"
    assert "a&lt;b.zarr" in page
    for fact in ("40 x 70 x 90", "50 x 10 x 10 nm", "2 x 0.7 x 0.9 um", "uint8"):
        assert fact in page


def test_the_middle_slice_is_shown_as_wide_as_it_is_in_nm(save_volume, noise):
    found = pixels(save_volume("a.zarr", noise, voxel_nm=(50, 20, 10)))
    assert found.shape == (256, round(256 * 90 * 10 / (70 * 20)))
    small = np.asarray(Image.fromarray(found).resize((90, 70), Image.Resampling.BOX), dtype=float)
    assert np.corrcoef(small.ravel(), noise[20].ravel())[0, 1] > 0.95


def test_labels_have_a_colour_each_on_black(save_volume):
    labels = np.zeros((3, 40, 40), np.uint32)
    labels[:, :20, :20], labels[:, 20:, 20:] = 1, 2
    found = pixels(save_volume("l.zarr", labels, kind="labels"))
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 3
    assert not found[64, 192].any()


@pytest.mark.parametrize("chunks", [(64, 64, 64), (1, 512, 512), (8, 2048, 2048)])
def test_only_a_few_megabytes_are_decoded(chunks):
    """Of a volume of one level that is large: its middle part, or none of it."""
    info = new_volume(
        "a.zarr",
        shape=(64, 6000, 6000),
        voxel_nm=(10.0, 10.0, 10.0),
        dtype="uint8",
        chunks=chunks,
        max_levels=1,
    )
    read = []

    def select(selection, level=0):
        _, *plane = selection
        shape = [s.stop - s.start for s in plane]
        whole = [-(-n // c) * c for n, c in zip(shape, chunks[1:], strict=True)]
        read.append(chunks[0] * np.prod(whole))
        assert all(0 <= s.start < s.stop <= 6000 for s in plane)
        return np.zeros(shape, np.uint8)

    shown = picture(info, select)
    assert sum(read) <= MAX_READ_BYTES
    assert bool(shown) == (chunks[0] * chunks[1] * chunks[2] <= MAX_READ_BYTES)


def test_what_cannot_be_read_is_said_beside_the_facts(save_volume, noise, tmp_path):
    volume = save_volume("a.zarr", noise)
    for file in (tmp_path / "a.zarr/0/c").rglob("*"):
        if file.is_file():
            file.write_bytes(b"nothing")
    page = volume._repr_html_()
    assert "cannot read" in page
    assert "40 x 70 x 90" in page
