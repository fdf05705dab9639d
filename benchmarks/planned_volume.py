"""The metadata of a volume without a voxel, to plan with: how long would a run on it take?

    python benchmarks/planned_volume.py fov.zarr 518 8192 8192 --voxel-nm 50 10 10

A plan reads metadata only, so a volume of any size costs two small files.
"""

from __future__ import annotations

import argparse

import zarr


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("url")
    given.add_argument("shape", nargs=3, type=int, metavar="VOXELS")
    given.add_argument("--voxel-nm", nargs=3, type=float, required=True, metavar="NM")
    args = given.parse_args()
    group = zarr.open_group(args.url, mode="w-", zarr_format=3)
    group.create_array(
        "0", shape=args.shape, chunks=(64, 64, 64), shards=(256, 512, 512), dtype="uint8"
    )
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": args.voxel_nm}]
    level = {"path": "0", "coordinateTransformations": scale}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
    print(f"{args.url}: {args.shape} voxels, metadata only")


if __name__ == "__main__":
    main()
