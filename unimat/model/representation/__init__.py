"""Crystals as compact arrays and as tensors over the periodic table, and files of them."""
