"""The configuration of a run: read, and checked whole before any job; for the workflow and `unimat doctor` alike.

Nothing here imports JAX, pymatgen or torch, so that an answer takes a second.
"""
