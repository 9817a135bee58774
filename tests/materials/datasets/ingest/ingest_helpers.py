"""Good and bad crystals as CIF text, and what ingestion makes of a source."""

import dataclasses

from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from unimat import crystal_table
from unimat.materials.datasets.ingest import ingest
from unimat.materials.datasets.sources import plan_of


def cif(species, coords, a=4.0):
    return str(CifWriter(Structure(Lattice.orthorhombic(a, a + 0.5, a + 1.0), species, coords)))


GOOD = {
    "good-1": cif(["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "good-2": cif(["Si", "O", "O"], [[0, 0, 0], [0.3, 0.3, 0.3], [0.6, 0.6, 0.6]]),
}
BAD = {
    "partial": (cif([{"Na": 0.5}], [[0, 0, 0]]), "partial_occupancy"),
    "overlap": (cif(["C", "C"], [[0, 0, 0], [0.02, 0, 0]]), "overlapping_atoms"),
    "own image": (cif(["C"], [[0, 0, 0]], a=0.4), "overlapping_atoms"),
    "deuterium": (cif(["H"], [[0, 0, 0]]).replace("  H  H0", "  D  D0"), "not_an_element"),
    "uranium": (cif(["U"], [[0, 0, 0]]), "outside_grid"),
    "large": (cif(["Na"] * 4, [[x, x, x] for x in (0, 0.25, 0.5, 0.75)]), "too_many_atoms"),
    "words": ("this is no crystal", "unreadable"),
    "nothing": (None, "unreadable"),
}


@dataclasses.dataclass
class Result:
    """What ingestion wrote, read back."""

    tables: dict
    rejected: list
    n_read: dict
    split_method: str


def ingest_into(folder, settings, files=None, n_processes=1):
    found = ingest(plan_of(settings, files), settings, folder, n_processes)
    tables = {split: crystal_table.read(path) for split, path in found.tables.items()}
    assert {split: len(table) for split, table in tables.items()} == found.n
    assert crystal_table.read_rejected(folder / "rejected.parquet") == found.rejected
    return Result(tables, found.rejected, found.n_read, found.split_method)
