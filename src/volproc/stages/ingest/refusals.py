"""What files and options do not allow together: an IngestError of one line for each."""

from __future__ import annotations

from volproc.errors import IngestError
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.stages.ingest.options import IngestOptions
from volproc.stages.ingest.voxel_source import Source
from volproc.volume.creation import provenance_of
from volproc.volume.metadata import VolumeInfo


def required_voxel_nm(source: Source, options: IngestOptions, path: str) -> VoxelNm:
    """The voxel size of the options, or else the one that the files state."""
    voxel_nm, pixels = options.voxel_nm or source.voxel_nm, source.pixel_nm
    if voxel_nm is None:
        known = f" but pixels of {pixels[0]:g} x {pixels[1]:g} nm (y, x)" if pixels else ""
        raise IngestError(
            f"{path} states no voxel size{known}; give it with --voxel-nm Z Y X, or [ingest] "
            "voxel_nm"
        )
    return parse_voxel_nm(voxel_nm)


def refuse_labels_that_change(source: Source, options: IngestOptions, path: str) -> None:
    """Ids are whole numbers, and stay as they are."""
    if options.labels and source.dtype.startswith("float"):
        raise IngestError(
            f"{path} holds {source.dtype} voxels; labels are whole numbers: convert them, or "
            "ingest it as an image"
        )
    if options.labels and (options.match_slices or options.dtype == "uint8"):
        raise IngestError(
            f"{path}: labels are numbers that must not change; drop match_slices and dtype"
        )


def refuse_changed(output: VolumeInfo, options: IngestOptions) -> None:
    """The output was begun from these files, or from none."""
    begun, now = provenance_of(output.url).get("source"), output.provenance["source"]
    if not begun or begun == now or options.changed == "redo":
        return
    was, are = (f"{one['files']} files of {one['bytes']:,} bytes" for one in (begun, now))
    what = f"{was} then, {are} now" if was != are else "other names or dates"
    raise IngestError(
        f"{output.url} was made from files that have changed since ({what}); write to another "
        "place, or remake it with --changed redo, or [ingest] changed"
    )
