"""Elements, formulas and lists of formulas, as they are written in a configuration."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from unimat.configuration.schema import did_you_mean
from unimat.errors import UserError
from unimat.model.sampling.formula import Counts, parsed
from unimat.model.settings import EncodeSettings
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS, Grid, grid_of_elements
from unimat.strict_yaml import read_text

SHOWN = 5  # bad lines of a list that are named; of further ones the count


def elements(key: str, symbols: Iterable[str]) -> Iterator[str]:
    """A line for each symbol that is no element, and for each that is named twice."""
    symbols = list(symbols)
    for symbol in dict.fromkeys(symbols):
        if symbol not in ATOMIC_NUMBER:
            near = symbol.strip().capitalize()
            remedy = f"; did you mean {near!r}?" if near in ATOMIC_NUMBER else did_you_mean(symbol, ATOMIC_NUMBER)
            yield f"{key} names {symbol!r}, which is no element{remedy if len(remedy) < 200 else '; give its symbol'}"
        elif symbols.count(symbol) > 1:
            yield f"{key} names {symbol!r} twice; leave it once"


def grid_of(settings: EncodeSettings) -> Grid | None:
    """The sub-grid of the periodic table that crystals are laid over; None if the settings name no sound one."""
    try:
        if settings.elements is not None:
            return grid_of_elements(list(settings.elements))
        full = Grid()
        return Grid(settings.rows or full.rows, settings.columns or full.columns)
    except (UserError, ValueError):
        return None


def formula(text: str, where: str) -> tuple[Counts, list[str]]:
    """Atoms by atomic number, none if the text is no formula of whole atoms; and a line that says so."""
    try:
        return parsed(text), []
    except UserError as error:
        return {}, [f"{where}: {str(error).removeprefix('composition: ')}"]


def listed(path: str, where: str) -> tuple[list[tuple[int, str, Counts, str]], list[str]]:
    """Lines of a CSV of compositions as (line, formula, atoms, count), and what is wrong with it."""
    if not Path(path).is_file():
        return [], [f"{where} names {path!r}, and there is no such file; paths are relative to where you call"]
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except (UserError, csv.Error) as error:
        return [], [f"{where}: {error}"]
    if not rows or "formula" not in (reader.fieldnames or ()):
        return [], [f"{where}: {path} needs a header with the column formula, and rows"]
    found, wrong = [], []
    for line, row in rows:
        place = f"{where}: {path}, line {line}"
        counts, lines = formula((row["formula"] or "").strip(), place)
        count = (row.get("count") or "").strip()
        if count and not (count.isdecimal() and int(count) > 0):
            lines.append(f"{place}: count {count!r} is no whole number from 1")
        wrong += lines
        found.append((line, row["formula"] or "", counts, count))
    return found, _shortened(wrong, where, path)


def outside(grid: Grid, counts: Iterable[int], what: str) -> Iterator[str]:
    """A line if an element has no cell in the grid."""
    strangers = [SYMBOLS[number - 1] for number in counts if number not in grid.cell_of]
    if strangers:
        known = sorted(grid.cell_of)
        there = ", ".join(SYMBOLS[number - 1] for number in known) if len(known) <= 20 else f"{len(known)} elements"
        yield f"{what}: {', '.join(strangers)} has no cell in the grid of the model, which holds {there}"


def _shortened(lines: list[str], where: str, path: str) -> list[str]:
    if len(lines) <= SHOWN:
        return lines
    return [*lines[:SHOWN], f"{where}: {path} has {len(lines) - SHOWN} more lines that are wrong; mend them all"]
