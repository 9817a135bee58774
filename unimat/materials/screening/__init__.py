"""Which crystals are worth a dearer engine, and what it costs."""
