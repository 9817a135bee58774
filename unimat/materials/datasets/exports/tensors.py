"""The .pt layout that the evaluation scripts of CDVAE and DiffCSP read (scripts/compute_metrics.py)."""

from pathlib import Path

import numpy as np

from unimat.crystal_table import CrystalTable, Rejected
from unimat.distributions import imported
from unimat.materials.crystals.lattices import angles_of, lengths_of


def write_tensors(table: CrystalTable, path: Path) -> list[Rejected]:
    """Named tensors, float32 and int64 as CDVAE's own, each with a leading axis for the one evaluation.

    ``material_ids`` and ``properties`` stand beside them, which the scripts pass over and `unimat convert` reads.

    Raises:
        UserError: if torch is missing.
    """
    torch = imported("torch", "torch", f"{path.name}: writing .pt files needs torch; pip install 'unimat[chgnet]'")
    arrays = {
        "frac_coords": (table.flat_frac_coords % 1).astype(np.float32) % 1,  # the first may round up to 1
        "num_atoms": table.n_atoms,
        "atom_types": table.flat_atomic_numbers,
        "lengths": lengths_of(table.lattices).astype(np.float32),
        "angles": angles_of(table.lattices).astype(np.float32),
    }
    content = {name: torch.from_numpy(np.array(array)[None]) for name, array in arrays.items()}
    properties = {name: table.arrow.column(name).to_pylist() for name in table.property_names}
    torch.save({**content, "material_ids": table.material_ids, "properties": properties}, path)
    return []
