"""The seam certificate: places predicted again with other tiles, and compared with what is written.

With a halo as large as the network's reach tiles cannot show: a prediction is the same wherever its
tile begins. So half of the places are chosen across a border of the run's tiles or blocks and lie
within one tile the second time; the other half, anywhere, get a border through their middle.

         run    ----tile----|----tile----        |--------tile--------|
         again         |--tile--|                   |--tile-|-tile--|
                        a border                       elsewhere

On a GPU the run is in 16 bits, whose rounding would hide a small seam. There each place is
predicted twice in float32, by other tiles and by the run's, which shows seams as sharply as on a
CPU; and the second look is compared with what is written, which shows what 16 bits did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ModelError
from volproc.fusion import level_of
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each
from volproc.lazy import lazy
from volproc.stages.inference.tiling import Layout
from volproc.stages.predict.cost import cost_of
from volproc.stages.predict.seam_certificate import Certificate, certificate_of, failure
from volproc.stages.predict.task import Predict, Votes
from volproc.volume.file_io import sibling, write_file
from volproc.volume.store import Volume

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

SIDE = 64
"""Voxels of a side of a place, rounded up to twice the network's stride."""
ENDING = "-certificate.json"
"""Of the certificate's name beside the prediction."""
TOLERANCE = 1
"""Steps of 255 by which votes of other tiles may differ: sums of float32 in another order may turn
a rounding."""
WRITTEN_TOLERANCE = 12
"""Steps of 255 by which votes in 16 bits, on a GPU, may differ from those in float32: rounding
alone gave up to 8 where it was emulated (docs/predict.md)."""


@dataclass(frozen=True)
class Place:
    """Voxels that are predicted again with tiles of their own (`layout`)."""

    core: Box
    layout: Layout
    kind: str
    """border, elsewhere, or skipped: in a block that was taken to be empty."""


def places_in(
    layout: Layout,
    blocks: Tiling,
    *,
    count: int,
    seed: int,
    skipped: Sequence[int] = (),
    origin: Shape = (0, 0, 0),
) -> tuple[Place, ...]:
    """Where to predict again: the same for the same `seed`, every other one across a border.

    The first block is at `origin` of the layout's grid; places are counted from there.
    """
    box = Box(origin, each(lambda a, n: a + n, origin, blocks.shape))
    rng = np.random.default_rng(seed)
    side = -(-SIDE // (2 * layout.stride)) * 2 * layout.stride
    borders = [
        (n, at)
        for n in range(3)
        for at in sorted(
            {*_borders(layout.offset, layout.tile, box, n), *_borders(origin, blocks.core, box, n)}
        )
    ]
    found = []
    for number in range(count):
        middle = [a + int(rng.integers(size)) for a, size in zip(origin, box.shape, strict=True)]
        across = bool(borders) and number % 2 == 0
        if across:
            axis, at = borders[int(rng.integers(len(borders)))]
            middle[axis] = at
        around = _around(middle, side, box, layout.stride)
        first = around.start if across else around.grow((side // 2,) * 3).start
        again = replace(layout, tile=(side,) * 3, offset=each(lambda a: a % side, first))
        core = around.clip(box).within(origin)
        none = any(block.index in skipped for block in blocks.over(core))
        found.append(Place(core, again, _kind(across, none)))
    return tuple(found)


def _borders(first: Shape, step: Shape, box: Box, n: int) -> range:
    """Where, inside of a box, parts end that begin at `first`."""
    begin = (box.start[n] - first[n]) // step[n] * step[n] + first[n] + step[n]
    return range(begin, box.stop[n], step[n])


def _around(middle: Sequence[int], side: int, box: Box, stride: int) -> Box:
    """A cube around `middle` that begins on a multiple of the stride and meets the box."""

    def first(at: int, begin: int, end: int) -> int:
        begin = begin // stride * stride
        last = begin - (begin - max(begin, end - side)) // stride * stride
        return min(max(begin, at - side // 2) // stride * stride, last)

    start = each(first, middle, box.start, box.stop)
    return Box(start, each(lambda a: a + side, start))


def _kind(across: bool, skipped: bool) -> str:
    return "skipped" if skipped else "border" if across else "elsewhere"


@dataclass(frozen=True)
class Looks:
    """A place: for the other tiles, the votes that are written, and for the run's own tiles."""

    other: Any
    written: Votes | None
    own: Any


@dataclass(frozen=True)
class Recompute:
    """Task: one place predicted again, and compared with the votes and the prediction on disk.

    Votes that were not written are made again with the run's own tiles, as the run made them.
    """

    predict: Predict
    places: tuple[Place, ...]

    def _again(self, block: Block) -> Predict:
        return replace(self._own, layout=self.places[block.index].layout)

    @property
    def _own(self) -> Predict:
        """By the run's tiles, though the place may look empty where its block did not."""
        return replace(self.predict, empty=None)

    @property
    def _rounded(self) -> bool:
        """Whether the run was in 16 bits."""
        return self.predict.device == "cuda"

    def load(self, block: Block) -> Looks:
        """The image for the other tiles; the votes; the image for the run's tiles."""
        votes = self.predict.votes
        return Looks(
            self._again(block).load(block),
            self._written(votes, block) if votes else None,
            self._own.load(block) if self._rounded or votes is None else None,
        )

    def _written(self, votes: Volume, block: Block) -> Votes:
        """Votes (classes, axes, z, y, x), the axes in the order in which they are predicted."""
        values = votes.read(block.core)  # a single channel has no axis in a volume that was read
        found = values.reshape(self.predict.zeros(block).shape)
        return found[:, ::-1]

    def compute(self, block: Block, loaded: Looks) -> tuple[Votes, Votes, Votes]:
        """The votes by other tiles; by the run's tiles; and those of the run."""
        run = loaded.written
        if run is None:
            run = self._looked(self._own, block, loaded.own)
        with float32_products():
            again = self._looked(self._again(block), block, loaded.other, exact=True)
            first = run
            if self._rounded:
                first = self._looked(self._own, block, loaded.own, exact=True)
        return again, first, run

    def _looked(self, by: Predict, block: Block, given: Any, *, exact: bool = False) -> Votes:
        if given is None:  # outside the mask
            return self.predict.zeros(block)
        votes: Votes = by.vote(block, given, exact=exact).cpu().numpy()
        return votes

    def store(self, block: Block, result: tuple[Votes, Votes, Votes]) -> dict[str, Any]:
        """How they differ; nothing is written."""
        again, first, run = result
        options = self.predict.options
        apart = _apart(again, first)
        fused = self.predict.fused_classes(torch.from_numpy(np.array(again))).numpy()
        level = level_of(options.threshold)
        written = self.predict.output.read(block.core)
        return {
            "kind": self.places[block.index].kind,
            "start": list(block.core.start),
            "largest": int(apart.max()),
            "written_largest": int(_apart(first, run).max()),
            "sum": int(apart.sum()),
            "votes": int(apart.size),
            "changed": int(np.count_nonzero((fused >= level) != (written >= level))),
            "voxels": int(fused.size),
        }


def _apart(one: Votes, other: Votes) -> npt.NDArray[np.int16]:
    found: npt.NDArray[np.int16] = np.abs(one.astype(np.int16) - other)
    return found


@contextmanager
def float32_products() -> Iterator[None]:
    """Within it a GPU multiplies float32 as such, not rounded to TF32's 11 bits."""
    cudnn, before = torch.backends.cudnn, torch.backends.cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def certificate_step(predict: Predict, places: tuple[Place, ...], *, digest: str) -> Step:
    """The step that predicts `places` again and compares them with what `predict` wrote."""
    costs = [cost_of(place.core, replace(predict, layout=place.layout)) for place in places]
    # the run's own tiles: as it was where its votes were not written, and on a GPU in float32
    own = (predict.votes is None) + (predict.device == "cuda")
    costs += own * [cost_of(place.core, predict) for place in places]
    return Step(
        name="certify",
        task=Recompute(predict, places),
        blocks=[Block(n, place.core, place.core) for n, place in enumerate(places)],
        digest=digest,
        peak_bytes=max(cost.peak_bytes for cost in costs),
        on_gpu=predict.device == "cuda",
        bytes_read=sum(cost.bytes_read for cost in costs),
        flop=sum(cost.flop for cost in costs),
    )


def run_certificate(
    predict: Predict, places: tuple[Place, ...], runner: Runner, *, digest: str
) -> Certificate:
    """The certificate, also written beside the prediction; ModelError if it does not pass."""
    records = runner.run(certificate_step(predict, places, digest=digest))
    found = certificate_of(
        records,
        tolerance=TOLERANCE,
        written_tolerance=WRITTEN_TOLERANCE if predict.device == "cuda" else None,
        halo=str(predict.options.halo),
    )
    url = predict.output.info.url
    kept = {"digest": digest, **asdict(found)}
    write_file(sibling(url, ENDING), json.dumps(kept, indent=1).encode())
    if found.passed is False:
        raise ModelError(failure(found, predict.network, url))
    return found
