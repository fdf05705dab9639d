"""What stages about objects share: components of a block, numbers and tables of objects."""
