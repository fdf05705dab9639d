"""The matrix as a table in docs/reliability.md, between two marks."""

import datetime
import re
from pathlib import Path

from faults.columns import COLUMNS
from faults.rows import ROWS, STORES

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- made by scripts/chaos -->", "<!-- end -->"


def write(verdicts, seconds):
    """Put the table of these verdicts into the page, in place of the last one."""
    text = PAGE.read_text()
    inside = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)
    if not inside.search(text):
        raise ValueError(f"{PAGE} lacks the marks {BEGIN} and {END}")
    PAGE.write_text(inside.sub(lambda _: table(verdicts, seconds), text))


def table(verdicts, seconds):
    """The words, the table of each store, and why some cells are empty."""
    words = {(one.row, one.column, one.store): _word(one) for one in verdicts}
    today = datetime.datetime.now(datetime.UTC).date()
    counts = {kind: _count(verdicts, kind) for kind in ("identical", "refused")}
    lines = [
        f"{today}: {len(verdicts)} cells, {counts['identical']} identical, {counts['refused']} "
        f"refused, {sum(bool(one.wrong) for one in verdicts)} of a third kind, in "
        f"{seconds / 60:.0f} minutes.",
        "",
    ]
    for store in STORES:
        names = [name for name in COLUMNS if any(key[1:] == (name, store) for key in words)]
        lines += [f"| {_titles[store]} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for row in ROWS.values():
            told = [words.get((row.name, name, store), "-") for name in names]
            if set(told) != {"-"}:
                lines.append(f"| {row.name} | {' | '.join(told)} |")
        lines.append("")
    return "\n".join([*lines, *_reasons(), ""])


_titles = {"local": "Local disk", "S3": "S3"}


def _word(verdict):
    return "**WRONG**" if verdict.wrong else verdict.word


def _count(verdicts, kind):
    return sum(one.word.startswith(kind) for one in verdicts)


def _reasons():
    """Why a cell is `-`."""
    yield "Where a cell is `-`:"
    yield ""
    told = dict.fromkeys(one for row in ROWS.values() for one in row.but)
    yield from (f"- {name}: {why}" for name, why in told)
