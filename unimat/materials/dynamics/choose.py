"""Which crystals are worth moving: the best that have converged."""

import numpy as np
import pandas as pd

from unimat.crystal_table import CrystalTable
from unimat.errors import UserError

RANKED_BY = "decomposition_energy"


def best(table: CrystalTable, stability: pd.DataFrame | None, take: int | None) -> CrystalTable:
    """The `take` converged crystals of lowest decomposition energy, lowest first, with that energy as a column.

    Args:
        table: a relaxed table, or any other, whose every crystal then counts as converged.
        stability: what `unimat hull` wrote of it; None if `take` is None, or the table holds the energies itself.
        take: None takes all converged ones, in the order of the table where nothing ranks them.

    Raises:
        UserError: if there is nothing to rank by, or the stability table is of other crystals.
    """
    energies = _energies(table, stability)
    converged = np.ones(len(table), bool)
    if "converged" in table.property_names:
        converged = np.array([bool(each) for each in table.column("converged")])
    if energies is None and take is not None:
        raise UserError(
            f"nothing ranks the crystals: there is no column {RANKED_BY!r}; give --stability (unimat hull makes it), or"
            " take: null for all converged crystals"
        )
    if energies is None:
        return table.take(np.flatnonzero(converged))
    order = [
        index for index in np.argsort(energies, kind="stable") if converged[index] and np.isfinite(energies[index])
    ]
    chosen = np.array(order[:take], np.int64)
    return table.take(chosen).with_column(
        RANKED_BY, energies[chosen], "eV/atom", "of the relaxed crystal, from its set's judgement"
    )


def _energies(table: CrystalTable, stability: pd.DataFrame | None) -> np.ndarray | None:
    """(m,) eV/atom, NaN where a crystal has none; None if nothing says any."""
    if stability is None:
        return table.column(RANKED_BY).astype(float) if RANKED_BY in table.property_names else None
    found = stability.set_index("material_id")[RANKED_BY].astype(float)
    strangers = [each for each in table.material_ids if each not in found.index]
    if strangers:
        raise UserError(
            f"--stability says nothing of {strangers[0]!r}; give the one that was made from the same crystals"
        )
    return found.loc[table.material_ids].to_numpy()
