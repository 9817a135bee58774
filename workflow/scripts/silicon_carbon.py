"""Finish the embedded dataset: converged crystals of a relaxed random search that lie near enough to its own hull."""

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

from unimat import crystal_table
from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import check_crystal, to_structure

MAX_E_ABOVE_HULL = snakemake.params.max_e_above_hull  # noqa: F821  (Snakemake hands it in)


def is_sound(crystal: crystal_table.Crystal) -> bool:
    """Whether ingestion would take it: a few searches end with atoms on top of each other."""
    try:
        check_crystal(crystal)
    except CrystalRejected:
        return False
    return True


relaxed = crystal_table.read(snakemake.input.relaxed)  # noqa: F821
relaxed = relaxed.take(relaxed.column("converged"))
entries = [
    PDEntry(to_structure(crystal).composition, crystal.properties["energy_per_atom"] * len(crystal.atomic_numbers))
    for crystal in relaxed
]
hull = PhaseDiagram(entries)
above = np.array([hull.get_e_above_hull(entry) for entry in entries])
crystals = [
    # Rounded to what relaxation to 0.05 eV/Å can mean at all; the file is a third as large.
    crystal_table.Crystal(
        crystal.material_id.replace("airss", "sic"),
        crystal.lattice.round(5),
        crystal.atomic_numbers,
        (crystal.frac_coords % 1).round(6) % 1,
        {"energy_per_atom": round(crystal.properties["energy_per_atom"], 6), "e_above_hull": round(e_above_hull, 6)},
    )
    for crystal, e_above_hull in zip(relaxed, above.tolist(), strict=True)
    if e_above_hull < MAX_E_ABOVE_HULL
]
table = crystal_table.from_crystals(
    [crystal for crystal in crystals if is_sound(crystal)],
    {"energy_per_atom": "eV/atom", "e_above_hull": "eV/atom"},
    {"energy_per_atom": "total energy by CHGNet", "e_above_hull": "above the hull of this search itself"},
    name="silicon_carbon",
    source="unimat: random search by PyXtal, relaxed by CHGNet (config/silicon_carbon.yaml)",
    licence="Apache-2.0",
    energy_type=relaxed.metadata["energy_type"],
)
crystal_table.write(table, snakemake.output.crystals)  # noqa: F821
