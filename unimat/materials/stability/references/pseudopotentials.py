"""Energies by GNoME's pseudopotentials and by the Materials Project's, brought to one scale.

GNoME used newer potentials for five elements. Its data description gives the energy that an entry of the Materials
Project gains per atom of them before it shares a hull with GNoME's (google-deepmind/materials_discovery, DATASET.md,
`pp_corr`). The shift is linear in the composition, so the way back is the same with the other sign, and a hull of one
scale is as good as a hull of the other. Mixed scales are not: elemental germanium differs by 0.10 eV/atom.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pymatgen.core import Composition, Element

from unimat.materials.stability.references.entries import TEXT, Entries

MATERIALS_PROJECT, GNOME = "Materials Project", "GNoME"
# eV per atom of the element, added to energies by the Materials Project's potentials.
SHIFTS = {"Ga": -0.0028805, "Ge": 0.10417085, "Li": -0.00301278, "Mg": 0.0924014, "Na": -0.00447437}


def shift_per_atom(composition: Composition) -> float:
    """What takes an energy from the Materials Project's scale to GNoME's, eV/atom."""
    return sum(shift * composition.get_atomic_fraction(symbol) for symbol, shift in SHIFTS.items())


def on_one_scale(table: pa.Table, scale: str) -> pa.Table:
    """Entries with the energies of the other scale moved to `scale`; a second call changes nothing.

    Rows that name no pseudopotentials stay as they are.
    """
    given = table["pseudopotentials"].combine_chunks().dictionary_decode()
    other = np.asarray(pc.fill_null(pc.not_equal(given, scale), False))
    entries = Entries(table)
    change = sum(
        (shift * entries.fraction_of(Element(symbol).Z) for symbol, shift in SHIFTS.items()), np.zeros(len(entries))
    )
    change = np.where(other, change if scale == GNOME else -change, 0.0)
    shifted = np.asarray(table["shift_per_atom"]) + change
    shifted[np.abs(shifted) < 1e-12] = 0.0  # there and back
    changes = {
        "energy_per_atom": pa.array(entries.energies + change),
        "shift_per_atom": pa.array(shifted),
        "pseudopotentials": pc.if_else(pa.array(other), scale, given).dictionary_encode().cast(TEXT),
    }
    for name, values in changes.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), values)
    return table


def scales_of(table: pa.Table) -> set[str]:
    """Pseudopotentials that are named in the table."""
    return set(pc.unique(table["pseudopotentials"].combine_chunks().dictionary_decode()).to_pylist()) - {None}


def shifted_atoms(table: pa.Table) -> dict[str, int]:
    """Number of entries shifted, by element that they hold."""
    entries, moved = Entries(table), np.asarray(table["shift_per_atom"]) != 0
    counts = {symbol: int((moved & (entries.fraction_of(Element(symbol).Z) > 0)).sum()) for symbol in SHIFTS}
    return {symbol: count for symbol, count in counts.items() if count}
