"""Metrics of a set of crystals that need no energy: validity, coverage, distributions, uniqueness, novelty."""
