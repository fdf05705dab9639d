"""Several processes that train one network: each takes a part of every batch.

    process 0   patches 0 1 2 3 ─▶ sums ─┐             ┌─▶ gradients ─┐
                                         ├─▶ one loss ─┤              ├─▶ the same step everywhere
    process 1   patches 4 5 6 7 ─▶ sums ─┘             └─▶ gradients ─┘

The loss is of the whole batch (its sums are added up), and so are the statistics of BatchNorm: what
comes out is what one process would have computed, but for rounding. Gradients travel in one piece,
not in the buckets of torch's DistributedDataParallel: these are cut anew after the first step, so a
training that was resumed would add in another order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from volproc.model.etchacell import PlaneDropout

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes, validates and decides."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Its patches of a batch."""
        return range(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def together(self, sums: Tensor) -> Tensor:
        """The sums over all processes; gradients pass through it."""
        return sums if self.count == 1 else _summed(sums)

    @torch.no_grad()
    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients the mean over all processes.

        Each has those of the sum of all losses with regard to its own part, and all losses are
        the same one: so the mean of the parts' gradients is that of one process.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def from_first(self, value: T) -> T:
        """The first process' value, everywhere."""
        said: list[Any] = [value if self.is_first else None]
        dist.broadcast_object_list(said, src=0)
        first: T = said[0]
        return first

    def first_says(self, *flags: bool) -> tuple[bool, ...]:
        """What the first process says, everywhere."""
        if self.count == 1:
            return flags
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        said = torch.tensor(flags, dtype=torch.uint8, device=device)
        dist.broadcast(said, src=0)
        return tuple(map(bool, said.tolist()))


ALONE = Processes()
"""One process."""


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm with the statistics of all processes' batches, on any device.

    torch's SyncBatchNorm is for GPUs only.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values (N, channels, H, W); running statistics are updated in training."""
        if not self.training:
            return super().forward(values)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        mean, variance, count = _moments(values.float())
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            for kept, newest in ((self.running_mean, mean), (self.running_var, unbiased)):
                assert kept is not None
                kept.lerp_(newest, self.momentum or 0.0)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        normal = values * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return normal.to(values.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and number of values per channel, over all processes."""
    count = values.new_full((1,), values.numel() // values.shape[1])
    sums = _summed(torch.cat([values.sum((0, 2, 3)), count]))
    mean, count = sums[:-1] / sums[-1], sums[-1]
    # of the distances from the mean: the mean of the squares less its square would cancel
    apart = (values - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3))
    return mean, _summed(apart) / count, count


def share_batches(network: nn.Module, processes: Processes, batch: int) -> None:
    """Let BatchNorm see the batches of all processes, and dropout this one's place in a batch."""
    if processes.count == 1:
        return
    for parent in list(network.modules()):
        if isinstance(parent, PlaneDropout):
            parent.first = processes.share(batch).start
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                setattr(parent, name, _shared(layer))


def _shared(layer: nn.BatchNorm2d) -> nn.Module:
    if layer.weight.is_cuda:
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
            layer
        )
        return synchronised
    shared = SharedBatchNorm(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    # the same tensors: the optimiser has them already
    shared.weight, shared.bias = layer.weight, layer.bias
    shared.running_mean, shared.running_var = layer.running_mean, layer.running_var
    shared.num_batches_tracked = layer.num_batches_tracked
    return shared
