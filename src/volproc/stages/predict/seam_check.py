"""The seam certificate: places predicted again with other tiles, and compared with what is written.

On a GPU the run is in 16 bits, whose rounding would hide a small seam. There each place is
predicted twice in float32, by other tiles and by the run's, which shows seams as sharply as on a
CPU; and the second look is compared with what is written, which shows what 16 bits did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ModelError
from volproc.fusion import level_of
from volproc.grid.blocks import Block
from volproc.lazy import lazy
from volproc.stages.predict.cost import cost_of
from volproc.stages.predict.seam_certificate import Certificate, certificate_of, failure
from volproc.stages.predict.seam_places import Place
from volproc.stages.predict.task import Predict, Votes
from volproc.volume.file_io import sibling, write_file
from volproc.volume.store import Volume

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

ENDING = "-certificate.json"
"""Of the certificate's name beside the prediction."""
TOLERANCE = 1
"""Steps of 255 by which votes of other tiles may differ: sums of float32 in another order may turn
a rounding."""
WRITTEN_TOLERANCE = 12
"""Steps of 255 by which votes in 16 bits, on a GPU, may differ from those in float32: rounding
alone gave up to 8 where it was emulated (docs/predict.md)."""


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
