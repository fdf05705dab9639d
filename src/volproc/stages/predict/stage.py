"""Plan and run of `predict`: image in, one fused uint8 volume (and the votes) out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod

from volproc.config import PredictOptions
from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ModelError, VolumeError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.model.network import Constants, Network
from volproc.model.normalise import Normalisation
from volproc.model.opening import open_network
from volproc.stages.normalisation import volume_sample
from volproc.stages.output import begin_volume, finish_volume, pyramid_steps
from volproc.stages.predict.infer import batch_for, device_for
from volproc.stages.predict.orientation import along
from volproc.stages.predict.task import SLAB, Predict
from volproc.stages.predict.tiling import Layout, lay_out
from volproc.volume.metadata import VolumeInfo, Window, itemsize, new_volume
from volproc.volume.resample import Resampling, resampling_to
from volproc.volume.store import Volume

MOST_REFINING = 2.0
"""An image with voxels more than this many times coarser than the model's is refused."""


@dataclass(frozen=True)
class PredictPlan:
    """Everything decided about a prediction before a voxel is read."""

    image: VolumeInfo
    output: VolumeInfo
    votes: VolumeInfo | None
    way: Resampling
    layout: Layout
    blocks: Tiling
    network: Network
    options: PredictOptions
    digest: str

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The coarser levels of the prediction."""
        return pyramid_steps(self.output, digest=self.digest, name="prediction")

    @property
    def votes_pyramid(self) -> tuple[Step, ...]:
        """The coarser levels of the votes, if they are kept."""
        return pyramid_steps(self.votes, digest=self.digest, name="votes") if self.votes else ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step(Normalisation(0.0, 1.0)), *self.pyramid, *self.votes_pyramid)

    def step(self, constants: Constants) -> Step:
        """The step that predicts, with the volume's normalisation constants."""
        windows = [self.layout.window(block.core, self.options.axes) for block in self.blocks]
        sources = [self.way.source(window) for window in windows]
        bytes_in = itemsize(self.image.dtype)
        return Step(
            name="predict",
            task=Predict(
                image=Volume(self.image),
                output=Volume(self.output),
                votes=Volume(self.votes) if self.votes else None,
                way=self.way,
                layout=self.layout,
                constants=constants,
                network=self.network,
                options=self.options,
            ),
            blocks=self.blocks,
            digest=self.digest,
            peak_bytes=max(self._peak(w, s) for w, s in zip(windows, sources, strict=True)),
            bytes_read=sum(source.size for source in sources) * bytes_in,
            bytes_written=prod(self.output.shape) * (1 + self._channels),
            flop=sum(self._flop(block) for block in self.blocks),
        )

    @property
    def _channels(self) -> int:
        return len(self.votes.channels) if self.votes else 0

    def _flop(self, block: Block) -> int:
        total = 0
        for axis in self.options.axes:
            for one in self.layout.passes(block.core, axis):  # type: ignore[arg-type]
                _, height, width = along(one.axis, one.window.shape)
                total += self.network.flop(height, width)
        return total

    def _peak(self, window: Box, source: Box) -> int:
        """Bytes of one block: what is read, the resampled window, votes, activations."""
        voxel = 1 if self.image.dtype == "uint8" else 4
        slab = 3 * 4 * SLAB * max(source.size // source.shape[0], window.size // window.shape[0])
        sides = sorted(window.shape)[-2:]
        activations = batch_for(self.options) * self.network.activation_bytes(*sides)
        votes = prod(self.blocks.core) * (2 * len(self.options.axes) + 4)
        encoding = 3 * prod(self.blocks.core) * (1 + self._channels)
        read = source.size * itemsize(self.image.dtype)
        return read + window.size * voxel + slab + votes + max(activations, encoding)


def plan_predict(
    image: VolumeInfo,
    url: str,
    options: PredictOptions,
    *,
    votes_url: str | None = None,
    identity: str = "",
) -> PredictPlan:
    """Decide level, grid, tiles and blocks for predicting `image` into `url`.

    `identity` is the image's digest (`Volume.identity`), part of the plan's own. VolumeError
    or ModelError when image and model cannot meet.
    """
    _require_image(image)
    device_for(options.device)
    network = open_network(options.model)
    voxel_nm = parse_voxel_nm(network.voxel_nm)
    _require_reachable(image, voxel_nm, network)
    way = resampling_to(image, voxel_nm)
    layout = lay_out(
        way.shape_out,
        halo=network.halo,
        stride=network.stride,
        slices_in=network.slices_in,
        slices_out=network.slices_out,
        tile=options.tile,
    )
    block = options.block or layout.tile
    same = partial(
        new_volume,
        shape=way.shape_out,
        voxel_nm=voxel_nm,
        dtype="uint8",
        shards=block,
        window=Window(0, 255, 0, 255),  # probabilities are shown as such, not stretched
    )
    channels = tuple(axis for axis in "xyz" if axis in options.axes)
    lasting = options.model_dump(exclude={"model", "device", "batch", "votes"})
    return PredictPlan(
        image=image,
        output=same(url),
        votes=same(votes_url, channels=channels) if votes_url else None,
        way=way,
        layout=layout,
        blocks=Tiling(shape=way.shape_out, core=block),
        network=network,
        options=options,
        digest=digest("predict", identity, network.digest, lasting, layout, bool(votes_url)),
    )


def run_predict(plan: PredictPlan, runner: Runner) -> Volume:
    """The finished prediction."""
    steps = plan.steps
    outputs = [info for info in (plan.output, plan.votes) if info]
    volumes = [
        begin_volume(runner, info, step="predict", digest=plan.digest, steps=steps)
        for info in outputs
    ]
    image = Volume(plan.image)
    constants = plan.network.constants_from(volume_sample(image))
    written = [volume.info for volume in volumes]
    plan = replace(plan, output=written[0], votes=written[1] if len(written) > 1 else None)
    runner.run(plan.step(constants))
    if plan.votes:
        finish_volume(runner, Volume(plan.votes), plan.votes_pyramid)
    return finish_volume(runner, Volume(plan.output), plan.pyramid)


def _require_image(image: VolumeInfo) -> None:
    if image.kind == "labels":
        raise VolumeError(f"{image.url} is a label volume; predict needs the image it belongs to")
    if len(image.channels) > 1:
        raise VolumeError(
            f"{image.url} has {len(image.channels)} channels ({', '.join(image.channels)}); "
            "predict needs one: ingest the channel you want on its own"
        )


def _require_reachable(image: VolumeInfo, voxel_nm: VoxelNm, network: Network) -> None:
    if any(v > MOST_REFINING * m for v, m in zip(image.voxel_nm, voxel_nm, strict=True)):
        raise ModelError(
            f"model {network.name} works at {list(voxel_nm)} nm, but {image.url} has voxels of "
            f"{list(image.voxel_nm)} nm, more than {MOST_REFINING:g} times coarser; take a model "
            "for coarser voxels, or check the image's voxel size"
        )
