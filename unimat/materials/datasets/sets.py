"""A set of crystals in whatever form somebody has it: what every command reads that takes a set.

pymatgen is imported for forms other than a crystal table alone.
"""

import collections
import dataclasses
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from unimat import crystal_table, parquet
from unimat.crystal_table import STRUCTURE_COLUMNS, CrystalTable, Rejected
from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.datasets.settings import ConvertSettings, PropertyColumn

log = logging.getLogger("unimat.sets")

ENERGY = "energy_per_atom"


@dataclasses.dataclass(frozen=True)
class EnergySettings:
    """What the energies of a set are that no command of unimat made.

    Attributes:
        column: column or key of the set that holds them.
        unit: `eV/atom`, or `eV` for energies per cell.
        functional: such as PBE; it has to be that of the hull.
        corrections: correction scheme that the energies carry, such as MP2020; none.
        calculator: program that made them.
    """

    column: str = ENERGY
    unit: Literal["eV/atom", "eV"] = "eV/atom"
    functional: str | None = None
    corrections: str = "none"
    calculator: str | None = None


def read_set(
    path: str | Path, processes: int = 1, properties: tuple[str, ...] = ()
) -> tuple[CrystalTable, list[Rejected]]:
    """Crystals of a set and the rows that are none; a crystal table as it is, other forms with `properties` as columns.

    The folder of a set of a run stands for the crystals.parquet in it. Structures are taken as they are. The metadata
    count the rows that are no crystals (`n_requested`), which are a part of every denominator.

    Args:
        processes: that read other forms.

    Raises:
        UserError: if nothing can be read, or no crystal can be used.
    """
    path = existing(path)
    if path.is_dir() and (path / "crystals.parquet").exists():
        path = path / "crystals.parquet"
    if is_crystal_table(path):
        return crystal_table.read(path), []
    from unimat.materials.datasets.ingest import read_crystals

    columns = {name: PropertyColumn() for name in properties}
    table, rejected = read_crystals(path, ConvertSettings(properties=columns), processes)
    return table.with_metadata(n_requested=len(table) + len(rejected)), rejected


def crystals_of(path: str | Path, processes: int = 1, properties: tuple[str, ...] = ()) -> CrystalTable:
    """As `read_set`, the crystals alone; the log says how many rows are none, and why."""
    table, rejected = read_set(path, processes, properties)
    if rejected:
        counts = collections.Counter(each.reason for each in rejected).most_common()
        told = ", ".join(f"{reason} {count}" for reason, count in counts)
        first = rejected[0]
        log.warning(
            "%d of %d rows of %s are left out (%s); the first: %s, %s",
            len(rejected), len(rejected) + len(table), path, told, first.material_id, first.detail,
        )  # fmt: skip
    return table


def is_crystal_table(path: Path) -> bool:
    """Whether a file is to be read as a crystal table, rather than as Parquet of another layout or as another form."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    try:
        names = set(parquet.read_schema(path).names)
    except UserError:
        return True  # its reader says what is wrong
    if set(STRUCTURE_COLUMNS) <= names:
        return True
    from unimat.materials.datasets.readers import crystalformer
    from unimat.materials.datasets.readers.entries import OPTIMADE
    from unimat.materials.datasets.readers.records import STRUCTURE_NAMES

    others = [{name} for name in STRUCTURE_NAMES] + [set(OPTIMADE), set(crystalformer.COLUMNS)]
    return not any(other <= names for other in others)


def set_name(path: str | Path) -> str:
    """What to call a set by its place: the folder of a table, else the folder or file itself without its ending."""
    path = Path(path).resolve()
    return path.parent.name if path.suffix == ".parquet" else path.stem


def with_energies(table: CrystalTable, path: str | Path, settings: EnergySettings | None = None) -> CrystalTable:
    """The table with `energy_per_atom` (eV/atom), `converged`, and what its energies are, for a hull.

    A table that does not say which relaxations converged has energies of somebody's own: all that are numbers count.

    Args:
        path: of the set, for messages.
        settings: what the energies are; None: what the table says.

    Raises:
        UserError: if there are no energies, or nobody says what they are.
    """
    column = settings.column if settings else ENERGY
    if not len(table):  # nothing of this set was a crystal: there is nothing to judge, and that is no mistake
        return table
    if column not in table.property_names:
        raise UserError(
            f"{path} holds no energies ({_columns(table, column)}): {_relax(path)}, or name their column, and what they"
            " are, by --energies"
            ' (such as \'{"column": "energy", "unit": "eV", "functional": "PBE"}\')'
        )
    energies = _numbers(table, column, path)
    if settings is not None:
        if settings.functional is None:
            raise UserError(f"--energies: functional is missing; a hull wants to know what the energies of {path} are")
        energies = energies / table.n_atoms if settings.unit == "eV" else energies
        about = {
            "calculator": settings.calculator or "a calculator that nobody named",
            "functional": settings.functional,
            "corrections": settings.corrections,
            "quantity": "total energy",
        }
        table = table.with_column(ENERGY, energies, "eV/atom").with_metadata(energy_type=about)
    elif not table.metadata.get("energy_type"):
        raise UserError(
            f"{path} does not say what its energies are: {_relax(path)}, or say it"
            f' by --energies (such as \'{{"column": "{column}", "functional": "PBE"}}\')'
        )
    if "converged" in table.property_names:
        return table
    if not np.isfinite(energies).any():
        raise UserError(f"{path}: no value of {column!r} is a number; {_relax(path)}")
    log.warning("%s does not say which relaxations converged: every crystal with an energy counts", path)
    return table.with_column("converged", np.isfinite(energies))


def _relax(path: str | Path) -> str:
    return f"relax it first (`unimat relax --crystals {path} ...`)"


def _columns(table: CrystalTable, column: str) -> str:
    known = ", ".join(table.property_names)
    return f"no column {column!r}; there are {known}" if known else f"no column {column!r}, nor any other property"


def _numbers(table: CrystalTable, column: str, path: str | Path) -> np.ndarray:
    try:
        return table.column(column).astype(float)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UserError(f"{path}: column {column!r} holds no numbers ({error}); name another by --energies") from error
