from hypothesis import example, given
from hypothesis import strategies as st

from volproc.spreadsheet import neutral, plain


@given(st.text(max_size=12) | st.text("'=+-@ \t0a1.e＝", max_size=6))
@example("'=1")
def test_any_text_comes_back(text):
    assert plain(neutral(text)) == text


@given(st.text("'=+-@ \t\r\n0a＝＠", max_size=6))
def test_nothing_that_a_spreadsheet_would_run_is_left(text):
    cell = neutral(text)
    runs = cell.lstrip(" ")[:1] in (
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        "＝",
        "＠",
    ) and cell.strip(" ")
    assert not runs or cell.lstrip("+-").isdigit()


def test_numbers_stay_numbers():
    for number in ("-3.5", "+7", "1e-5", "-0", "12"):
        assert neutral(number) == number
    for text in ("-INFINITY", "-1_000", "-1+2", " -5", "+"):
        assert neutral(text) == f"'{text}"
