"""The AFLOW library of crystallographic prototypes as templates.

pymatgen carries its part 1 (Mehl et al., Comput. Mater. Sci. 136, S1, 2017) as crystals with the label, the mineral
and the Strukturbericht symbol of each.
"""

import functools
import gzip
import importlib.resources
import json
from typing import Any

from pymatgen.core import Structure

from unimat.crystal_table import Crystal, from_crystals
from unimat.materials.crystals.structures import chemical_system, from_structure
from unimat.materials.search.templates import Templates, index

NAME = "AFLOW prototypes"
CITATION = "M. J. Mehl et al., The AFLOW library of crystallographic prototypes: part 1, Comput. Mater. Sci. 136 (2017)"
FILE = "aflow_prototypes.json.gz"
COLUMNS = {
    "mineral": "mineral or common name; empty where there is none",
    "strukturbericht": "Strukturbericht symbol; None where there is none",
    "reference": "BibTeX entry of the paper that the structure comes from",
}
# Its elements are labels that tell positions of one alloy, CrFe, apart.
NOT_ITS_ELEMENTS = "sigma_"


@functools.cache
def library() -> Templates:
    """Templates of 286 AFLOW prototypes, with the columns `COLUMNS`; made at the first call, in about a second.

    An id is the AFLOW label and the chemical system, such as ``AB3C_cP5_221_a_c_b:Ca-O-Ti``: one label may stand for
    several crystals. Of the 288 prototypes, the sigma phase is left out, and one form of pyrite that differs from the
    other by less than the tolerance.
    """
    prototypes = [each for each in _prototypes() if not each["tags"]["aflow"].startswith(NOT_ITS_ELEMENTS)]
    crystals = {crystal.material_id: (crystal, about) for crystal, about in map(_crystal, prototypes)}
    table, _ = index(from_crystals([crystal for crystal, _ in crystals.values()], citation=CITATION))
    about = [crystals[material_id][1] for material_id in table.material_ids]
    for name, description in COLUMNS.items():
        table = table.with_column(name, [each[name] for each in about], description=description)
    return Templates(table.with_metadata(name=NAME, source="pymatgen", citation=CITATION), NAME)


def _prototypes() -> list[dict[str, Any]]:
    """As pymatgen holds them. Its import reads them too, but checks each BibTeX entry, which takes five seconds."""
    file = importlib.resources.files("pymatgen.analysis").joinpath("prototypes").joinpath(FILE)
    return json.loads(gzip.decompress(file.read_bytes()))


def _crystal(prototype: dict[str, Any]) -> tuple[Crystal, dict[str, str]]:
    """Crystal of one prototype, and its values of `COLUMNS`."""
    structure, tags = Structure.from_dict(prototype["snl"]), prototype["tags"]
    crystal = from_structure(structure, "")
    reference = prototype["snl"]["about"]["references"].split("@article{Mehl2017")[0].strip()
    about = {"mineral": tags["mineral"], "strukturbericht": tags["strukturbericht"], "reference": reference}
    label = f"{tags['aflow']}:{chemical_system(crystal.atomic_numbers)}"
    return Crystal(label, crystal.lattice, crystal.atomic_numbers, crystal.frac_coords), about
