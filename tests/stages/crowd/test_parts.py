"""Parts of a file, joined in their order."""

from uuid import uuid4

import pytest

from volproc.errors import VolumeError
from volproc.stages.crowd.parts import Parts, beginning


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
    assert beginning(f"{folder}/whole.txt", 100) == "first\npart 0\npart 1\npart 2\n"
    assert beginning(f"{folder}/parts/000000.csv", 100) == ""


def test_a_part_that_is_missing_is_named(folder):
    parts = Parts(f"{folder}/parts")
    parts.save(0, "part 0\n")
    with pytest.raises(VolumeError, match="000001"):
        parts.join(f"{folder}/whole.txt", [0, 1], first="")


def test_the_beginning_of_a_file_is_as_long_as_asked_for(folder):
    Parts(folder).save(7, "abcdefgh")
    assert beginning(f"{folder}/000007.csv", 3) == "abc"
