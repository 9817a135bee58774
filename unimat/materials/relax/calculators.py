"""What kind of calculation an energy is from, by the name of its calculator."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from unimat.materials.relax.force_fields.known import ASE, FORCE_FIELDS

Kind = Literal["first principles", "force field", "unknown"]
# Codes of density functional theory whose energies a table may hold, and what publishers call them.
FIRST_PRINCIPLES = ("VASP", "GPAW", "CASTEP", "Quantum ESPRESSO", "QE", "PWscf", "pw.x", "FHI-aims", "ABINIT", "CP2K",
                    "SIESTA", "WIEN2k", "CRYSTAL", "JDFTx", "exciting", "DFT")  # fmt: skip
LABELS = tuple(each.label for name, each in FORCE_FIELDS.items() if name != ASE)


def kind_of(energy_type: Mapping[str, Any] | str | None) -> Kind:
    """Kind of calculation behind energies; unknown of a calculator that this module does not know.

    Args:
        energy_type: of a table, or its calculator: ``GPAW 25.7.0 (...)``, ``CHGNet (chgnet 0.4.2)``, ``VASP and GPAW``.
    """
    name = energy_type if isinstance(energy_type, str) else (energy_type or {}).get("calculator")
    kinds = {_kind(part) for part in re.split(r" and (?![^(]*\))", str(name or ""))}
    return kinds.pop() if len(kinds) == 1 else "unknown"


def _kind(name: str) -> Kind:
    if any(_holds(name, label) for label in LABELS):
        return "force field"
    return "first principles" if any(_holds(name, code) for code in FIRST_PRINCIPLES) else "unknown"


def _holds(name: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", name, re.IGNORECASE) is not None
