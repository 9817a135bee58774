"""Relaxations as flows for a remote queue, and their results back."""
