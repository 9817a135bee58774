"""A judged set written by hand: rock-salt, zinc-blende and other simple cells with energies as one likes them."""

from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Lattice, Structure

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.files import write_json
from unimat.materials.crystals.structures import from_structure

CHGNET = {"calculator": "CHGNet", "functional": "PBE", "corrections": "MP2020, learned", "quantity": "total energy"}
VASP = CHGNET | {"calculator": "VASP", "corrections": "MP2020"}
CELLS = {
    "SiC": lambda a: Structure.from_spacegroup("F-43m", Lattice.cubic(a), ["Si", "C"], [[0] * 3, [0.25] * 3]),
    "Si": lambda a: Structure.from_spacegroup("Fd-3m", Lattice.cubic(a), ["Si"], [[0] * 3]),
    "C": lambda a: Structure.from_spacegroup("Fd-3m", Lattice.cubic(a), ["C"], [[0] * 3]),
    "MgO": lambda a: Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Mg", "O"], [[0] * 3, [0.5] * 3]),
    "FeO": lambda a: Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Fe", "O"], [[0] * 3, [0.5] * 3]),
    "Po": lambda a: Structure(Lattice.cubic(a), ["Po"], [[0] * 3]),
}


def crystal(material_id: str, formula: str, a: float) -> Crystal:
    """Primitive cell of a crystal with the cubic lattice constant `a` (Å)."""
    return from_structure(CELLS[formula](a).get_primitive_structure(), material_id)


def judged_set(
    folder: Path,
    rows: list[tuple[str, str, float, float | None]],
    energy_type: dict[str, str] = CHGNET,
    metastable: float = 0.025,
    generated: int | None = None,
) -> Path:
    """Folder of a judged set.

    Args:
        rows: material_id, formula, lattice constant (Å) and decomposition energy (eV/atom); None: not converged.
        generated: how many were asked for; as many as there are rows, if not given.
    """
    crystals = [crystal(material_id, formula, a) for material_id, formula, a, _ in rows]
    n = generated or len(rows)
    crystal_table.write(crystal_table.from_crystals(crystals, n_requested=n), folder / "crystals.parquet")
    crystal_table.write(
        crystal_table.from_crystals(crystals, n_requested=n, energy_type=energy_type), folder / "relaxed.parquet"
    )
    energy = pd.Series([np.nan if each is None else each for *_, each in rows], dtype=float)
    converged = np.array([each is not None for *_, each in rows], bool)
    frame = pd.DataFrame(
        {
            "material_id": pd.Series([material_id for material_id, *_ in rows], dtype=object),
            "formula": pd.Series([formula for _, formula, *_ in rows], dtype=object),
            "converged": converged,
            "decomposition_energy": energy,
            "not_judged": pd.Series(np.where(converged, None, "its relaxation did not converge"), dtype=object),
            "stable": energy < 0,
            "metastable": (energy >= 0) & (energy < metastable),
        }
    )
    frame.to_parquet(folder / "stability.parquet", index=False)
    write_json(folder / "stability.json", {"set": folder.name, "energy_type": energy_type, "reference": "phases"})
    return folder
