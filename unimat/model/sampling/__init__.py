"""Sampling, from a finished model to a set of crystals."""
