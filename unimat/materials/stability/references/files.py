"""Files that references are read from."""

import os
from pathlib import Path

import pandas as pd

from unimat import csv_cells
from unimat.errors import UserError
from unimat.materials.stability.references.places import WHERE_TO_GET


def find_file(path: str, where: str = "hull.reference.path") -> Path:
    """`path`, or the file of that name under UNIMAT_DATA_DIR.

    Raises:
        UserError: if it is at neither place; of a published file it says where to get it.
    """
    for candidate in (Path(path), Path(os.environ.get("UNIMAT_DATA_DIR", "")) / path):
        if candidate.is_file():
            return candidate
    source = WHERE_TO_GET.get(Path(path).name)
    hint = f"; it is published as {source}" if source else ""
    raise UserError(f"{where}: no file {path!r} here or under UNIMAT_DATA_DIR{hint}")


def read_csv(path: Path, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    """Table of a CSV file that has these columns; all cells are text as it stands, empty ones too.

    A guess at types would take NaN (sodium nitride) for a missing value and the id 007 for 7.

    Raises:
        UserError: if it cannot be read, or a column is missing.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, low_memory=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' ParserError, EmptyDataError and UnicodeDecodeError are ValueErrors
        raise UserError(
            f"{path} is not readable as CSV ({' '.join(str(error).split())[:200]}); get it again"
        ) from error
    frame = frame.rename(columns=csv_cells.read).map(csv_cells.read)
    for name in columns:
        if name not in frame.columns:
            raise UserError(f"{path}: no column {name!r}; expected {what}")
    return frame
