"""Fields beside a structure that say whether it is an ordered crystal, periodic in three directions.

Many forms keep occupancies, or what is periodic, apart from sites and cell: a slab or a solid solution then looks like
a crystal to whoever reads these two alone.
"""

import contextlib
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.literals import evaluated
from unimat.materials.datasets.readers.species import FULL_OCCUPANCY_WITHIN

_PERIODIC = frozenset({"pbc", "periodic", "periodic_boundary_conditions", "dimension_types", "nperiodic_dimensions"})
_OCCUPANCY = re.compile(
    r"(atom_|atomic_|partial_|site_|atom_site_)?(occu|occupancy|occupancies|occupation)"
    r"|site_occ|site_occupancy_factor|occ|sof"
)
_LISTS = frozenset({"occ", "sof"})  # of one number these may mean anything
_ORDERED = frozenset({"is_ordered"})
_FEATURES = frozenset({"structure_features", "assemblies"})  # OPTIMADE's lists of what makes no ordered crystal
_MISSING = frozenset({"unknown_positions", "site_attachments", "implicit_atoms"})  # of these the ones without places
_KIND = frozenset({"config_type"})  # in training sets of force fields
_ALL = _PERIODIC | _ORDERED | _FEATURES | _KIND
_FALSE = frozenset({"f", "false", "0", ".false.", "no"})
_TRUE = frozenset({"t", "true", "1", ".true.", "yes"})


@functools.lru_cache(maxsize=4096)
def is_ordered_name(name: str) -> bool:
    """Whether a column, key or array of that name says if a structure is ordered and periodic."""
    plain = name.strip().lower()
    return plain in _ALL or _OCCUPANCY.fullmatch(plain) is not None


def check_ordered(stated: Mapping[str, Any]) -> None:
    """Refuse what one of the fields calls disordered, or not periodic in three directions.

    Args:
        stated: value by the source's own names, as `is_ordered_name` knows them.

    Raises:
        CrystalRejected: not_periodic, partial_occupancy or atoms_missing, with the field and its value.
    """
    for name, value in stated.items():
        if not is_ordered_name(name):
            continue
        plain = name.strip().lower()
        if plain in _PERIODIC:
            _check_periodic(name, value, is_count=plain == "nperiodic_dimensions")
        elif plain in _KIND and str(value).lower().replace("_", "") == "isolatedatom":
            raise CrystalRejected("not_periodic", f"{name} is {value}: an atom in a box, not a crystal")
        elif plain in _FEATURES and _listed(value):
            reason = "atoms_missing" if _MISSING & set(map(str, _listed(value))) else "partial_occupancy"
            raise CrystalRejected(reason, f"{name} is {_said(_listed(value))}: not an ordered crystal")
        elif plain in _ORDERED and _flag(value) is False:
            raise CrystalRejected("partial_occupancy", f"{name} is {_said(value)}")
        elif plain not in _ALL and (plain not in _LISTS or isinstance(value, list | tuple | np.ndarray)):
            _check_full(name, value)


def _check_periodic(name: str, value: Any, is_count: bool) -> None:
    is_periodic = _count(value) in (3, None) if is_count else not any(_flag(each) is False for each in flags_of(value))
    if not is_periodic:
        said = _said(value)
        raise CrystalRejected("not_periodic", f"{name} is {said}, and a crystal is periodic in three directions")


def _count(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def flags_of(value: Any) -> list[Any]:
    """The flags in a list, an array, or a text in any spelling: "T T F", TTF, "[true, true, false]", "1 1 0"."""
    if not isinstance(value, str):
        return _listed(value)
    text = re.sub(r"\.0+(?!\d)|[.\s,;'\"\[\](){}]", " ", value.lower())
    found = re.findall(r"true|false|yes|no|[tf01]", text)
    return found if "".join(found) == "".join(text.split()) else []


def _listed(value: Any) -> list[Any]:
    """The items of a list, of an array, of a text such as "T T F" or "[1, 1, 0]", or the one value."""
    if value is None:
        return []
    if isinstance(value, str):
        return re.findall(r"[^\s,;'\"\[\](){}]+", value)
    return np.ravel(np.asarray(value, object)).tolist()


def _flag(value: Any) -> bool | None:
    """Truth value of a flag in any spelling; None where it is not one."""
    text = str(int(value) if isinstance(value, float) and value in (0, 1) else value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _check_full(name: str, value: Any) -> None:
    for share in _shares(value):
        if not abs(share - 1) <= FULL_OCCUPANCY_WITHIN:
            raise CrystalRejected("partial_occupancy", f"{name} is {_said(value)}: a site with a share of {share:g}")


def _shares(value: Any) -> Iterator[float]:
    """Every share of a site in nested lists and objects; of an object of element to share those above 0."""
    if isinstance(value, Mapping):
        numbers = [each for each in value.values() if isinstance(each, int | float | np.number)]
        yield from (float(each) for each in numbers if each != 0)
        for each in value.values():
            if not isinstance(each, int | float | np.number):
                yield from _shares(each)
    elif isinstance(value, list | tuple | np.ndarray):
        for each in value:
            yield from _shares(each)
    elif isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError, MemoryError):  # words say nothing of shares
            text = value if value.lstrip()[:1] in "[{(" else f"[{','.join(value.split())}]"
            yield from _shares(evaluated(text))
    elif isinstance(value, int | float | np.number):
        yield float(value)


def _said(value: Any) -> str:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return " ".join(str(value).split())[:80]
