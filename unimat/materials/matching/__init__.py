"""Which crystals are the same."""
