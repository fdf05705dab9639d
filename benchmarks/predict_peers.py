"""predict against MONAI's sliding_window_inference run three times and fused by numpy.

    python benchmarks/predict_peers.py FOLDER [--shape 128 768 768] [--cores 2]

The same network, weights and volume (a phantom at 50 nm). Each contender is a process of its own,
timed and watched from outside, imports and all. The peers' volume is in memory before they begin,
normalised, and their answer stays there; volproc reads Zarr and writes Zarr.

    monai, default    roi 256, overlap 0.25, constant weights, as its documentation has it
    monai, large      roi 512, overlap 0.25, gaussian weights
    whole planes      no tiles at all: what the others should answer

What differs from whole planes: the share of voxels that change sides at 0.5, and the largest step.
Needs MONAI (pip install monai), which the library does not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from processes import Cost, measured

import volproc
from volproc import ClusterOptions, PhantomOptions, PredictOptions
from volproc.model.predictor import Predictor
from volproc.model.resolver import open_network
from volproc.stages.volume_sample import volume_sample
from volproc.volume.store import open_volume

AXES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
CONTENDERS = ("whole planes", "monai, default", "monai, large", "volproc")


def tiled(planes: torch.Tensor, network: Predictor, *, roi: int, mode: str) -> torch.Tensor:
    """Probabilities of planes (1, slices_in, H, W) by sliding windows."""
    from monai.inferers import sliding_window_inference

    how = {"roi_size": (roi, roi), "sw_batch_size": 4, "overlap": 0.25, "mode": mode}
    logits = sliding_window_inference(planes, predictor=network.module, **how)
    return torch.sigmoid(logits)


def whole(planes: torch.Tensor, network: Predictor) -> torch.Tensor:
    """Probabilities of whole planes, mirrored by one stride and up to the next multiple."""
    stride, (high, wide) = network.module.spec.stride, planes.shape[2:]
    rows, columns = (
        np.pad(np.arange(n), (stride, stride + -n % stride), mode="reflect") for n in (high, wide)
    )
    mirrored = planes[:, :, rows][..., columns].contiguous(memory_format=torch.channels_last)
    answers = torch.sigmoid(network.module(mirrored))
    return answers[..., stride : stride + high, stride : stride + wide]


@torch.inference_mode()
def three_times(image: Path, model: str, how: partial[torch.Tensor]) -> npt.NDArray[np.uint8]:
    """The mean of three axes, each predicted on its own."""
    volume, description = open_volume(image), open_network(model)
    constants = description.constants_from(volume_sample(volume))
    network = description.load("cpu")
    assert isinstance(network, Predictor)
    raw = torch.from_numpy(volume.read(volume.info.box))
    values = constants.apply(raw)
    votes = np.zeros((3, *values.shape), np.float32)
    margin = (description.slices_in - description.slices_out) // 2
    for n, order in enumerate(AXES):
        seen = values.permute(order)
        deep = -(-len(seen) // description.slices_out) * description.slices_out
        where = np.pad(np.arange(len(seen)), (margin, margin + deep - len(seen)), mode="reflect")
        out = votes[n].transpose(order)
        for first in range(0, len(seen), description.slices_out):
            planes = seen[where[first : first + description.slices_in]][None]
            planes = planes.contiguous(memory_format=torch.channels_last)
            answer = how(planes, network=network)[0].numpy()
            out[first : first + description.slices_out] = answer[: len(seen) - first]
    return (votes.mean(axis=0) * 255 + 0.5).astype(np.uint8)


def contend(name: str, folder: Path, model: str, cores: int) -> None:
    """One contender's answer in FOLDER/NAME.npy."""
    torch.set_num_threads(cores)
    image = folder / "phantom.zarr"
    if name == "volproc":
        out = folder / "out.zarr"
        shutil.rmtree(f"{out}.volproc", ignore_errors=True)  # else it is taken up where it ended
        options = PredictOptions(model=model)
        made = volproc.predict(str(image), str(out), options, cluster=ClusterOptions(workers=cores))
        answer = made.read(made.info.box)
    else:
        ways = {
            "whole planes": partial(whole),
            "monai, default": partial(tiled, roi=256, mode="constant"),
            "monai, large": partial(tiled, roi=512, mode="gaussian"),
        }
        answer = three_times(image, model, ways[name])
    np.save(folder / f"{name}.npy", answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 768, 768))
    parser.add_argument("--model", default="nuclei-50nm")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--contender", choices=CONTENDERS)
    given = parser.parse_args()
    if given.contender:
        contend(given.contender, given.folder, given.model, given.cores)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    image = given.folder / "phantom.zarr"
    if not image.exists():
        options = PhantomOptions(shape=tuple(given.shape), voxel_nm=(50, 50, 50), seed=1)
        volproc.phantom(str(image), options)
    costs = {name: run(name, given) for name in CONTENDERS}
    report(given.folder, costs)


def run(name: str, given: argparse.Namespace) -> Cost:
    words = [sys.executable, __file__, str(given.folder), "--contender", name]
    words += ["--model", given.model, "--cores", str(given.cores)]
    os.environ["OMP_NUM_THREADS"] = str(given.cores)
    log = given.folder / "log.txt"
    cost = measured(words, log=log)
    if cost.code:
        raise SystemExit(log.read_text())
    return cost


def report(folder: Path, costs: dict[str, Cost]) -> None:
    wanted = np.load(folder / "whole planes.npy").astype(np.int16)
    print(f"{wanted.shape} voxels, three axes, mean\n")
    print("| | wall s | CPU s | peak GB | voxels that change sides, ppm | largest step of 255 |")
    print("|---|---|---|---|---|---|")
    for name, cost in costs.items():
        found = np.load(folder / f"{name}.npy")
        apart, sides = np.abs(found - wanted).max(), ((found >= 128) != (wanted >= 128)).mean()
        spent = f"{cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_bytes / 1e9:.2f}"
        print(f"| {name} | {spent} | {sides * 1e6:.1f} | {apart} |")


if __name__ == "__main__":
    main()
