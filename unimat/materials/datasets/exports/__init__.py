"""Forms in which other programs judge a set of crystals; `writers` chooses among them."""
