"""Devices, processes, signals and speed."""
