"""The drawings of the explanations, as SVG.

    python docs/drawings/draw.py                  all of them, into docs/images (a minute)
    python docs/drawings/draw.py FOLDER blocks    one of them, elsewhere

Votes and CRIA are drawn from arrays of a phantom, the others from numbers in their files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import blocks
import components
import cria
import votes

DRAWINGS = {
    "blocks": blocks.draw,
    "components": components.draw,
    "cria": cria.draw,
    "votes": votes.draw,
}


def main() -> None:
    """Write the named drawings, or all."""
    folder, *names = sys.argv[1:] or [str(Path(__file__).parents[1] / "images")]
    target = Path(folder).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name in names or DRAWINGS:
            (target / f"{name}.svg").write_text(DRAWINGS[name]())


if __name__ == "__main__":
    main()
