"""Volume of a crystal whose elements are exchanged."""

import numpy as np

from unimat.crystal_table import Crystal
from unimat.materials.airss_draws import covalent_radii


def scaled(template: Crystal, moves: dict[int, int], material_id: str, **properties: object) -> Crystal:
    """The template with other elements, its lattice stretched alike in all directions."""
    old = template.atomic_numbers
    new = np.array([moves[int(z)] for z in old])
    radii = covalent_radii()
    factor = (radii[new] ** 3).sum() / (radii[old] ** 3).sum()
    return Crystal(material_id, template.lattice * np.cbrt(factor), new, template.frac_coords, properties)
