"""Forms in which other programs judge a set of crystals; `unimat.materials.writers` chooses among them."""
