"""What it costs to know whether a volume changed, and what a finished run costs.

    python benchmarks/fingerprint.py FOLDER [--files 100000]

The fingerprint of a million shards from a simulated listing; of real files in FOLDER, per file; and
`volproc run` on a finished run of the demo, where FOLDER/demo holds one (`scripts/demo` makes it).
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from volproc.volume import fingerprint
from volproc.volume.metadata import new_volume

MILLION = 10**6


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def simulated(url):
    """A level's listing as an object store gives it; all shards are in the finest level."""
    if url.endswith("/0"):
        yield from (
            (f"c/{n // 1000}/{n % 1000}/0", 67_108_864, f'"{n:032x}"') for n in range(MILLION)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    given = parser.parse_args()
    info = new_volume("a.zarr", shape=(9000, 9000, 9000), voxel_nm=(8, 8, 8), dtype="uint8")
    listed, fingerprint.entries = fingerprint.entries, simulated
    print(
        f"a million shards, listing simulated: {seconds(lambda: fingerprint.content(info)):.1f} s"
    )
    fingerprint.entries = listed
    real = given.folder / "files"
    for n in range(given.files):
        file = real / str(n // 1000) / str(n % 1000)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    took = seconds(lambda: fingerprint.listing(str(real)))
    print(f"{given.files:,} real files: {took:.2f} s, {1e6 * took / given.files:.1f} us a file")
    workflow = given.folder / "demo.toml"
    if workflow.exists():
        run = [sys.executable, "-m", "volproc", "run", str(workflow)]
        took = seconds(lambda: subprocess.run(run, check=True))
        print(f"`volproc run` on a finished run: {took:.1f} s")


if __name__ == "__main__":
    main()
