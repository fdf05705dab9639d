"""The reference: the network on whole planes, the volume mirrored, no tile and no block.

And random weights of the published network with which every pixel in its reach counts.
"""

import numpy as np
import torch

from volproc.grid.box import Box, whole_box
from volproc.model.etchacell import EtchACell
from volproc.model.weights import card_for, load_model, save_model
from volproc.stages.inference.tiling import oriented
from volproc.stages.volume_sample import volume_constants
from volproc.volume.resampling import read_resampled, resampling_to


def whole_at_once(image, model, *, mirrored, keep=None, flips=False, axes="zyx"):
    """Probabilities times 255 of the axes: float32 (axes, z, y, x)."""
    network, card = load_model(model)
    keep = keep or card.slices_out
    way = resampling_to(image.info, card.voxel_nm)
    stop = [-(-(n + mirrored) // card.stride) * card.stride for n in way.shape_out]
    margin = (card.slices_in - keep) // 2
    votes = []
    for axis in map("zyx".index, axes):
        ends = [(-mirrored, s) for s in stop]
        depth = -(-way.shape_out[axis] // keep) * keep
        ends[axis] = (-margin, depth + margin)
        window = Box(*zip(*ends, strict=True))
        values = read_resampled(image, way, window).round()
        planes = oriented(volume_constants(image).apply(values), "zyx"[axis])
        stacks = planes.unfold(0, card.slices_in, keep).movedim(-1, 1)
        first = (card.slices_out - keep) // 2
        answers = [
            _probability(network, stacks, sides)[:, first : first + keep].flatten(0, 1)
            for sides in ([(), (1,), (2,), (1, 2)] if flips else [()])
        ]
        answer = torch.stack(answers).mean(0)
        inside = whole_box(way.shape_out).shift(tuple(-a for a, _ in ends))
        inside = [
            slice(0, n) if i == axis else s
            for i, (n, s) in enumerate(zip(way.shape_out, inside.slices, strict=True))
        ]
        votes.append(answer.movedim(0, axis)[tuple(inside)].numpy())
    return np.stack(votes) * 255


@torch.inference_mode()
def _probability(network, stacks, sides):
    """Of planes that are turned round along `sides` (1 rows, 2 columns), turned back."""
    turned = [side + 1 for side in sides]
    return torch.sigmoid(network(stacks.flip(turned))).flip(turned)


def save_random(folder, spec):
    """A model folder of the published network: answers spread, and differ far from their cause."""
    network = EtchACell(spec).eval()
    for value in network.parameters():
        if value.ndim == 4:
            torch.nn.init.kaiming_normal_(value, a=0.1)
    network.head.weight.data *= 0.5
    network.head.bias.data.zero_()
    save_model(folder, network, card_for(spec, name="etchacell", voxel_nm=(50, 50, 50)))
    return folder
