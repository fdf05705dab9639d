"""[report]: the page at the end of a run."""

from __future__ import annotations

from volproc.config.options import Count, Options


class ReportOptions(Options):
    """The page at the end."""

    title: str = ""
    """Heading of the page; by default the name of the source."""
    slices: Count = 3
    """Pictures along each axis."""
