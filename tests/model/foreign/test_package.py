import stat
import zipfile

import psutil
import pytest

from volproc.errors import ModelError
from volproc.model.foreign.package import MAX_BYTES, Package, read_yaml


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "net"
    (made / "sub").mkdir(parents=True)
    (made / "rdf.yaml").write_text("type: model")
    (made / "sub" / "weights.onnx").write_bytes(b"weights")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


def zipped(folder, *, top="", more=()):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, f"{top}{file.relative_to(folder)}")
        for name in more:
            archive.writestr(name, b"evil")
    return path


def test_files_are_read_from_a_folder_a_zip_and_beside_a_description(folder):
    for path in (folder, zipped(folder), zipped(folder, top="net/"), folder / "rdf.yaml"):
        package = Package(path)
        assert package.read(package.description) == b"type: model"
        assert package.read("sub/weights.onnx") == b"weights"
        assert package.read("./sub/../sub/weights.onnx") == b"weights"


@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "/etc/passwd", "link"])
def test_a_name_that_climbs_out_is_refused(folder, name):
    (folder / "link").symlink_to(folder.parent / "secret")
    with pytest.raises(ModelError, match=r"leads out of the package.*do not use it"):
        Package(folder).read(name)
    if name != "link":
        with pytest.raises(ModelError, match="leads out of the package"):
            Package(zipped(folder)).read(name)


@pytest.mark.parametrize("name", ["../slip", "a/../../slip", "/slip", "..\\slip", "C:\\slip"])
def test_a_zip_with_such_a_name_is_not_opened(folder, name):
    with pytest.raises(ModelError, match="leads out of the package"):
        Package(zipped(folder, more=[name]))


def test_a_link_in_a_zip_is_not_followed(folder):
    """Unpacked it would lead out; here it would be read as the text of its target."""
    link = zipfile.ZipInfo("weights.onnx")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(folder.parent / "secret"))
    assert Package(path).read("sub/weights.onnx") == b"weights"
    with pytest.raises(ModelError, match=r"'weights\.onnx' is a link, .* pack the file itself"):
        Package(path).read("weights.onnx")


def test_nothing_is_fetched(folder):
    with pytest.raises(
        ModelError, match=r"https://x\.org/w\.onnx is elsewhere.*nothing is fetched"
    ):
        Package(folder).read("https://x.org/w.onnx")


def test_a_checksum_that_does_not_fit_is_named(folder):
    for path in (folder, zipped(folder)):
        with pytest.raises(ModelError, match=r"weights\.onnx has SHA-256 .*says 000000"):
            Package(path).read("sub/weights.onnx", sha256="0" * 64)


def test_what_is_larger_than_the_memory_is_not_read(folder, monkeypatch):
    path = zipped(folder)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 3}))
    for package in (Package(folder), Package(path)):
        with pytest.raises(ModelError, match=r"weights\.onnx.* of memory, .* are free here"):
            package.read("sub/weights.onnx")


def test_missing_files_and_what_is_no_package_are_named(folder, tmp_path):
    with pytest.raises(ModelError, match=r"cannot read .*other: No such file"):
        Package(folder).read("other")
    with pytest.raises(ModelError, match=r"net\.zip lacks other"):
        Package(zipped(folder)).read("other")
    (folder / "rdf.yaml").unlink()
    with pytest.raises(ModelError, match=r"is no model: neither card\.json .* nor rdf\.yaml"):
        Package(folder)
    (tmp_path / "not.zip").write_bytes(b"not")
    with pytest.raises(ModelError, match=r"not\.zip is not a \.zip file"):
        Package(tmp_path / "not.zip")


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its aliases stand for more than 100,000 values"),
        ("a: &a {b: *a}", "a value holds itself"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[" * 600, "not a readable description"),
        ("a: 1\n" * (MAX_BYTES // 5 + 1), "has .* bytes, a description has 1048576 at most"),
        ("a: 2001-99-99", "not a readable description: month must be in"),
        ("- a", "holds no keys"),
        ("a: [", "not a readable description"),
        ("\x00", "not a readable description"),
    ],
)
def test_what_is_no_honest_description_is_refused_in_one_line(text, message):
    with pytest.raises(ModelError, match=message) as refusal:
        read_yaml(text.encode(), where="rdf.yaml")
    assert len(str(refusal.value)) < 300


def test_plain_values_are_read():
    assert read_yaml(b"%YAML 1.2\n---\na: {b: [1, .inf]}", where="") == {
        "a": {"b": [1, float("inf")]}
    }
    assert read_yaml(b"a: &a [1]\nb: *a", where="") == {"a": [1], "b": [1]}
