import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.stages.annotate.export import csv_rows
from volproc.stages.annotate.export.csv_rows import MAX_ROW_BYTES, read_rows

cells = st.text(st.sampled_from("ab1,\"\n 'é=") | st.characters(exclude_categories=["Cs"]))


def rows_in(text):
    return list(read_rows(io.BytesIO(text if isinstance(text, bytes) else text.encode()).read))


def written(table):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    return file.getvalue()


@given(table=st.lists(st.tuples(cells, cells, cells), min_size=1), piece=st.integers(1, 50))
def test_what_csv_wrote_is_read_for_all_sizes_of_pieces(table, piece):
    table = [("a", "b", "c"), *([cell.replace("\r", "") for cell in row] for row in table)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "PIECE_BYTES", piece)
        found = rows_in(written(table))
    # a line inside a cell may be a whole row by itself: then it is taken for one
    if not any("\n" in cell for row in table for cell in row):
        assert [list(row.fields) for row in found] == [list(row) for row in table]
        assert [row.number for row in found] == list(range(1, len(table) + 1))
    assert all(row.fields or row.fault for row in found)


@given(torn=st.lists(st.booleans(), min_size=1), cut=st.integers(2, 21), ends=st.booleans())
def test_torn_rows_take_no_others_with_them(torn, cut, ends):
    whole = '12,"{""x"": [1, 2]}",z'
    lines = [whole[:-cut] if one else whole for one in torn]
    found = rows_in("id,json,c\n" + "\n".join(lines) + ("\n" if ends else ""))
    assert len(found) == 1 + len(torn)
    fields = [row.fields for row in found[1:]]
    assert fields == [() if one else ("12", '{"x": [1, 2]}', "z") for one in torn]


@given(st.binary(max_size=300))
def test_no_bytes_stop_it(content):
    found = rows_in(b"a,b\n" + content)
    assert [row.number for row in found] == list(range(1, len(found) + 1))
    assert all(len(row.fields) == 2 or row.fault for row in found)


def test_ends_of_lines_and_marks_of_order():
    expected = [("a", "b"), ("1", "é"), ("2", "x\ny")]
    text = 'a,b\n1,é\n\n2,"x\ny"\n'
    assert [row.fields for row in rows_in(text)] == expected
    assert [row.fields for row in rows_in(b"\xef\xbb\xbf" + text.encode())] == expected
    windows = [row.fields for row in rows_in(text.replace("\n", "\r\n"))]
    assert windows == [*expected[:2], ("2", "x\r\ny")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1,2,3", "3 fields instead of 2"),
        (b"1", "1 fields instead of 2"),
        (b"1,\xff\xfe", "not UTF-8 text"),
        (b'1,"a"b', "not CSV"),
    ],
)
def test_broken_rows_say_what_is_wrong(line, fault):
    header, broken, whole = rows_in(b"a,b\n" + line + b"\n5,6\n")
    assert header.fields == ("a", "b")
    assert fault in broken.fault
    assert whole.fields == ("5", "6")


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("lines", [True, False])
def test_an_endless_field_is_skipped_in_bounded_memory(quoted, lines):
    class Endless:
        """A row of 200 MB between two others, made as it is read."""

        def __init__(self):
            mark = b'"' if quoted else b""
            piece = b"x" * (2**20 - 1) + (b"\n" if lines and quoted else b"x")
            self.pieces = iter([b"a,b\n1,2\n3," + mark, *[piece] * 200, mark + b"\n5,6\n"])

        def read(self, size):
            return next(self.pieces, b"")

    tracemalloc.start()
    found = list(read_rows(Endless().read))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.fields for row in found] == [("a", "b"), ("1", "2"), (), ("5", "6")]
    assert found[2].too_long
    assert peak < 5 * MAX_ROW_BYTES


@settings(max_examples=20)
@given(st.integers(1, 40))
def test_long_rows_are_read_up_to_the_limit(size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "MAX_ROW_BYTES", 30)
        patch.setattr(csv_rows, "PIECE_BYTES", 7)
        _, row, last = rows_in(f"a,b\n1,{'x' * size}\n5,6\n")
    assert row.too_long == (size + 3 > 30)
    assert last.fields == ("5", "6")
