"""The command: prepares places, judges cells, writes the table."""

import argparse
import fcntl
import json
import os
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from faults import injuries, kills, table
from faults.cells import Cell, Wrong, calm_of
from faults.columns import COLUMNS, settle
from faults.crew import crew
from faults.places import Place, copied, s3_server
from faults.rows import ROWS, SAMPLE, cells
from faults.shots import Hung, in_this_process


@dataclass(frozen=True)
class Verdict:
    """What became of a cell: its word, or what is wrong."""

    row: str
    column: str
    store: str
    word: str = ""
    wrong: str = ""
    seconds: float = 0.0


def main():
    """0 if no cell is of a third kind."""
    given = _parsed()
    settle()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        if given.kills:
            return kills.main(Path(folder), given.kills, given.seed)
        wanted = _wanted(given)
        began = time.monotonic()
        found = judged(Path(folder), wanted, jobs=given.jobs, loud=bool(given.cell))
        seconds = time.monotonic() - began
    wrong = [one for one in found if one.wrong]
    for one in wrong:
        print(f"WRONG {one.row} | {one.column} | {one.store}: {one.wrong}")
    print(f"{len(found)} cells judged in {seconds:.0f} s, {len(wrong)} of a third kind")
    if not given.cell and not given.sample and not given.column:
        table.write(found, seconds)
    return int(bool(wrong))


def _parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", action="store_true", help="a fixed few cells")
    parser.add_argument("--cell", nargs=3, metavar=("ROW", "COLUMN", "STORE"))
    parser.add_argument("--column", nargs=2, metavar=("COLUMN", "STORE"))
    parser.add_argument("--s3", default="", help="only these columns on S3, separated by commas")
    parser.add_argument("--kills", type=int, default=0, help="of a run, options changed between")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cells at the same time")
    return parser.parse_args()


def _wanted(given):
    if given.sample:
        return SAMPLE
    if given.cell:
        if tuple(given.cell) not in cells():
            sys.exit(f"no such cell; rows: {', '.join(ROWS)}; columns: {', '.join(COLUMNS)}")
        return (tuple(given.cell),)
    column, store = given.column or ("", "")
    remote = given.s3.split(",") if given.s3 else list(COLUMNS)
    return [
        one
        for one in cells()
        if column in ("", one[1])
        and store in ("", one[2])
        and (one[2] == "local" or one[1] in remote)
    ]


def judged(folder, wanted, *, jobs=2, loud=False):
    """A verdict on each of the wanted cells; each happens in processes of its own."""
    with ExitStack() as stack:
        roots = {"local": str(folder / "local")}
        if any(store == "S3" for _, _, store in wanted):
            roots["S3"] = stack.enter_context(s3_server(folder))
        crewed = any(ROWS[row].crew for row, _, _ in wanted)
        address = stack.enter_context(crew(folder)) if crewed else ""
        columns = dict.fromkeys(column for _, column, _ in wanted)
        _warm(folder / "warm", columns)
        pairs = dict.fromkeys((column, store) for _, column, store in wanted)
        calm = {pair: _calm(folder / "local", roots, *pair) for pair in pairs}
        lock = folder / "crew-lock"
        lock.touch()

        def judge(number):
            row, column, store = wanted[number]
            untouched, made = calm[column, store]
            place = copied(untouched, untouched.at(f"cell-{number}-{column}"))
            cell = Cell(COLUMNS[column], place, untouched, made, address, seed=number)
            with lock.open() as held:
                if ROWS[row].crew:  # one at a time has the workers
                    fcntl.flock(held, fcntl.LOCK_EX)
                verdict = _verdict(ROWS[row], cell, store)
            if loud:
                print("\n".join(cell.said))
            return verdict

        return _in_processes(judge, len(wanted), jobs, folder)


def _warm(folder, columns):
    """Compile and import in this process what all those forked from it will need."""
    for name in columns:
        place = Place(folder / name, str(folder / name))
        place.folder.mkdir(parents=True)
        COLUMNS[name].make(place)
        injuries.SMALL()
        in_this_process(place.folder, COLUMNS[name].arguments(place))


def _calm(folder, roots, column, store):
    """A place with a column's inputs, and what it makes of them undisturbed."""
    name = f"{store}-{column}"
    dated = (column, store) == ("ingest", "S3")
    place = Place(folder / name, f"{roots[store]}/{name}", dated)
    place.folder.mkdir(parents=True)

    COLUMNS[column].make(place)
    return place, calm_of(COLUMNS[column], copied(place, place.at(f"{name}-calm")))


def _verdict(row, cell, store):
    began = time.monotonic()
    word = wrong = ""
    try:
        word = row.does(cell)
    except (Wrong, Hung) as error:
        wrong = str(error)
    except Exception:
        wrong = traceback.format_exc()
    seconds = round(time.monotonic() - began, 1)
    return Verdict(row.name, cell.column.name, store, word, wrong, seconds)


def _in_processes(judge, count, jobs, folder):
    """`judge(number)` for all numbers, in order, so many processes at a time."""
    found, running, waiting = {}, {}, list(range(count))
    while running or waiting:
        while waiting and len(running) < jobs:
            number = waiting.pop(0)
            running[_forked(judge, number, folder)] = number
        pid, _ = os.wait()
        if pid in running:  # else one of the servers
            number = running.pop(pid)
            told = folder / f"verdict-{number}.json"
            if not told.exists():
                raise ChildProcessError(f"cell {number} ended without a verdict")
            found[number] = Verdict(**json.loads(told.read_text()))
            _say(found[number], len(found), count)
    return [found[number] for number in range(count)]


def _forked(judge, number, folder):
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        told = json.dumps(asdict(judge(number)))
        (folder / f"verdict-{number}.json").write_text(told)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def _say(verdict, done, count):
    told = verdict.word or f"WRONG {verdict.wrong.strip().splitlines()[-1][:300]}"
    print(
        f"{done}/{count} {verdict.row} | {verdict.column} | {verdict.store}: {told} "
        f"({verdict.seconds} s)",
        flush=True,
    )
