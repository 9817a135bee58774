"""When a decomposition energy is below a limit, above it, or at it as far as numbers tell.

A phase of the reference itself has E_d = 0, and comes out as -8.9e-16 or +4.4e-16 eV/atom as its sums happen to round.
Energies are written with six digits or so. What differs by less than that is equal.
"""

from typing import Any

import numpy as np

HULL_TOLERANCE = 1e-6  # eV/atom


def below(energies: Any, limit: float = 0.0) -> Any:
    """Whether decomposition energies (eV/atom; a number, array or column) are below `limit`; NaN is not."""
    return energies < limit - HULL_TOLERANCE


def above(energies: Any, limit: float = 0.0) -> Any:
    """Whether they are above `limit`; NaN is not."""
    return energies > limit + HULL_TOLERANCE


def on_hull(energies: Any) -> Any:
    """Whether they are zero: as low as the phases of the reference, and not lower."""
    return np.abs(energies) <= HULL_TOLERANCE
