"""Crystals of a composition by substitution of elements in known crystals."""
