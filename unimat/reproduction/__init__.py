"""What the page of reproduced numbers needs to know of a run: a small JSON file, and pictures."""
