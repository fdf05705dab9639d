"""Only files of the given stores are read, in whole or in part."""

import pytest

from volproc.viewing.stores import ForbiddenError, Store, byte_range


@pytest.fixture
def store(tmp_path):
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "0" / "chunk").write_bytes(bytes(range(10)))
    (tmp_path / "secret").write_text("no")
    (tmp_path / "a.zarr" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "a.zarr" / "in").symlink_to(tmp_path / "a.zarr" / "0" / "chunk")
    return Store(str(tmp_path / "a.zarr"))


@pytest.mark.parametrize("key", ["0/chunk", "in"])
def test_files_are_read_in_parts(store, key):
    assert store.size(key) == 10
    assert store.read(key, 2, 5) == bytes([2, 3, 4])


@pytest.mark.parametrize(
    "key", ["", "../secret", "0/../../secret", "/etc/passwd", "0//chunk", ".", "out", "..\\secret"]
)
def test_nothing_outside_is(store, key):
    with pytest.raises(ForbiddenError, match=r"is no file of|leads out of"):
        store.size(key)
    with pytest.raises(ForbiddenError):
        store.read(key, 0, 1)


@pytest.mark.parametrize("key", ["1/chunk", "0", "zarr.json"])
def test_what_is_not_there_is_not_found(store, key):
    with pytest.raises(FileNotFoundError):
        store.size(key)


def test_a_store_at_a_url(tmp_path):
    import fsspec

    fsspec.filesystem("memory").pipe_file("/looked/a.zarr/zarr.json", b"{}...")
    store = Store("memory://looked/a.zarr")
    assert store.size("zarr.json") == 5
    assert store.read("zarr.json", 0, 2) == b"{}"
    with pytest.raises(ForbiddenError):
        store.size("../b.zarr/zarr.json")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-99", (5, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=10-", None),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
        ("bytes", None),
    ],
)
def test_ranges(header, part):
    assert byte_range(header, 10) == part
