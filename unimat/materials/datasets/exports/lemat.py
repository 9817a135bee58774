"""The CSV that LeMat-GenBench reads: `scripts/run_benchmarks.py --csv`."""

import json
from pathlib import Path

from unimat import csv_cells
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.periodic_table import SYMBOLS

# The benchmark would skip the rows that another program's columns of these names call invalid.
FLAGS = ("structural_validity", "smact_validity")


def write_lemat(table: CrystalTable, path: Path) -> list[Rejected]:
    """Columns material_id, structure (JSON of a pymatgen Structure, which the benchmark recommends) and properties."""
    names = [name for name in table.property_names if name not in (*FLAGS, "structure")]
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = (
            [each.material_id, json.dumps(structure_dict(each)), *(each.properties[name] for name in names)]
            for each in table
        )
        csv_cells.write_rows(stream, ["material_id", "structure", *names], rows)
    return []


def structure_dict(crystal: Crystal) -> dict[str, object]:
    """What pymatgen's `Structure.from_dict` makes the structure of."""
    sites = [
        {
            "species": [{"element": SYMBOLS[z - 1], "occu": 1}],
            "abc": coords,
            "properties": {},
            "label": SYMBOLS[z - 1],
        }
        for z, coords in zip(crystal.atomic_numbers.tolist(), crystal.frac_coords.tolist(), strict=True)
    ]
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": crystal.lattice.tolist(), "pbc": [True, True, True]},
        "properties": {},
        "sites": sites,
    }
