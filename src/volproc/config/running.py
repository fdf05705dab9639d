"""Tables about a whole run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from volproc.config.options import Crop, FilePath, NotNegative, Options


class RunOptions(Options):
    """What the whole run works on."""

    source: FilePath = ""
    """The image: a file, a folder of slices, a URL of either, an OME-Zarr, an EMPIAR accession."""
    folder: FilePath = "run"
    """Where everything is written: volumes, tables, the report, and the record of what is done. A
    path, or a URL: s3://bucket/run."""
    box: Crop = ""
    """Work on this part of the image only, for a first try: voxels ("0:64,0:512,0:512"), lengths
    ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). The first stage of the run takes it that
    has a box: ingest, filter or predict."""


class ClusterOptions(Options):
    """Who does the work."""

    kind: Literal["local", "serial"] = "local"
    """local: Dask workers on this machine. serial: this process alone, for debugging."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0 is one per core. Where the network runs on GPUs: see gpu_workers."""
    gpu_workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes while the network runs on GPUs, dealt out to them; 0 is one per GPU, but no
    more than `workers` where that is given."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Blocks one worker has in hand, of which it computes one while the others are read or written;
    0 is 4 on a GPU, else 1."""
    worker_memory_gb: NotNegative = 0.0
    """Memory of one worker in GB (10^9 bytes); 0 shares 90% of the machine among them."""

    @property
    def worker_bytes(self) -> int:
        """`worker_memory_gb` in bytes."""
        return int(self.worker_memory_gb * 10**9)
