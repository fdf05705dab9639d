"""Uncompressed planes, wherever they are in a file."""

import gzip

import numpy as np
import pytest

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.raw import is_gzip, raw_planes
from volproc.stages.ingest.voxel_source import Calibration, stamp

VALUES = np.arange(2 * 3 * 4, dtype=">u2").reshape(2, 3, 4)
BOXES = [Box((0, 0, 0), (2, 3, 4)), Box((1, 1, 0), (2, 3, 4)), Box((0, 2, 1), (2, 3, 3))]
BOXES += [Box((1, 1, 1), (1, 2, 2))]


def planes(path, content, *offsets, stored=">u2", zipped=False):
    path.write_bytes(content)
    return raw_planes(
        str(path), offsets=offsets, stored=stored, shape=VALUES.shape, stated=Calibration(),
        identity=(stamp(str(path)),), zipped=zipped,
    )  # fmt: skip


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("order", "<>")
def test_planes_behind_a_header_or_at_offsets_of_their_own(tmp_path, box, order):
    stored = f"{order}u2"
    first, second = (plane.astype(stored).tobytes() for plane in VALUES)
    together = planes(tmp_path / "a", b"12345" + first + second, 5, stored=stored)
    apart = planes(tmp_path / "b", second + b"1" + first, 25, 0, stored=stored)
    for source in (together, apart):
        assert (source.dtype, source.by_rows) == ("uint16", True)
        assert np.array_equal(source.read(box), VALUES[box.slices])


@pytest.mark.parametrize("offset", [5, 6])
def test_a_file_cut_short_is_refused_at_the_byte(tmp_path, offset):
    content = b"12345" + VALUES.tobytes()
    if offset == 5:
        assert planes(tmp_path / "a", content, offset).shape == VALUES.shape
    else:
        with pytest.raises(IngestError, match="cut short: 53 bytes, expected at least 54"):
            planes(tmp_path / "a", content, offset)


@pytest.mark.parametrize("box", BOXES)
def test_planes_inside_a_gzipped_file(tmp_path, box):
    content = gzip.compress(b"12345" + VALUES.tobytes())
    assert is_gzip(content)
    source = planes(tmp_path / "a", content, 5, zipped=True)
    assert not source.by_rows
    assert np.array_equal(source.read(box), VALUES[box.slices])
    short = planes(tmp_path / "b", gzip.compress(b"12345" + VALUES.tobytes()[:-1]), 5, zipped=True)
    with pytest.raises(IngestError, match="1 bytes are missing at its end"):
        short.read(whole_box(short.shape))
