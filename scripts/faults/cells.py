"""A cell: a stage that is disturbed, and the judgement on what came of it.

identical   the result is, byte by byte, that of a command that nothing happened to
refused     one clear line and an exit code; what was done is right, so that the same command, once
            the fault is gone, ends identical

Anything else is Wrong: a third kind.
"""

from dataclasses import dataclass, field

from faults import injuries
from faults.columns import Column
from faults.places import Place, copied
from faults.shots import Shot

IDENTICAL, REFUSED = "identical", "refused"


class Wrong(Exception):
    """A cell of a third kind."""


@dataclass(frozen=True)
class Cell:
    """One stage at a place with its inputs. `untouched` is a place with the same, to be copied;
    `calm` is what the command makes of them."""

    column: Column
    place: Place
    untouched: Place
    calm: "Calm"
    address: str = ""
    seed: int = 0
    said: list[str] = field(default_factory=list)

    def start(self, *faults, more=(), place=None):
        """The command at work."""
        here = place or self.place
        return Shot(here.folder, self.column.arguments(here, *more), injuries.SMALL, *faults)

    def ends(self, *faults, more=(), place=None):
        """The command, to its end."""
        return self.told(self.start(*faults, more=more, place=place).ended())

    def volproc(self, *words):
        """Another command."""
        return self.told(Shot(self.place.folder, words, injuries.SMALL).ended())

    def fresh(self, name):
        """Another place with the same inputs and no outputs."""
        return copied(self.untouched, self.place.at(f"{self.place.folder.name}-{name}"))

    def told(self, ended):
        """The same, and kept for whoever looks at one cell."""
        self.said.append(f"exit {ended.code}: {ended.said}")
        return ended

    def change(self, share):
        """The number of a change at a share of the way."""
        return max(1, round(self.calm.changes * share))

    @property
    def below(self):
        """Where its files are: inputs, outputs, records."""
        return (f"{self.place.root}/in", f"{self.place.root}/out")

    def shards(self, volume):
        """Names of the shards of a volume's finest level."""
        return [f"{volume}/{name}" for name in self.place.files(volume) if name.startswith("0/c/")]


@dataclass(frozen=True)
class Calm:
    """What a command makes that nothing happens to, and how many changes that takes."""

    files: dict[str, bytes]
    changes: int


def calm_of(column, place, *more):
    """Run the command undisturbed."""
    counted = place.folder / "changes"
    faults = (injuries.SMALL, injuries.count_changes(counted))
    ended = Shot(place.folder, column.arguments(place, *more), *faults).ended()
    if ended.code:
        raise Wrong(f"undisturbed it ends with {ended.code}: {ended.said}")
    return Calm(place.files("out"), int(counted.read_text()))


def require_same(found, wanted, when):
    """Wrong unless the files are the same, byte by byte."""
    missing, more = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    other = [name for name in wanted if name in found and wanted[name] != found[name]]
    if missing or more or other:
        what = {"missing": missing, "too many": more, "different": other}
        told = "; ".join(f"{word}: {', '.join(names[:3])}" for word, names in what.items() if names)
        raise Wrong(f"{when}: {told}")


def require_identical(cell, ended, when, *, place=None, calm=None):
    """Wrong unless the command ended well, and what it made is what it makes undisturbed."""
    if ended.code:
        raise Wrong(f"{when}: exit code {ended.code}: {ended.said[-600:]}")
    require_same((place or cell.place).files("out"), (calm or cell.calm).files, when)


def require_refusal(ended, when, *words):
    """Wrong unless it ended with one clear line, with these words in it."""
    if not ended.refusal or not all(word in ended.refusal for word in words):
        raise Wrong(f"{when}: no clear line but exit code {ended.code}: {ended.said[-600:]}")


def either(cell, ended, when, *, mend=lambda: None, more=()):
    """Identical; or refused, and identical once the fault is gone."""
    if ended.code == 0:
        require_identical(cell, ended, when)
        return IDENTICAL
    require_refusal(ended, when)
    mend()
    require_identical(cell, cell.ends(more=more), f"after {when}, mended")
    return REFUSED
