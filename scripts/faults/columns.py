"""The stages: what each reads, the command it is given, and the same with another option."""

import os
from dataclasses import dataclass

import numpy as np
import tifffile
import torch

SETTINGS = {
    "VOLPROC_PREDICT__TILE": "[16, 40, 40]",
    "VOLPROC_PREDICT__BLOCK": "[16, 40, 40]",
    "VOLPROC_LABEL__BLOCK": "[16, 16, 16]",
    "VOLPROC_LABEL__MIN_VOLUME_UM3": "0",
    "VOLPROC_INTERIOR__MIN_VOLUME_UM3": "0.01",
    "VOLPROC_INTERIOR__BLOCK": "[16, 64, 64]",
}
RUN = """
[cluster]
kind = "serial"
[label]
threshold = 0.4
[report]
slices = 1
"""
TRAINING = """
[train]
widths = [3, 4]
slices_in = 4
slices_out = 2
patch = 16
batch = 2
steps = 6
checkpoint_steps = 2
validate_steps = 3
device = "cpu"
"""


@dataclass(frozen=True)
class Column:
    """A stage. `source` is the volume that it reads, `writes` the one that it fills."""

    name: str
    make: object
    command: tuple[str, ...]
    other: tuple[str, ...]
    source: str = ""
    writes: str = ""
    held: int = 0
    """Of its steps the one of which a worker holds a block, where one is to be lost."""
    anew: tuple[str, ...] = ("--overwrite",)
    """What lets it replace what it made otherwise."""

    def arguments(self, place, *more):
        """The command's words at a place: IN/x and OUT/x are its volumes there."""
        found = []
        for word in (*self.command, *more):
            key, equals, value = word.rpartition("=")
            at_place = place.url(value) if value.startswith(("in/", "out/")) else value
            found.append(f"{key}{equals}{at_place}")
        return found


def save(place, name, values, *, voxel_nm, chunks, kind):
    """A finished volume, as a stage of volproc leaves one."""
    from volproc import __version__
    from volproc.volume.fingerprint import note_content
    from volproc.volume.metadata import new_volume
    from volproc.volume.store import create_volume

    url = f"{place.root}/{name}"
    info = new_volume(
        url,
        shape=values.shape,
        voxel_nm=voxel_nm,
        dtype=str(values.dtype),
        kind=kind,
        chunks=chunks,
        shards=chunks,
        max_levels=1,
    )
    volume = create_volume(info, step="made", digest=name, version=__version__)
    volume.write(info.box, values)
    note_content(f"{url}.volproc/ledger", volume.info)
    volume.finish()


def stack(place):
    """A stack of slices in one TIFF."""
    values = np.random.default_rng(2).integers(1, 255, (80, 40, 44), dtype=np.uint8)
    path = place.folder / "in" / "stack.tif"
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, values)
    if place.remote:
        place.write("in/stack.tif", path.read_bytes())


def grey(place):
    """An image of which a network makes anything but a constant, and that network."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(60, 190, (2, 10, 10)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    values = (coarse + rng.integers(-40, 40, coarse.shape)).astype(np.uint8)
    save(place, "in/image.zarr", values, voxel_nm=(50, 50, 50), chunks=(16, 40, 40), kind="image")
    tiny_model(f"{place.root}/in/model")


def tiny_model(folder):
    """A network with random weights, as if trained."""
    from volproc.model.unet import UNet
    from volproc.model.unet_spec import UNetSpec
    from volproc.model.weights import card_for, save_model

    torch.manual_seed(1)
    spec = UNetSpec(slices_in=6, slices_out=4, widths=(6, 8), stem=2)
    network = UNet(spec).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 2)
    save_model(folder, network, card_for(spec, name="tiny", voxel_nm=(50, 50, 50)))


def mask(place):
    """Many small components, over the borders of blocks too."""
    found = np.random.default_rng(1).random((32, 32, 32)) < 0.05
    save(place, "in/mask.zarr", found.astype("uint8"), **FINE, chunks=(16, 16, 16), kind="labels")


FINE = {"voxel_nm": (50, 40, 40)}


def ball(shape, voxel_nm, centre, radius):
    """Distances from a centre in nm, as voxels within a radius."""
    grids = np.ogrid[tuple(map(slice, shape))]
    parts = (((g - c) * v) ** 2 for g, c, v in zip(grids, centre, voxel_nm, strict=True))
    return np.sqrt(sum(parts)) <= radius


def envelope(place):
    """Two shells."""
    shape, found = (32, 48, 64), np.zeros((32, 48, 64), np.uint8)
    for centre in ((15, 22, 18), (15, 24, 46)):
        inner, outer = (ball(shape, (50, 40, 40), centre, r) for r in (350, 450))
        found[outer & ~inner] = 255
    save(place, "in/envelope.zarr", found, **FINE, chunks=(16, 24, 32), kind="image")


def objects(place):
    """Three numbered balls, of which one is cut by the border."""
    shape, found = (32, 64, 64), np.zeros((32, 64, 64), np.uint32)
    for number, centre in ((4, (15, 18, 18)), (7, (15, 44, 40)), (2, (0, 50, 12))):
        found[ball(shape, (50, 25, 25), centre, 350)] = number
    save(place, "in/labels.zarr", found, voxel_nm=(50, 25, 25), chunks=(16, 32, 32), kind="labels")


def pair(place):
    """A bright ball and its labels, to learn from."""
    found = ball((12, 40, 40), (50, 25, 25), (6, 20, 20), 250)
    z, y, x = np.ogrid[:12, :40, :40]
    image = (100 + 60 * found + (3 * z + y + x) % 11).astype(np.uint8)
    save(place, "in/image.zarr", image, voxel_nm=(50, 25, 25), chunks=(12, 20, 20), kind="image")
    labels = found[:, ::2, ::2].astype(np.uint16)
    save(place, "in/labels.zarr", labels, voxel_nm=(50,) * 3, chunks=(12, 10, 10), kind="labels")
    (place.folder / "train.toml").write_text(TRAINING)


def whole_run(place):
    """An image, a model, and a workflow in which all stages read and write at the place."""
    grey(place)
    (place.folder / "run.toml").write_text(RUN)


QUIET = ("--serial",)
COLUMNS = {
    one.name: one
    for one in (
        Column(
            "phantom",
            lambda place: None,
            ("phantom", "out/image.zarr", "--shape", "24", "130", "140", *QUIET),
            other=("--seed", "4"),
            writes="out/image.zarr",
        ),
        Column(
            "ingest",
            stack,
            ("ingest", "in/stack.tif", "out/image.zarr", "--voxel-nm", "50", "10", "10", *QUIET),
            other=("--dtype", "uint8", "--grey-range", "0", "200"),
            writes="out/image.zarr",
        ),
        Column(
            "predict",
            grey,
            (
                "predict",
                "in/image.zarr",
                "in/model",
                "out/prediction.zarr",
                "--votes",
                "out/votes.zarr",
                *QUIET,
            ),
            other=("--fusion", "max"),
            source="in/image.zarr",
            writes="out/prediction.zarr",
        ),
        Column(
            "label",
            mask,
            ("label", "in/mask.zarr", "out/objects.zarr", *QUIET),
            other=("--connectivity", "6"),
            source="in/mask.zarr",
            writes="out/objects.zarr",
            held=3,
        ),
        Column(
            "interior",
            envelope,
            ("interior", "in/envelope.zarr", "out/nuclei.zarr", *QUIET),
            other=("--threshold", "0.4", "--envelope-nm", "100"),
            source="in/envelope.zarr",
            writes="out/nuclei.zarr",
        ),
        Column(
            "measure",
            objects,
            ("measure", "in/labels.zarr", "out/measured", "--meshes", "ply", *QUIET),
            other=("--mesh-error-nm", "60"),
            source="in/labels.zarr",
        ),
        Column(
            "train",
            pair,
            (
                *("train", "train.toml", "--images", "in/image.zarr"),
                *("--labels", "in/labels.zarr", "--model-out", "out/model"),
            ),
            other=("--set", "train.seed=5"),
            source="in/image.zarr",
        ),
        Column(
            "run",
            whole_run,
            (
                *("run", "run.toml", "--set", "run.source=in/image.zarr"),
                *("--set", "run.folder=out/run", "--set", "predict.model=in/model"),
            ),
            other=("--set", "label.connectivity=6"),
            source="in/image.zarr",
            writes="out/run/prediction.zarr",
            anew=("--redo", "predict"),
        ),
    )
}


def settle():
    """Options that no flag has, for all commands; one thread, as Dask's workers have."""
    os.environ.update(SETTINGS)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
