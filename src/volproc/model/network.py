"""A network as predict sees it: what it needs and costs, whatever file it comes from.

A `Network` has no weights; it is small, frozen and travels to the workers, which `load` it.
All of them take planes (N, slices_in, H, W) of raw voxels and predict probabilities
(N, classes, slices_out, h, w) for the requested rows and columns of the central planes; of a 3D
network the planes are its depth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy.typing as npt

from volproc.model.output_window import OutputWindow

if TYPE_CHECKING:
    from torch import Tensor


class Constants(Protocol):
    """The constants of a volume that bring its voxels to what a network expects."""

    def apply(self, values: Tensor) -> Tensor:
        """`values` prepared, float32, each voxel by constants that no tile can change."""


Predict: TypeAlias = "Callable[[Tensor, Any, OutputWindow], Tensor]"
"""Raw planes (N, slices_in, H, W), the volume's `Constants`, and the rows and columns requested,
multiples of the stride -> their probabilities (N, classes, slices_out, h, w), float32."""


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """All there is to know about a network without its weights."""

    name: str
    source: str
    """The folder or file `load` reads."""
    voxel_nm: tuple[float, float, float]
    """Voxel size (z, y, x) in nm at which it sees the image."""
    slices_in: int
    slices_out: int
    halo: int
    """Context in pixels a tile needs on each side in plane, a multiple of `stride`."""
    stride: int
    """Tile origins and sizes are multiples of this many pixels."""
    digest: str
    """Names the weights and everything else that predictions depend on."""
    classes: tuple[str, ...] = ()
    axes: str = "zyx"
    """Axes along which its predictions were validated."""
    fusion: str = "mean"
    """How the votes of several axes are fused, unless the user asks for another way."""
    notes: tuple[str, ...] = ()
    """One line each on what users should know, such as that tiles will show."""
    most_pixels: int | None = None
    """The longest side in pixels that it takes, if there is one: a tile and its halo."""
    weight_bytes: int = 0
    """Memory of the loaded weights."""

    @abstractmethod
    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Floating-point operations for planes of that size, 2 per multiply-add.

        `requested` are the height and width of the output, all if None.
        """

    @abstractmethod
    def activation_bytes(self, height: int, width: int) -> int:
        """Memory for planes of that size, an upper estimate."""

    @abstractmethod
    def constants_from(self, sample: npt.NDArray[Any], *, match_greys: bool = False) -> Constants:
        """The volume's constants from a sample of it; VolumeError where there are none.

        `match_greys` gives it the distribution of grey values that the network learnt from;
        ModelError where nobody stated that.
        """

    @abstractmethod
    def load(self, device: str, *, exact: bool = False) -> Predict:
        """The network on `device`; ModelError if it is not the one described here.

        `exact`: in float32 also where it would be in 16 bits, on a GPU.
        """
