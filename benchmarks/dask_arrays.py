"""volproc.array.predict against the stage: bits, tasks per block, time; with dask-image; on Dask.

python benchmarks/dask_arrays.py            # a volume of 32 x 96 x 96 voxels of 50 nm
"""

import resource
import tempfile
import time

import dask_image.ndfilters as ndfilters
import dask_image.ndmeasure as ndmeasure
import numpy as np
from distributed import Client, LocalCluster

import volproc
from volproc.config.cluster import ClusterOptions

SHAPE, NM, BLOCK = (32, 96, 96), (50.0, 50.0, 50.0), (32, 48, 48)
SERIAL = ClusterOptions(kind="serial")


def timed(name, work):
    """What `work` returns, its CPU and wall seconds printed."""
    cpu, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = work()
    now = resource.getrusage(resource.RUSAGE_SELF)
    spent = now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime
    print(f"{name}: {spent:.1f} s CPU, {time.perf_counter() - wall:.1f} s", flush=True)
    return found


def main():
    folder = tempfile.mkdtemp()
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 190, (4, 12, 12)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    values = (coarse + rng.integers(-30, 30, SHAPE)).astype("uint8")
    image = volproc.store(values, f"{folder}/image.zarr", voxel_nm=NM, cluster=SERIAL)
    options = {"fusion": "mean", "block": BLOCK}
    volproc.array.predict(image, voxel_nm=None, **options).blocks[0, 0, 0].compute()  # warm
    made = timed(
        "stage predict",
        lambda: volproc.predict(image, f"{folder}/p.zarr", votes=None, cluster=SERIAL, **options),
    )
    lazy = volproc.array.predict(image.dask(chunks=(32, 40, 40)), voxel_nm=NM, **options)
    layer = lazy.dask.layers[lazy.name]
    print(f"{lazy.npartitions} blocks, {len(layer) / lazy.npartitions:.1f} tasks of ours each")
    found = timed("array.predict, synchronous", lambda: lazy.compute(scheduler="synchronous"))
    print("equal bits:", np.array_equal(found, made[...]))
    threads = timed("array.predict, threads", lambda: lazy.compute(scheduler="threads"))
    print("equal bits:", np.array_equal(threads, made[...]))
    calm = ndfilters.median_filter(image.dask(chunks=(32, 40, 40)), size=(1, 3, 3))
    inside = volproc.array.predict(calm, voxel_nm=NM, **options)
    mean = ndmeasure.mean(inside, inside > 0, 1)
    print("dask-image before and after:", timed("graph", lambda: float(mean.compute())))
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        away = timed("on a LocalCluster", lambda: client.compute(lazy).result())
        print("equal bits:", np.array_equal(away, made[...]))


if __name__ == "__main__":
    main()
