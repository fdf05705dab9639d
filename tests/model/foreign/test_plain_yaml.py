import pytest

from volproc.errors import ModelError
from volproc.model.foreign.plain_yaml import MAX_BYTES, read_yaml

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
