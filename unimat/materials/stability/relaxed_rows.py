"""What the columns of a relaxed table say of one crystal, whoever wrote them."""

import math
from typing import Any

from unimat.crystal_table import Crystal

TRUE = ("true", "t", "yes", "1")


def has_converged(crystal: Crystal) -> bool:
    """Whether the table says so: true, 1, or a word for it; a missing value is no yes."""
    value = crystal.properties.get("converged")
    return value.strip().lower() in TRUE if isinstance(value, str) else value is not None and value == 1


def energy_per_atom(crystal: Crystal) -> float:
    """Its energy, eV/atom; NaN where the table has none, or no number."""
    return _number(crystal.properties.get("energy_per_atom"))


def _number(value: Any) -> float:
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan
