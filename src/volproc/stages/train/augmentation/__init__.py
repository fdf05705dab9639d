"""Changes to patches that do not change what they show: whole batches, on any device.

    RawPatches ─ mirrored, sections shifted ─ normalised ─ grey values ─ sections ─ warped, turned
               ─ blur, noise ─> Batch

What becomes of a patch depends on the seed, the step and the number of the patch, and on no other
patch of its batch. Each kind of change draws from streams of its own (`streams.py`), so switching
one off leaves the others as they are.
"""
