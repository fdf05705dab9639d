"""Boxes, blocks, halos and voxel sizes: frozen values and pure functions, in voxels and nm."""
