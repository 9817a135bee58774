"""Universal force fields, by name."""
