"""What 16 bits do to an answer, emulated on a CPU by autocast, whose numbers a GPU's weights give.

    python benchmarks/sixteen_bits.py DATA FOLDER [--type float16] [--side 256] [--passes 8]

Planes of the cell of DATA/hela-roi329 and of a phantom, at 50 nm, seen by `nuclei-50nm` and by the
published network with random weights (spread so that answers fill 0 to 255, the worst case).
Answers are whole numbers of 255, in five ways, each with the network's whole halo:

    A   tiles of 128 pixels from 0 on            B   tiles of 128 from 64 on
    C   tiles of 192 from 0 on, and every convolution sums its channels in another order,
        as another kernel of a GPU would
    D   the same, in two halves that are rounded to 16 bits each before they are added: more than
        any kernel that sums in float32 can differ
    S   tiles of 128 with half the halo: a seam, which a certificate has to find

Printed: of A against B, C, D, S in 16 bits, and of 16 bits against float32, how many votes differ
by 0, 1, 2, ... steps of 255, and how many change sides of 0.5; of bits against float32 also Dice.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import volproc
from volproc import ClusterOptions, IngestOptions, PhantomOptions
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.model.etchacell import EtchACell
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import SHIPPED
from volproc.model.normalisation import Normalisation
from volproc.model.output_window import OutputWindow
from volproc.model.predictor import without_batch_norm
from volproc.model.unet import UNet
from volproc.model.weights import load_model
from volproc.stages.inference.batches import BatchLimit
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import Layout
from volproc.stages.inference.votes import vote
from volproc.stages.volume_sample import volume_constants
from volproc.volume.resampling import read_resampled, resampling_to
from volproc.volume.store import Volume, open_volume

Votes = npt.NDArray[np.uint8]
Look = Callable[..., Votes]
MODEL_NM = VoxelNm((50.0, 50.0, 50.0))
SERIAL = ClusterOptions(kind="serial")
COUNTED = 12


def published() -> EtchACell:
    """Random weights with which every pixel within its reach counts."""
    torch.manual_seed(4)
    network = EtchACell(EtchACellSpec()).eval()
    for value in network.parameters():
        if value.ndim == 4:
            nn.init.kaiming_normal_(value, a=0.1)
    network.head.weight.data *= 0.5
    network.head.bias.data.zero_()
    return network


class Reordered(nn.Module):
    """A convolution that sums over its input channels in another order."""

    def __init__(self, layer: nn.Conv2d, order: Tensor) -> None:
        super().__init__()
        self.layer, self.order = layer, order
        layer.weight = nn.Parameter(layer.weight[:, order], requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.layer(values[:, self.order])
        return answer


class Halved(nn.Module):
    """A convolution in two halves of its input channels, in another order."""

    def __init__(self, layer: nn.Conv2d, order: Tensor) -> None:
        super().__init__()
        middle = len(order) // 2
        self.one = Reordered(copy.deepcopy(layer), order[:middle])
        self.other = Reordered(copy.deepcopy(layer), order[middle:])
        self.other.layer.bias = None

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.one(values) + self.other(values)
        return answer


def changed(module: nn.Module, kind: type[Reordered] | type[Halved]) -> nn.Module:
    """A copy of `module` with its convolutions summed as `kind` does: the same but for rounding."""
    new = copy.deepcopy(module)
    for part in [*new.modules()]:
        for name, layer in [*part.named_children()]:
            if isinstance(layer, nn.Conv2d) and layer.in_channels > 1:
                setattr(part, name, kind(layer, torch.randperm(layer.in_channels)))
    return new


def answers(module: nn.Module, bits: torch.dtype | None) -> Callable[..., Tensor]:
    """As `model/predictor.py` does on a GPU but for rounding, in 16 `bits`, or in float32."""

    def predict(planes: Tensor, constants: Normalisation, wanted: OutputWindow) -> Tensor:
        normal = constants.apply(planes).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=bits, enabled=bits is not None):
            logits = module(normal, wanted)
        return torch.sigmoid(logits.float())

    return predict


def looking(
    image: Volume, layout: Layout, core: Box, constants: Normalisation, module: nn.Module
) -> Look:
    """look(tile=..., offset=..., halo=..., bits=...): votes of `core` along z by these tiles."""
    way = resampling_to(image.info, MODEL_NM)

    def look(*, tile: int, offset: int, bits: torch.dtype | None, halo: int, other=None) -> Votes:
        cut = replace(layout, tile=(tile,) * 3, offset=(0, offset, offset), halo=halo)
        window = cut.window(core, "z")
        found = vote(
            read_resampled(image, way, window).round().to(torch.uint8),
            origin=window,
            core=core,
            axes="z",
            outputs=(0,),
            layout=cut,
            predict=answers(other or module, bits),
            constants=constants,
            limit=BatchLimit(tiles=1, pixels=2**30),
        )
        return found[0, 0].numpy()

    return look


def row(name: str, first: Votes, other: Votes) -> None:
    """Print how far two answers are apart."""
    apart = np.abs(first.astype(np.int16) - other)
    counts = np.bincount(apart.ravel(), minlength=COUNTED)
    shares = [
        f"{n / apart.size:.2g}" if n else "" for n in (*counts[:COUNTED], *[counts[COUNTED:].sum()])
    ]
    here, there = first >= 128, other >= 128
    changed = 100 * np.count_nonzero(here != there) / apart.size
    dice = 2 * np.count_nonzero(here & there) / max(1, here.sum() + there.sum())
    print(
        f"| {name} | {apart.size / 1e6:.2f} | {apart.max()} | {apart.mean():.3f} | {changed:.4f}% "
        f"| {dice:.5f} | {' | '.join(shares)} |",
        flush=True,
    )


def measure(
    image: Volume, module: UNet | EtchACell, bits: torch.dtype, side: int, passes: int
) -> None:
    """Print the rows of one network on one volume."""
    spec = module.spec
    folded = without_batch_norm(module).to(memory_format=torch.channels_last)
    shape = resampling_to(image.info, MODEL_NM).shape_out
    layout = lay_out(
        shape,
        halo=spec.halo,
        stride=spec.stride,
        slices_in=spec.slices_in,
        slices_out=spec.slices_out,
        tile=(128,) * 3,
    )
    first = shape[0] // 2 // spec.slices_out * spec.slices_out
    core = Box((first, 0, 0), (first + passes * spec.slices_out, side, side))
    look = looking(image, layout, core.clip(Box((0, 0, 0), shape)), volume_constants(image), folded)
    plain = look(tile=128, offset=0, bits=bits, halo=spec.halo)
    row("float32", look(tile=128, offset=0, bits=None, halo=spec.halo), plain)
    row("B", look(tile=128, offset=64, bits=bits, halo=spec.halo), plain)
    half = spec.halo // 2 // spec.stride * spec.stride
    row(f"S {half}", look(tile=128, offset=0, bits=bits, halo=half), plain)
    torch.manual_seed(0)
    for name, kind in (("C", Reordered), ("D", Halved)):
        other = changed(folded, kind)
        row(name, look(tile=192, offset=0, bits=bits, halo=spec.halo, other=other), plain)


def volumes(data: Path, folder: Path) -> dict[str, Volume]:
    """The cell and a phantom."""
    cell, phantom = str(folder / "cell.zarr"), str(folder / "phantom.zarr")
    how = IngestOptions(voxel_nm=(50, 40, 40), match_slices=True)
    volproc.ingest(str(data / "hela-roi329" / "raw_40nm.tif"), cell, how, cluster=SERIAL)
    made = PhantomOptions(shape=(128, 384, 384), voxel_nm=MODEL_NM, seed=7)
    volproc.phantom(phantom, made, cluster=SERIAL)
    return {"cell": open_volume(cell), "phantom": open_volume(phantom)}


def main() -> None:
    """Print a table for every volume and network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--type", choices=["bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--passes", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    bits = getattr(torch, given.type)
    networks = {"nuclei-50nm": partial(load_model, SHIPPED / "nuclei-50nm"), "published": published}
    for place, image in volumes(given.data, given.folder).items():
        for name, make in networks.items():
            made = make()
            module = made[0] if isinstance(made, tuple) else made
            heavy = name == "published"
            passes, side = (1, min(128, given.side)) if heavy else (given.passes, given.side)
            print(f"\n{name}, {place}, {given.type}")
            with torch.inference_mode():
                measure(image, module, bits, side, passes)


if __name__ == "__main__":
    main()
