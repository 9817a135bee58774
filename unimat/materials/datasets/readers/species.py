"""One rule for species, in whatever form a crystal comes: an element's symbol, a charge and digits, or a refusal."""

import functools
import re

from unimat.errors import CrystalRejected
from unimat.periodic_table import ATOMIC_NUMBER

_SPECIES = re.compile(
    r"(?P<symbol>[A-Za-z]{1,2})"
    r"(?P<rest>\d*|\d?(?:\.\d+)?[+-]\d*|[+-]\d(?:\.\d+)?|\(\d?(?:\.\d+)?[+-]\)|\([+-]\d(?:\.\d+)?\))"
)
FULL_OCCUPANCY_WITHIN = 1e-3  # of one atom
_HEAVIEST = 96  # curium; NO, CF3, NH4 and CN are molecules before they are elements beyond it


@functools.lru_cache(maxsize=4096)
def atomic_number(species: str) -> int:
    """Atomic number of a species: Fe, FE, Fe1, Fe3+, Fe+3, Fe(3+), O2-, Na1+, Mn3.5+.

    Two capitals that are elements each are refused but alone or as a cation: CO3 is as likely carbonate as cobalt.
    Deuterium and tritium are refused, too, as no cell of the periodic table holds them.

    Raises:
        CrystalRejected: `not_an_element`, for everything else: NH4, H2O, OW, Wat, Fe0.5Ni0.5, Si,Al, X, Va, D, Cval.
    """
    number = number_of(species)
    if number is None:
        raise CrystalRejected("not_an_element", f"species {species!r}")
    return number


def number_of(species: str) -> int | None:
    """Atomic number as `atomic_number` says it, None for what it refuses."""
    species = species.strip()
    if species in ATOMIC_NUMBER:
        return ATOMIC_NUMBER[species]
    match = _SPECIES.fullmatch(species)
    if match is None:
        return None
    written, number = match["symbol"], ATOMIC_NUMBER.get(match["symbol"].capitalize())
    if number is None or number > _HEAVIEST:
        return None
    if len(written) == 1 or written == written.capitalize():
        return number
    # Two capitals or two small letters; a small letter before a capital is nobody's way to write an element.
    same_case = written.isupper() or written.islower()
    alone = not match["rest"] or "+" in match["rest"]
    molecule = all(letter.upper() in ATOMIC_NUMBER for letter in written) and not alone
    return number if same_case and not molecule else None
