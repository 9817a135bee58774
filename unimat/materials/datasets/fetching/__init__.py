"""Published files, got once, checked by their checksums."""
