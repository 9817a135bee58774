"""Crystals from files: published datasets, anybody's files, and what is checked before they are used."""
