"""What labelling and nuclei share: components of a block, and small tables on disk."""
