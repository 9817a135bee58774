"""New compositions of a chemical system, to predict crystals of."""

from unimat.errors import UserError
from unimat.materials.search.discovery import Discovery
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.templates import Templates
from unimat.periodic_table import ATOMIC_NUMBER


def elements_of(system: str) -> list[str]:
    """Symbols of a chemical system such as Li-Fe-P-O.

    Raises:
        UserError: if it cannot be read, with what may have been meant.
    """
    symbols = [part.strip() for part in system.split("-")]
    if unknown := [symbol for symbol in symbols if symbol not in ATOMIC_NUMBER]:
        meant = [symbol.capitalize() for symbol in symbols]
        hint = f"; did you mean {'-'.join(meant)}?" if set(meant) <= ATOMIC_NUMBER.keys() else ""
        raise UserError(f"chemical system {system!r}: {unknown[0]!r} is no element{hint}")
    return list(dict.fromkeys(symbols))


def compositions_of(system: str, library: Templates, n: int, seed: int = 0) -> list[str]:
    """Reduced formulas of all elements of a system, in the order of their draws.

    They are drawn by likely substitution in the templates, and pass SMACT's rule of charges and electronegativities.

    Raises:
        UserError: if the system cannot be read, or no composition is found.
    """
    symbols = elements_of(system)
    name = "-".join(symbols)
    wanted = SubstitutionSettings(n=n, chemical_system=name, partial=0.0, max_distance=None, seed=seed)
    table, _ = Discovery(library, wanted).crystals()
    if not len(table):
        raise UserError(
            f"chemical system {name}: {library.name} gives no new composition; name a larger table of templates"
            " (--templates), or formulas"
        )
    return list(dict.fromkeys(table.column("formula").tolist()))
