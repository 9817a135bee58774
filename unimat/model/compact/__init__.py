"""Compact UniMat: the same crystal as tokens for its occupied cells of the table, and flow matching on the torus."""
