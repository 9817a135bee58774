"""The published datasets, one module for each publisher."""
