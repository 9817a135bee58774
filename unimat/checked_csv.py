"""CSV files with checksums: in their own first line, or beside those that people open in other programs.

Beside `history.csv` of a finished training it stands in `training.json`; beside a list of compositions in a file like
that of `sha256sum`, `compositions.csv.sha256`.
"""

import csv
import hashlib
import io
from pathlib import Path

from unimat.errors import UserError
from unimat.files import existing, read_json, remedy, write_text

MARK = "# sha256="
LISTED_IN = "training.json"
FILES = "files"  # its key: SHA-256 of each file beside it


def sealed(text: str) -> str:
    """`text` behind a line with its SHA-256."""
    return f"{MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def write_beside(path: str | Path, text: str) -> None:
    """Write `text`, and its SHA-256 into `path`.sha256; an interruption between the two leaves no wrong one."""
    beside = sidecar(path)
    beside.unlink(missing_ok=True)
    write_text(path, text)
    write_text(beside, f"{hashlib.sha256(text.encode()).hexdigest()}  {Path(path).name}\n")


def sidecar(path: str | Path) -> Path:
    path = Path(path)
    return path.with_name(f"{path.name}.sha256")


def text_of(path: str | Path) -> str:
    """The text of a file, without the line of its checksum.

    Raises:
        UserError: if the file is missing, no UTF-8, or not what was written. A file without a checksum, made by hand
            or by another program, is read as it is.
    """
    path = existing(path)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable as CSV ({error}); {remedy(path)}") from error
    listed = _listed(path)
    if listed is not None and listed != hashlib.sha256(content).hexdigest():
        raise UserError(f"{path} is not what was written (its SHA-256 is not that of {LISTED_IN}); {remedy(path)}")
    beside = sidecar(path)
    if beside.is_file() and beside.read_bytes().split()[:1] != [hashlib.sha256(content).hexdigest().encode()]:
        raise UserError(
            f"{path} was changed after it was written (its SHA-256 is not that of {beside.name}); {remedy(path)}, "
            f"or remove {beside.name} if the change is meant"
        )
    first, _, rest = text.partition("\n")
    if not first.startswith("#"):
        return text
    if first.strip().rstrip(",") != f"{MARK}{hashlib.sha256(rest.encode()).hexdigest()}":
        raise UserError(
            f"{path} was changed after it was written (its first line, the SHA-256, does not fit); {remedy(path)}, "
            "or remove that line if the change is meant"
        )
    return rest


def rows_of(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a file; UserError as `text_of`, or if its rows are not as long as its header."""
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UserError(f"{path} is not readable as CSV ({error}); {remedy(path)}") from error
    return list(reader.fieldnames or ()), rows


def _listed(path: Path) -> str | None:
    """What `training.json` beside a file says its SHA-256 is; None where it says nothing."""
    about = path.parent / LISTED_IN
    training = read_json(about) if about.is_file() else {}
    files = training.get(FILES) if isinstance(training, dict) else None
    return files.get(path.name) if isinstance(files, dict) else None
