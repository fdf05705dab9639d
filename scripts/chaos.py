#!/usr/bin/env python3
"""What volproc does when it is killed, cut off, doubled, lied to: tried, and written down.

scripts/chaos                       every cell of the matrix; writes it into docs/reliability.md
scripts/chaos --sample              a fixed few cells, within a minute
scripts/chaos --cell ROW COLUMN STORE     one cell, with all that was said
scripts/chaos --kills 50 [--seed S] a run killed so often, its options changed in between
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv/bin/python"
if PYTHON.exists() and Path(sys.prefix) != PYTHON.parents[1]:
    os.execv(PYTHON, [str(PYTHON), *sys.argv])
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "src")]
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as Dask's workers have
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])

from faults.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
