"""GNoME: a table of properties and an archive of CIF files, joined by id, composition or reduced formula."""

import re
from pathlib import PurePosixPath

from unimat.materials.datasets.published.description import Dataset, Join, OtherForm, PublishedFile, column

BUCKET = "https://storage.googleapis.com/gdm_materials_discovery/gnome_data"
ID_COLUMN = "MaterialId"
# Three archives of the same CIF files, which differ in the names of their members only.
ARCHIVES = {"by_id": ID_COLUMN, "by_reduced_formula": "Reduced Formula", "by_composition": "Composition"}
_ID = re.compile(r"[0-9a-f]{10}")
_COMPOSITION = re.compile(r"([A-Z][a-z]?[0-9]+)+")  # every element with its count, ones included


def column_of(member: str) -> str:
    """Column of the table that names structures as `member`, a path inside the archive, does.

    The folder tells (by_id/98dee9c38d.CIF), or the name in an archive that was packed anew.
    """
    path = PurePosixPath(member)
    for folder in path.parts[:-1]:
        if folder in ARCHIVES:
            return ARCHIVES[folder]
    if _ID.fullmatch(path.stem):
        return ID_COLUMN
    return "Composition" if _COMPOSITION.fullmatch(path.stem) else "Reduced Formula"


def _decomposition(entries: str) -> str:
    return f"energy above (negative: below) the hull of {entries}"


GNOME = Dataset(
    name="gnome",
    title="GNoME: crystals on or near the hull, found by graph networks and active learning",
    licence="CC BY-NC 4.0 (Google DeepMind)",
    notice="GNoME is licensed CC BY-NC 4.0: non-commercial use only",
    citation="A. Merchant et al., Scaling deep learning for materials discovery, Nature 624, 80 (2023)",
    homepage="https://github.com/google-deepmind/materials_discovery",
    # No checksums: the bucket has been added to since 2023. What was fetched first is recorded and held to.
    files=(
        PublishedFile("stable_materials_summary.csv", "table", f"{BUCKET}/stable_materials_summary.csv"),
        PublishedFile("by_id.zip", "structures", f"{BUCKET}/by_id.zip"),
    ),
    other_forms=(
        OtherForm("by_reduced_formula.zip", ("structures",), True),
        OtherForm("by_composition.zip", ("structures",), True),
    ),
    mirror_folders=("gnome_data", "gdm_materials_discovery/gnome_data"),
    id_column=ID_COLUMN,
    join=Join("table", "structures", column_of),
    missing=frozenset({"inf", float("inf")}),  # some band gaps
    # Meanings: DATASET.md of the homepage, except for the two units that it has otherwise or not at all. Density is in
    # g/cm^3: Ac10 Ag8 Au12 weighs 5496.6 u in 811.017 Å^3, and is given as 11.254. Energies are totals of the cell,
    # and corrected indeed: for BaTh7H30 and CsZr3S6 they give the formation energy without the 5.4 and 3.0 eV of
    # MP2020's corrections for H and S (unlike the column of the same name in mp_materials_summary.csv).
    properties={
        "formation_energy_per_atom": column(
            "Formation Energy Per Atom", "eV/atom", "formation energy from the elements, MP2020 corrections"
        ),
        "decomposition_energy_per_atom": column(
            "Decomposition Energy Per Atom", "eV/atom", _decomposition("the Materials Project as downloaded")
        ),
        "decomposition_energy_per_atom_all": column(
            "Decomposition Energy Per Atom All", "eV/atom", _decomposition("all entries, this one included")
        ),
        "decomposition_energy_per_atom_relative": column(
            "Decomposition Energy Per Atom Relative", "eV/atom", _decomposition("all entries but this one")
        ),
        "decomposition_energy_per_atom_mp": column(
            "Decomposition Energy Per Atom MP", "eV/atom", _decomposition("the Materials Project, recalculations too")
        ),
        "decomposition_energy_per_atom_mp_oqmd": column(
            "Decomposition Energy Per Atom MP OQMD",
            "eV/atom",
            _decomposition("the Materials Project and OQMD, recalculations too"),
        ),
        "corrected_energy": column("Corrected Energy", "eV", "total energy of the cell, MP2020 corrections"),
        "uncorrected_energy": column("Uncorrected Energy", "eV", "total energy of the cell as calculated"),
        "band_gap": column("Bandgap", "eV", "band gap, PBE"),
        "volume": column("Volume", "Å^3", "volume of the cell"),
        "density": column("Density", "g/cm^3", "mass density"),
        "n_sites": column("NSites", "", "atoms in the cell", "int"),
        "spacegroup_number": column("Space Group Number", "", "space group number given by the source", "int"),
        "spacegroup_symbol": column("Space Group", "", "Hermann-Mauguin symbol given by the source", "string"),
        "point_group": column("Point Group", "", "point group given by the source", "string"),
        "crystal_system": column("Crystal System", "", "crystal system given by the source", "string"),
        "dimensionality": column("Dimensionality Cheon", "", "of the bonded network, by Cheon et al. 2017", "string"),
        "is_train": column("Is Train", "", "True: GNoME's networks were trained on it", "string"),
        "composition": column("Composition", "", "atoms in the cell, elements in alphabetical order", "string"),
        "reduced_formula": column("Reduced Formula", "", "reduced formula as the source writes it", "string"),
        "elements": column("Elements", "", "elements as the source lists them", "string"),
    },
    energy_type={
        "calculator": "VASP",
        "functional": "PBE and PBE+U, mixed as by the Materials Project; newer potentials for Li, Na, Mg, Ge, Ga",
        "corrections": "MaterialsProject2020Compatibility",
        "quantity": "formation_energy_per_atom",
    },
)
