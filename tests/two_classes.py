"""A scene of bright and of dark balls, and a network made by hand that knows them by their grey."""

import numpy as np
import torch

from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import card_for, save_model

CLASSES = ("bright organelle", "dark organelle")
PLACES = {
    220: ((10, 12, 12), (10, 34, 30), (22, 12, 40)),
    40: ((10, 12, 36), (22, 36, 12)),
}
"""Grey value of balls, and where their middles are; voxels of 50 nm."""
RADIUS_NM = 300.0
SHAPE = (32, 48, 52)


def scene(voxel_nm=(50, 50, 50)):
    """The image, and its truth: 1 for bright, 2 for dark."""
    shape = [round(n * 50 / nm) for n, nm in zip(SHAPE, voxel_nm, strict=True)]
    middles = [(np.arange(n) + 0.5) * nm for n, nm in zip(shape, voxel_nm, strict=True)]
    z, y, x = np.meshgrid(*middles, indexing="ij")
    image = np.random.default_rng(7).normal(128, 8, shape)
    truth = np.zeros(shape, np.uint8)
    for label, (grey, places) in enumerate(PLACES.items(), start=1):
        for place in places:
            dz, dy, dx = (a - 50 * (b + 0.5) for a, b in zip((z, y, x), place, strict=True))
            inside = dz**2 + dy**2 + dx**2 < RADIUS_NM**2
            image[inside] += grey - 128
            truth[inside] = label
    return image.clip(0, 255).astype(np.uint8), truth


def save_two_classes(folder, *, voxel_nm=(50, 50, 50), planes=1, **card):
    """A model folder: one convolution of 3 x 3 whose first channel is what is brighter than usual,
    the other what is darker."""
    spec = UNetSpec(
        slices_in=planes, slices_out=1, widths=(2,), stem=1, convs_down=1, classes=len(CLASSES)
    )
    network = UNet(spec).eval()
    convolution, head = network.down[0][0], network.head
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, planes // 2, 1, 1] = 1
        convolution.weight[1, planes // 2, 1, 1] = -1
        head.weight.copy_(8 * torch.eye(2).view(2, 2, 1, 1))
        head.bias.fill_(-16)
    card = {"name": "two", "classes": CLASSES, **card}
    save_model(folder, network, card_for(spec, voxel_nm=voxel_nm, **card))
    return folder
