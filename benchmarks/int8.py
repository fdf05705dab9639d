"""int8 against float32 on this CPU: the network alone, the whole command, Dice of both.

    python benchmarks/int8.py DATA FOLDER [--model nuclei-50nm] [--volumes phantom cell]
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/int8.py ...          # as on a CPU without AVX-512

One thread; both precisions take turns, so that a busy machine slows both. CPU seconds are the least
of the rounds. The network alone: a window of 336 x 432 pixels of which 320 x 416 are requested,
as in a volume of 300 x 400 x 400. Volumes and truths are those of `planes_kept.py`; --volumes with
nothing after it measures the network alone.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from planes_kept import SERIAL, phantom, real_cell

import volproc
from volproc import EvaluateOptions, PredictOptions
from volproc.model.normalisation import Normalisation
from volproc.model.own_network import in_int8
from volproc.model.resolver import open_network
from volproc.volume.store import open_volume

PRECISIONS = ("float32", "int8")
WINDOW, REQUESTED = (336, 432), (slice(16, 336), slice(16, 432))
CALLS = 20


def in_turn(rounds: int, *actions: Callable[[], object]) -> list[float]:
    """The least CPU seconds of each action, done one after the other `rounds` times."""
    least = [float("inf")] * len(actions)
    for _ in range(rounds):
        for n, action in enumerate(actions):
            began = time.process_time()
            action()
            least[n] = min(least[n], time.process_time() - began)
    return least


def network_alone(model: str) -> None:
    """Print milliseconds a call."""
    network = open_network(model)
    loaded = (network.load("cpu"), in_int8(network).load("cpu"))
    chance = torch.Generator().manual_seed(0)
    planes = torch.randint(0, 256, (1, network.slices_in, *WINDOW), generator=chance).byte()

    def called(predict: Callable[..., object]) -> Callable[[], object]:
        return lambda: predict(planes, Normalisation(128.0, 50.0), REQUESTED)

    with torch.inference_mode():
        floats, whole = in_turn(CALLS, *map(called, loaded))
    print(
        f"a call: float32 {1e3 * floats:.1f} ms, int8 {1e3 * whole:.1f} ms, "
        f"{floats / whole:.2f} times as fast"
    )


def command(model: str, url: str, scored: EvaluateOptions, folder: Path, rounds: int) -> None:
    """Print a row for each precision: CPU seconds of predict, Dice; how far apart they are."""
    made = {precision: folder / f"{Path(url).stem}-{precision}" for precision in PRECISIONS}

    def predicted(precision: str) -> Callable[[], object]:
        options = PredictOptions(model=model, precision=precision)  # type: ignore[arg-type]
        out, votes = (str(made[precision] / name) for name in ("out.zarr", "votes.zarr"))

        def again() -> None:
            shutil.rmtree(made[precision], ignore_errors=True)  # else it is done
            volproc.predict(url, out, options, votes=votes, cluster=SERIAL)

        return again

    seconds = in_turn(rounds, *map(predicted, PRECISIONS))
    scored = scored.model_copy(update={"surfaces": "none"})
    print("| precision | CPU s | Dice | along z | y | x |")
    print("|---" * 6 + "|", flush=True)
    for precision, cpu in zip(PRECISIONS, seconds, strict=True):
        found = volproc.evaluate(str(made[precision] / "votes.zarr"), scored, cluster=SERIAL)
        rows = {row["answer"]: row["dice"] for row in found.rows()}
        dice = [rows[f"votes {part}"] for part in ("mean", "z", "y", "x")]
        print(f"| {precision} | {cpu:.1f} | {' | '.join(f'{one:.4f}' for one in dice)} |")
    ratio, outs = seconds[0] / seconds[1], [str(one / "out.zarr") for one in made.values()]
    print(f"{ratio:.2f} times as fast; {apart(*outs)}", flush=True)


def apart(*urls: str) -> str:
    """How far two predictions are from one another."""
    one, two = (_voxels(url) for url in urls)
    sides = np.mean((one >= 128) != (two >= 128))
    return f"up to {np.abs(one - two).max()} of 255, {1e6 * sides:.0f} of a million change sides"


def _voxels(url: str) -> np.ndarray:
    volume = open_volume(url)
    return volume.read(volume.info.box).astype(np.int16)


def main(words: Sequence[str] | None = None) -> None:
    """Print the time of a call, and a table for each volume."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nuclei-50nm")
    parser.add_argument("--volumes", nargs="*", default=["phantom", "cell"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    network_alone(given.model)
    for name in given.volumes:
        print(name)
        made = phantom(given.folder) if name == "phantom" else real_cell(given.data, given.folder)
        command(given.model, *made, given.folder, given.rounds)


if __name__ == "__main__":
    main()
