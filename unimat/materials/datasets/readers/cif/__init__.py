"""CIF text to crystals.

`document` finds the values, `sites` the atoms, `symmetry` what is said of operations and groups, `claims` what the file
says of its contents; `choice` holds one against the other. Nothing is guessed: where two readings differ and the file
does not decide, the crystal is rejected.
"""

from unimat.materials.datasets.readers.cif.document import texts_of_cif
from unimat.materials.datasets.readers.cif.reading import crystal_of_cif

__all__ = ["crystal_of_cif", "texts_of_cif"]
