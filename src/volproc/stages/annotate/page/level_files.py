"""Level sets of all slices as files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from volproc.drawing import SliceVotes
from volproc.grid.blocks import Block
from volproc.stages.annotate.page.slice_pictures import DrawnSlice, level_panel_of, level_picture
from volproc.stages.annotate.quality.ground_truth import box_of_slice
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.annotate.tasks import Drawings
from volproc.volume.file_io import write_file
from volproc.volume.store import Volume

MAX_NAME = 80
"""Characters of a region's name in that of a file."""


def shown_slice(votes: SliceVotes, image: Volume | None, nm: tuple[float, float]) -> DrawnSlice:
    """The image that volunteers saw, without their lines; a blank one if there is none."""
    shown = image.read(box_of_slice(votes))[0] if image else None
    blank = np.broadcast_to(np.uint8(0), votes.shape_yx)
    pixels = blank if shown is None else shown
    return DrawnSlice(SliceQuality.of(votes), pixels, (), (), nm, blank=shown is None)


@dataclass(frozen=True)
class DrawLevels:
    """Task: an SVG for each slice of each region that has votes, into `folder`."""

    drawings: Drawings
    image: Volume | None
    folder: str

    def load(self, block: Block) -> list[tuple[SliceVotes, DrawnSlice]]:
        """The votes, and the images they are on."""
        found = self.drawings.on(block)
        return [(votes, shown_slice(votes, self.image, self.drawings.nm)) for votes in found]

    def compute(self, block: Block, loaded: list[tuple[SliceVotes, DrawnSlice]]) -> dict[str, str]:
        """Names of files and what goes into them."""
        found, on_slice = {}, Counter[int]()
        for votes, drawn in loaded:
            on_slice[votes.z] += 1
            name = file_name(votes.region, votes.z, on_slice[votes.z])
            found[name] = level_picture(level_panel_of(drawn, self.drawings.level_sets(votes)))
        return found

    def store(self, block: Block, result: dict[str, str]) -> list[str]:
        """Write the files; their names."""
        for name, text in result.items():
            write_file(f"{self.folder}/{name}", text.encode())
        return list(result)


def file_name(region: str, z: int, number: int) -> str:
    """Of a picture: slice, region (letters, digits, - and _ only), and which one of the slice.

    >>> file_name("ROI_1-2-3", 7, 1), file_name("../a b", 7, 2)
    ('z0007_ROI_1-2-3.svg', 'z0007-2_a-b.svg')
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", region).strip("-")[:MAX_NAME] or "region"
    return f"z{z:04}{f'-{number}' if number > 1 else ''}_{safe}.svg"
