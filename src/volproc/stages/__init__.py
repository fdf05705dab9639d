"""The stages. They meet on disk and never import one another; what several need is beside them."""
