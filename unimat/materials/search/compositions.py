"""What candidates are asked for: cells by formula, from words, sheets or crystals; what cannot be read has a reason."""

import collections
import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from unimat import csv_cells
from unimat.checked_csv import text_of
from unimat.errors import UserError
from unimat.files import remedy
from unimat.formulas import atoms
from unimat.materials.datasets.sets import crystals_of
from unimat.materials.search.settings import MOST
from unimat.materials.search.substitution import formula_of
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.strict_yaml import read_text

SHEETS = (".csv", ".tsv")
LISTS = (".txt", ".dat", "")


@dataclasses.dataclass(frozen=True)
class Asked:
    """One composition.

    Attributes:
        formula: as it was written.
        counts: atoms by atomic number of the cell; none if it cannot be read.
        place: where it stands, for messages; empty for a formula on the command line.
        count: candidates asked for; None: as the settings say.
        truth_id: of the crystal that it is the composition of.
        reason: why nothing can be made; and in words.
    """

    formula: str
    counts: dict[int, int] = dataclasses.field(default_factory=dict)
    place: str = ""
    count: int | None = None
    truth_id: str = ""
    reason: str = ""
    detail: str = ""


def asked_for(compositions: Sequence[str | Path]) -> list[Asked]:
    """Compositions of formulas and of files, in their order.

    Raises:
        UserError: if a file cannot be read, or no composition can.
    """
    parts = [of_file(Path(word)) if _is_file(word) else [of_text(str(word))] for word in compositions]
    found = [each for part in parts for each in part]
    if not found:
        remedy = "formulas such as Sr1Ti1O3, a file of them, or a number of crystals of new compositions"
        raise UserError(f"no composition is named; give {remedy}")
    if all(each.reason for each in found):
        first = found[0]
        raise UserError(f"no composition can be read; the first: {first.detail}")
    return found


def of_text(formula: str, place: str = "", count: str = "", truth_id: str = "") -> Asked:
    """The composition of a formula, or the reason why there is none."""
    asked = Asked(formula.strip(), place=place, truth_id=truth_id)
    if count and not (count.isdecimal() and 0 < int(count) <= MOST):
        return _not(asked, "unreadable_count", f"count {count!r} of {formula} is no whole number from 1 to {MOST}")
    asked = dataclasses.replace(asked, count=int(count) if count else None)
    try:
        amounts = atoms(asked.formula)
    except ValueError as error:
        return _not(asked, "unreadable_formula", str(error))
    if broken := [f"{symbol}{amount:g}" for symbol, amount in amounts.items() if amount != int(amount)]:
        why = f"the formula {formula!r} has {broken[0]}, which is no whole number of atoms; write a whole cell"
        return _not(asked, "fractional_amounts", why)
    return dataclasses.replace(asked, counts={ATOMIC_NUMBER[symbol]: int(n) for symbol, n in amounts.items()})


def of_file(path: Path) -> list[Asked]:
    """Compositions of a sheet, of a list of formulas, or of the crystals that a file or folder holds."""
    if path.is_file() and path.suffix.lower() in SHEETS:
        return _of_sheet(path)
    if path.is_file() and path.suffix.lower() in LISTS:
        lines = enumerate(read_text(path).splitlines(), 1)
        found = [of_text(text, f"{path}, line {n}") for n, line in lines if (text := line.partition("#")[0].strip())]
        if not found:
            raise UserError(f"compositions: {path} holds no formula; write one in each line")
        return found
    return _of_crystals(path)


def _of_sheet(path: Path) -> list[Asked]:
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""), delimiter=_delimiter(path))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path} is not readable as CSV ({error}); {remedy(path)}") from error
    header = list(reader.fieldnames or ())
    if not rows or "formula" not in header:
        there = f"its header is {','.join(header)!r}" if header else "it is empty"
        there = "it has no rows" if "formula" in header else there
        raise UserError(f"compositions: {path} needs a header with the column formula, commas, and rows; {there}")
    found = []
    for line, row in rows:
        cells = {name: csv_cells.read(text or "").strip() for name, text in row.items() if isinstance(name, str)}
        asked = (cells["formula"], f"{path}, line {line}", cells.get("count", ""), cells.get("truth_id", ""))
        found.append(of_text(*asked))
    return found


def _of_crystals(path: Path) -> list[Asked]:
    asked = []
    for crystal in crystals_of(path):
        counts = dict(sorted(collections.Counter(crystal.atomic_numbers.tolist()).items()))
        asked.append(Asked(formula_of(counts), counts, str(path), truth_id=crystal.material_id))
    return asked


def _is_file(word: str | Path) -> bool:
    """Whether a word names a file or a folder; one that reads as a formula is one, and ./NaCl a folder."""
    if isinstance(word, Path) or "/" in word or Path(word).suffix.lower() in (*SHEETS, ".txt", ".parquet"):
        return True
    return bool(of_text(word).reason) and Path(word).exists()


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _not(asked: Asked, reason: str, why: str) -> Asked:
    return dataclasses.replace(asked, reason=reason, detail=f"{asked.place}: {why}" if asked.place else why)
