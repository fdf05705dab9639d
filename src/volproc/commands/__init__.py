"""Every stage as one function, a file each: paths and options in, a finished volume or table out.

What the command line does for one stage, for Python. The record of what is done lies beside the
output (OUT.zarr.volproc/), so a call that was interrupted goes on when it is made again.
"""
