"""How often a predicted crystal is the true one."""
