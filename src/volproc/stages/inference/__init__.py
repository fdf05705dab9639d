"""A network over a region: tiles, votes along each axis; shared by predict and train."""
