"""Volume electron microscopy to labelled objects."""

__version__ = "0.1.0"
