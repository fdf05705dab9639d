"""Parts of a file, joined in their order."""

from uuid import uuid4

import pytest

from volproc.errors import VolumeError
from volproc.stages.crowd.export_parts import Parts
from volproc.volume.access import exists
from volproc.volume.file_io import read_file


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """A place on disk, and one on another file system."""
    return str(tmp_path) if request.param == "local" else f"memory://{uuid4().hex}"


def test_parts_are_joined_in_order_and_removed(folder):
    parts = Parts(f"{folder}/parts")
    for index in (2, 0, 1):
        parts.save(index, f"part {index}\n")
    parts.join(f"{folder}/whole.txt", [0, 1, 2], first="first\n")
    parts.remove([0, 1, 2])
    assert read_file(f"{folder}/whole.txt") == b"first\npart 0\npart 1\npart 2\n"
    assert not exists(f"{folder}/parts/000000.csv")


def test_a_part_that_is_missing_is_named(folder):
    parts = Parts(f"{folder}/parts")
    parts.save(0, "part 0\n")
    with pytest.raises(VolumeError, match="000001"):
        parts.join(f"{folder}/whole.txt", [0, 1], first="")
