import fsspec
import pytest

from volproc.errors import VolumeError
from volproc.volume.file_io import read_file, write_file, write_pieces


def test_a_file_is_there_whole(tmp_path):
    url = str(tmp_path / "folder" / "table.npz")
    write_file(url, b"first")
    write_file(url, b"second")
    assert read_file(url) == b"second"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["table.npz"]


def test_any_url():
    write_file("memory://runs/table.npz", b"there")
    assert read_file("memory://runs/table.npz") == b"there"
    fsspec.filesystem("memory").rm("/runs", recursive=True)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VolumeError, match=r"cannot read .*gone\.csv"):
        read_file(str(tmp_path / "gone.csv"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VolumeError, match="cannot write"):
        write_file(str(tmp_path / "file" / "table.npz"), b"")


@pytest.mark.parametrize("place", ["{folder}/made/table.csv", "memory://runs/table.csv"])
def test_pieces_are_one_file_whole_or_not_at_all(tmp_path, place):
    url = place.format(folder=tmp_path)
    write_pieces(url, iter([b"one,", b"two\n"]))
    assert read_file(url) == b"one,two\n"

    def torn():
        yield b"three"
        raise RuntimeError("interrupted")

    if "memory" not in url:
        with pytest.raises(RuntimeError, match="interrupted"):
            write_pieces(url, torn())
        assert read_file(url) == b"one,two\n"
