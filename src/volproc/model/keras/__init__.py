"""Weights of Etch-a-Cell's network from files of Keras, read by h5py alone."""
