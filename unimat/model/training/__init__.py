"""Training, from encoded crystals to a finished model."""
