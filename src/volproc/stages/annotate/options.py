"""[annotate]: labels from volunteers' drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from volproc.config.options import Count, FilePath, Options, Positive, Triple


class AnnotateOptions(Options):
    """From volunteers' drawings to labels."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "truth": "ground_truth",
        "truth_labels": "ground_truth_labels",
        "fewest_votes": "min_votes",
    }

    export: FilePath = ""
    """In a workflow: the classification export (CSV); by default what [crowd] draws."""
    method: Literal["cria", "cria-2021", "majority", "em", "rasa", "staple"] = "cria"
    """How the drawings on a slice become one: cria is ours, cria-2021 the published one."""
    workflow: tuple[int, ...] = ()
    """Workflow numbers to read from the export; all if empty."""
    workflow_version: tuple[str, ...] = ()
    """Workflow versions to read, as "4.4", or "4" for all of 4; all if empty."""
    task: tuple[str, ...] = ()
    """Tasks that hold drawings, as "T0"; all that hold any if empty."""
    tool: tuple[int, ...] = ()
    """Numbers of the drawing tools to read; all if empty."""
    bezier_tools: tuple[int, ...] = ()
    """Numbers of classifier 1's tools that draw Bezier curves: exports do not tell them apart."""
    frames: Literal["shown", "all"] = "shown"
    """Drawings on the frame that was shown, or on all frames of a subject."""
    subject_name: str = "Subject ID"
    """Key of the subject's metadata that names it."""
    frame_name: str = "Image {frame}"
    """Key of the metadata that holds a frame's file name; {frame} counts from 0."""
    frame_pattern: str = r"(?P<roi>.+)_z(?P<slice>\d+)\.\w+"
    """How a frame's file name tells the region and the slice."""
    first_slice: Annotated[int, Field(ge=0)] = 1
    """The number in the file names that is the region's first slice."""
    rois: tuple[str, ...] = ()
    """Regions to read; all if empty."""
    manifest: FilePath = ""
    """manifest.csv of `volproc subjects`: where regions lie in the volume."""
    duplicates: Literal["first", "last"] = "first"
    """Which counts of several classifications of one subject by one person."""
    envelope_nm: Positive = 70.0
    """Width of the envelope that is drawn along the outline; nm."""
    close_nm: Positive = 1000.0
    """cria: stroke ends farther apart than this are not joined by a straight line; nm."""
    min_votes: Count = 3
    """Slices on which fewer looked are marked to be ignored."""
    skills: bool = True
    """cria: weigh each volunteer by how well they agree with the others on many slices."""
    along_z: bool = False
    """Replace a slice on which the crowd failed by what its neighbours say."""
    voxel_nm: Triple | None = None
    """Voxel size in nm (z, y, x), where there is no image and the export does not state it."""
    ground_truth: FilePath = ""
    """Expert labels of the image's voxel size (OME-Zarr): labels are scored where they cover it."""
    ground_truth_labels: tuple[int, ...] = ()
    """Label values of the truth that are the object; all but 0 if empty."""
    compare: bool = False
    """Try all methods and show them in one table: scores with a truth, else how far they agree."""
    levels: bool = False
    """Also draw each slice with the lines "at least k volunteers inside", as SVG files."""
    block_slices: Count = 16
    """Slices one task works on: fewer take less memory, more make fewer and larger files."""
