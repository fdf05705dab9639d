"""Which recorded blocks are still on disk."""

import numpy as np
import pytest

from volproc.grid.blocks import Tiling
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume
from volproc.volume.written_level import WrittenLevel


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("channels", [(), ("x", "y")])
@pytest.mark.parametrize("kind", ["image", "labels"])
def test_blocks_are_lost_with_any_of_their_files(tmp_path, version, channels, kind):
    info = new_volume(
        str(tmp_path / "a.zarr"), shape=(20, 20, 20), voxel_nm=(9, 9, 9), dtype="uint8", kind=kind,
        channels=channels, chunks=(8, 8, 8), shards=(8, 8, 8), version=version,
    )  # fmt: skip
    volume = create_volume(info, step="test", digest="test", version="0")
    blocks = Tiling((20, 20, 20), (8, 16, 8))
    written = WrittenLevel(info)
    assert written.lost(blocks) == set(range(len(blocks)))
    volume.write(info.box, np.zeros((*map(len, [channels] * bool(channels)), 20, 20, 20), "uint8"))
    assert written.lost(blocks) == set()
    files = sorted(path for path in (tmp_path / "a.zarr" / "0").rglob("*") if path.name.isdigit())
    files = [path for path in files if path.is_file()]
    files[-1].unlink()
    assert written.lost(blocks) == {len(blocks) - 1}
    files[0].write_bytes(b"")
    assert written.lost(blocks) == {0, len(blocks) - 1}


def test_blocks_counted_in_voxels_of_a_finer_level(tmp_path):
    info = new_volume(
        str(tmp_path / "a.zarr"), shape=(8, 600, 600), voxel_nm=(50, 10, 10), dtype="uint8",
        chunks=(8, 64, 64), shards=(8, 64, 64),
    )  # fmt: skip
    volume = create_volume(info, step="test", digest="test", version="0")
    half = info.levels[1]
    volume.write(half.box, np.ones(half.shape, "uint8"), level=1)
    blocks = Tiling(info.shape, (8, 128, 128))
    written = WrittenLevel(info, level=1, finer=1)
    assert written.lost(blocks) == set()
    (tmp_path / "a.zarr" / "1" / "c" / "0" / "1" / "2").unlink()
    (lost,) = written.lost(blocks)
    assert blocks[lost].core.start == (0, 128, 256)
