"""CSV that a spreadsheet shows as it stands: no cell of text is taken for a formula.

A spreadsheet computes what begins with =, +, -, @ or a control character, in quotes or not. Such text gets an
apostrophe in front, the spreadsheets' own mark of text, and `read` takes it off again.

Source: OWASP, CSV Injection.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

# Japanese spreadsheets know the wide forms, too. Apostrophes that were there before count, or `read` would take them.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_MARKED = re.compile(r"('+)[=+\-@\t\r\n＝＋－＠]")


def written(value: Any) -> Any:
    """What is written for `value`: text that no spreadsheet takes for a formula, everything else as it is."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    return ("''" if value.endswith("'") else "'") + value


def read(text: str) -> str:
    """The text that `written` made this of; text in apostrophes on both sides, as others write it, stays as it is."""
    marked = _MARKED.match(text) if text.startswith("'") else None
    if not marked:
        return text
    if not text.endswith("'"):
        return text[1:]
    return text[2:] if len(marked[1]) > 1 else text


def write_rows(stream: TextIO, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table; `stream` is opened with ``newline=""``."""
    # Before Python 3.13, a carriage return stands in quotes only if lines end with one.
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in itertools.chain([header], rows):
        writer.writerow(map(written, row))
        stream.write(text.getvalue().removesuffix("\r\n") + "\n")
        text.seek(0)
        text.truncate()
