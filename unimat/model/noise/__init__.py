"""Noise on crystals: schedules, what is predicted, losses, and the way back (samplers)."""
