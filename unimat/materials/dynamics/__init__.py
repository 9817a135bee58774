"""Molecular dynamics of the best crystals: does what was relaxed to a minimum hold at a temperature?"""
