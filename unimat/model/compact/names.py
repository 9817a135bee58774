"""Names that training, sampling and the compact network share."""

OCCUPANCY = "occupancy"  # entry of the parameters: the model of compositions
CELLS = "cells"  # entry of the conditions: (B, A) int, the cell of each atom, -1 where there is none
