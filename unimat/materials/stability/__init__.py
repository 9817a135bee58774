"""Energies above hulls, and what they are worth."""
