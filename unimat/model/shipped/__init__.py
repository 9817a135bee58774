"""Models that ship or are shared: files of parameters and their cards."""
