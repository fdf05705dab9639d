"""Networks for the tests, and `Arithmetic` in float64: whole numbers, so nothing is rounded."""

import hashlib

import torch
from torch.nn import functional

from volproc.model.int8.layers import ZERO, save_layers, walk, zero_of
from volproc.model.int8.quantising import quantise
from volproc.model.normalisation import Normalisation
from volproc.model.output_window import regions
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec

CONSTANTS = Normalisation(128.0, 50.0)


class Exact:
    def __init__(self, layers, spec):
        self.layers, self.spec = layers, spec

    def convolution(self, values, name):
        side = self.layers[name].weight.shape[-1]
        step, pad = max(1, side // 3), side // 3
        sums = functional.conv2d(values, self._weight(name), stride=step, padding=pad)
        found = self._scaled(sums, name)
        return found if name == "head" else self._rounded(found.relu(), zero_of(name, self.spec))

    def lift(self, values, name):
        sums = functional.conv_transpose2d(values, self._weight(name), stride=2)
        return self._rounded(self._scaled(sums, name), ZERO)

    def pool(self, values):
        return functional.max_pool2d(values, 2)

    def join(self, skip, lifted):
        return torch.cat([skip, lifted], dim=1)

    def add(self, skip, lifted, name):
        return self._rounded(skip + lifted, zero_of(name, self.spec))

    def part(self, values, region, seen):
        return region.of(values, seen)

    def _weight(self, name):
        return torch.from_numpy(self.layers[name].weight).double()

    def _scaled(self, sums, name):
        bias, step = (
            torch.from_numpy(value).double().view(-1, 1, 1)
            for value in (self.layers[name].bias, self.layers[name].step)
        )
        return (sums + bias) * step

    def _rounded(self, values, zero):
        return values.round().clamp(-zero, 255 - zero)


def exact_head(layers, spec, planes, requested=None):
    """The head's output, float64, from uint8 planes (N, C, H, W)."""
    kept = regions(requested, planes, levels=len(spec.widths), reach=spec.convs_up, stem=spec.stem)
    return walk(Exact(layers, spec), spec, planes.double() - ZERO, kept)


def network(seed=1, **more):
    """As if trained: no running mean of 0 and spread of 1."""
    torch.manual_seed(seed)
    found = UNet(UNetSpec(**{"slices_in": 4, "slices_out": 2, "widths": (6, 9, 11), **more})).eval()
    for part in found.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
    return found


def noise(*shape, seed=0):
    """Smooth uint8 noise, as images are."""
    chance = torch.Generator().manual_seed(seed)
    rough = torch.randn(shape, generator=chance)
    smooth = functional.avg_pool2d(rough, 3, stride=1, padding=1)
    return (128 + 50 * smooth / smooth.std()).clamp(0, 255).to(torch.uint8)


def quantised_network(seed=1, **more):
    """A network, and its layers by planes of noise."""
    found = network(seed, **more)
    planes = noise(1, found.spec.slices_in, 64, 64, seed=9)
    return found, quantise(found, [(planes, CONSTANTS)], name="tiny")


def written(folder, layers):
    """The digest of the layers' file in a model's folder."""
    data = save_layers(layers)
    (folder / "int8.safetensors").write_bytes(data)
    return hashlib.sha256(data).hexdigest()
