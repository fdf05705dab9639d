#!/usr/bin/env python3
"""fsspec against obstore: seconds and requests for the shards of a volume at s3://.

    python benchmarks/object_store.py s3://BUCKET/FOLDER [--rounds 3]

Address and keys come from the AWS_* variables; obstore has to be installed besides volproc.

Each way writes a volume as volproc does, whole shards as objects, and reads it through zarr: its
shards one after the other, and boxes that cut chunks. The best of the rounds counts.
"""

import argparse
import os
import time
from itertools import product

import numpy as np
import s3fs
import zarr
from obstore import put
from obstore.store import S3Store
from zarr.codecs import ZstdCodec
from zarr.storage import FsspecStore, ObjectStore

from volproc.volume.shard import encoded_shard

SHAPE, SHARD, CHUNK = (256, 1024, 1024), (128, 512, 512), (64, 64, 64)
BOX, BOXES = (100, 200, 200), 12


class Fsspec:
    """s3fs behind zarr's FsspecStore, as volproc has it but for the options given here."""

    def __init__(self, url, **options):
        self.path, self.options = url.removeprefix("s3://"), options
        self.plain = s3fs.S3FileSystem(**options)
        self.requests = 0

    def store(self):
        """zarr's store; its requests are counted."""
        filesystem = s3fs.S3FileSystem(asynchronous=True, skip_instance_cache=True, **self.options)
        call = filesystem._call_s3

        async def counted(*given, **more):
            self.requests += 1
            return await call(*given, **more)

        filesystem._call_s3 = counted
        return FsspecStore(filesystem, path=self.path)

    def put(self, key, content):
        """Store one object."""
        self.plain.pipe_file(f"{self.path}/{key}", content)


class Obstore:
    """obstore behind zarr's ObjectStore. It does not say how many requests it makes."""

    requests = 0

    def __init__(self, url):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        there = {
            "endpoint": os.environ.get("AWS_ENDPOINT_URL"),
            "virtual_hosted_style_request": False,
        }
        self.inner = S3Store(bucket, prefix=prefix, client_options={"allow_http": True}, **there)

    def store(self):
        """zarr's store."""
        return ObjectStore(self.inner)

    def put(self, key, content):
        """Store one object."""
        put(self.inner, key, content)


def corners(shape, step):
    """The first voxel of each part of `shape`."""
    return product(*(range(0, n, s) for n, s in zip(shape, step, strict=True)))


def seconds_of(way, shards):
    """Seconds to write all shards, to read them, and to read boxes; the requests of both reads."""
    how = {"shape": SHAPE, "chunks": CHUNK, "shards": SHARD, "dtype": "uint8"}
    zarr.create_array(way.store(), compressors=ZstdCodec(level=1), overwrite=True, **how)
    times, requests = [], []
    began = time.perf_counter()
    for number, content in shards.items():
        way.put(f"c/{'/'.join(map(str, number))}", content)
    times.append(time.perf_counter() - began)
    rng = np.random.default_rng(1)
    boxes = [tuple(rng.integers(0, np.subtract(SHAPE, BOX))) for _ in range(BOXES)]
    array = zarr.open_array(way.store(), mode="r")
    for starts, size in ((list(corners(SHAPE, SHARD)), SHARD), (boxes, BOX)):
        before, began = way.requests, time.perf_counter()
        for start in starts:
            array[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]
        times.append(time.perf_counter() - began)
        requests.append(way.requests - before)
    return times, requests


def main():
    """A line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    values = np.random.default_rng(0).integers(0, 64, SHARD, dtype="uint8")
    content = encoded_shard(values, shard=SHARD, chunk=CHUNK, keep_empty=True)
    numbers = [tuple(a // s for a, s in zip(c, SHARD, strict=True)) for c in corners(SHAPE, SHARD)]
    shards = dict.fromkeys(numbers, content)
    ways = {
        "s3fs, as it comes": Fsspec(f"{given.url}/plain"),
        "s3fs, one stream": Fsspec(f"{given.url}/one", max_concurrency=1),
        "obstore": Obstore(f"{given.url}/obstore"),
    }
    found = {
        name: [seconds_of(way, shards) for _ in range(given.rounds)] for name, way in ways.items()
    }
    stored, voxels = len(content) * len(numbers) / 1e6, np.prod(SHAPE) / 1e6
    print(
        f"{len(numbers)} shards, {stored:.0f} MB stored, {voxels:.0f} raw, {BOXES} boxes of {BOX}"
    )
    for name, rounds in found.items():
        write, read, boxes = np.min([times for times, _ in rounds], axis=0)
        whole, cut = rounds[0][1]
        print(
            f"{name:18} write {stored / write:5.0f} MB/s, read {voxels / read:5.0f} MB/s of voxels "
            f"({whole} requests), boxes {BOXES / boxes:5.1f}/s ({cut} requests)"
        )


if __name__ == "__main__":
    main()
