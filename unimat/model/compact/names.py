"""Names that training, sampling and the compact network share."""

OCCUPANCY = "occupancy"  # entry of the parameters: the model of compositions
TEMPLATE_LAYER = "template_in"  # entry of the parameters, of networks that can be shown templates
TEMPLATE = "template"  # entry of the conditions: (B, 2), whether there is a template, and whether the path starts there
CELLS = "cells"  # entry of the conditions: (B, A) int, the cell of each atom, -1 where there is none
