"""[report]: the page at the end of a run."""

from __future__ import annotations

from volproc.config.options import Count, Options


class ReportOptions(Options):
    """The page at the end."""

    title: str = ""
    """Heading of the page; by default the name of the source."""
    slices: Count = 3
    """Pictures along each axis."""
    rows: Count = 500
    """Objects in the page's table, each with a picture: of more, the most doubtful and the largest.
    objects.csv has all."""
    in_space: bool = True
    """Show the objects in space, from all around."""
