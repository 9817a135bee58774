"""A run packed for a machine that has an accelerator and nothing of ours, and what it gives back."""
