"""POSCAR text to crystals."""

import warnings

from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.structures import from_structure


def crystal_of_poscar(text: str, material_id: str) -> Crystal:
    """Crystal of POSCAR or CONTCAR text, VASP 5 or newer (elements named).

    Raises:
        CrystalRejected: if it cannot be read, names no elements, or a species is no element.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Without names of elements pymatgen would go on with H, He, Li...: that is not to happen silently.
            warnings.simplefilter("error", BadPoscarWarning)
            structure = Poscar.from_str(text, read_velocities=False).structure
    except Exception as error:  # pymatgen's parser raises nearly every built-in exception on malformed text
        raise CrystalRejected("unreadable", " ".join(f"POSCAR: {error}".split())[:300]) from error
    return from_structure(structure, material_id)
