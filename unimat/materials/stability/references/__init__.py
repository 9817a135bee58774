"""Where hull references come from: one module for each kind, and what they share."""
