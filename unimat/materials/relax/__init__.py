"""Relaxation of sets, in shards, by engines that declare what their energies mean."""
