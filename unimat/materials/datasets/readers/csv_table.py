"""CSV files row by row, every cell as the text that it is: exact numbers, ids with their zeros, bounded memory."""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from unimat import csv_cells
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.opening import MAX_TEXT, opened_text, told_if_broken, too_large

Row = tuple[list[Any], CrystalRejected | None]


def csv_header(path: Path) -> list[str]:
    """Names of the columns of a CSV file.

    Raises:
        UserError: if it cannot be read.
    """
    with opened_text(path) as text, told_if_broken(path, "CSV", csv.Error):
        header = next(_rows(_Lines(path, text)), None)
    if header is None:
        raise UserError(f"{path} has no header, which CSV needs: a first line with the names of its columns")
    return header


def csv_rows(path: Path, indices: list[int]) -> Iterator[Row]:
    """Cells of the columns at `indices`, None where empty, and why a row must be rejected, if it must.

    Raises:
        UserError: if the file is broken as a whole (truncated, a quote that never closes).
    """
    with opened_text(path) as text, told_if_broken(path, "CSV", csv.Error):
        lines = _Lines(path, text)
        rows = _rows(lines)
        n_columns = len(next(rows))
        for row in rows:
            fault = too_large() if lines.is_cut else _misfit(len(row), n_columns)
            yield [row[index] or None if index < len(row) else None for index in indices], fault


def _misfit(found: int, expected: int) -> CrystalRejected | None:
    if found == expected:
        return None
    return CrystalRejected("unreadable", f"the row has {found} cells, the header {expected}")


def _rows(lines: "_Lines") -> Iterator[list[str]]:
    # The limit belongs to the process; a CIF of 2,000 atoms is longer than Python's 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_TEXT))
    reader = csv.reader(lines, strict=True)
    for row in reader:
        if row:
            yield list(map(csv_cells.read, row))
        lines.next_row()


class _Lines:
    """Lines for the CSV reader; of a row larger than `MAX_TEXT` only what stands from a quote on is given.

    So the reader still sees where the row ends, and a cell of gigabytes needs no memory.
    """

    def __init__(self, path: Path, text: TextIO):
        self._path, self._text = path, text
        self._size = 0
        self._has_told = False

    @property
    def is_cut(self) -> bool:
        return self._size > MAX_TEXT

    def next_row(self) -> None:
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(MAX_TEXT):
            if not line.endswith("\n") and len(line) == MAX_TEXT:
                line += self._rest_of_line()
            self._tell(line)
            is_first, is_over = not self._size, self._size + len(line) > MAX_TEXT
            self._size += len(line)
            if not is_over or is_first:
                yield line
            elif '"' in line:
                yield line[line.index('"') :]

    def _rest_of_line(self) -> str:
        """What comes after `MAX_TEXT` characters of a line, again from a quote on in each part."""
        parts = [""]
        while not parts[-1].endswith("\n") and (part := self._text.readline(MAX_TEXT)):
            kept = part[part.index('"') :] if '"' in part else "\n" * part.endswith("\n")
            parts = ["".join(parts)[: 2 * MAX_TEXT], kept]
        return "".join(parts)

    def _tell(self, line: str) -> None:
        if "\ufffd" in line and not self._has_told:
            self._has_told = True
            logging.getLogger("unimat.readers").warning("%s is not all UTF-8; other bytes become \ufffd", self._path)
