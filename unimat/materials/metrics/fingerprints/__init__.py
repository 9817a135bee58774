"""Fingerprints of crystals and of compositions."""
