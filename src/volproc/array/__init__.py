"""Lazy dask arrays in and out: predict and label inside a graph of your own, store its result.

    lazy = volproc.open_volume("image.zarr").dask()
    calm = dask_image.ndfilters.median_filter(lazy, size=(1, 3, 3))
    objects = volproc.array.label(
        volproc.array.predict(calm, voxel_nm=(50, 10, 10)), threshold=0.5
    )
    volproc.store(objects, "objects.zarr", voxel_nm=(50, 50, 50), kind="labels")

`predict` and `label` compute nothing: they add a few tasks per block to the graph, which run on
whatever scheduler or client the caller has, and give what the stages give, bit by bit on a CPU.
"""

from volproc.array.lazy_labels import label
from volproc.array.lazy_prediction import constants, predict
from volproc.array.storing import store

__all__ = ["constants", "label", "predict", "store"]
