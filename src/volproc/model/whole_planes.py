"""A network that is compiled once for calls of any size."""

from __future__ import annotations

from torch import Tensor, nn

from volproc.model.output_window import OutputWindow


class WholePlanes(nn.Module):
    """A network, compiled, that computes whole planes, of which the requested pixels are cut out.

    torch.compile makes code of its own for every window that is cut within it: a field of view at
    50 nm has 26 kinds of calls, and after 8 it gives up. Whole planes of any size share one code,
    and single ones another. The price is the decoder's work on the halo: 1.15 times the arithmetic
    of nuclei-50nm in a whole field of view, up to 1.30 times that of Etch-a-Cell's network.
    """

    def __init__(self, network: nn.Module, **how: object) -> None:
        super().__init__()
        self.network = network
        network.compile(dynamic=True, **how)

    def forward(self, planes: Tensor, requested: OutputWindow | None = None) -> Tensor:
        """Logits of the `requested` pixels."""
        logits: Tensor = self.network(planes)
        return logits if requested is None else logits[(..., *requested)]
