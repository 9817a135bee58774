"""Objects written as text in a cell of a table: JSON, or the Python literals that `str()` makes of a dict or a list.

Literals are parsed, never evaluated.
"""

import ast
import json
import re
import warnings
from typing import Any

from unimat.errors import CrystalRejected

MAX_LITERAL = 2_000_000  # characters; 1,000 atoms take some 400,000, and their syntax tree a hundred times that
_NUMPY = re.compile(r"\b(?:np|numpy)\.(?:float|int|bool)\w*\(([^()]*)\)")  # np.float64(0.5)
_ARRAY = re.compile(r"\barray\((\[[^()]*\])(?:,\s*dtype=\w+)?\)")
_IS_PYTHON = re.compile(r"""\s*(?:\{\s*'|\[\s*'|\[\s*\{\s*')""")


def parsed(text: str) -> Any:
    """The object that `text` writes, as JSON or as a Python literal.

    Raises:
        ValueError: if it is neither.
        CrystalRejected: if a literal is too long.
    """
    if not _IS_PYTHON.match(text):
        return json.loads(text)
    return evaluated(_ARRAY.sub(r"\1", _NUMPY.sub(r"\1", text)))


def evaluated(text: str) -> Any:
    """The value of a Python literal.

    Raises:
        ValueError: if it is none.
        CrystalRejected: if it is longer than `MAX_LITERAL`.
    """
    if len(text) > MAX_LITERAL:
        found = f"{len(text) / 1e6:.1f} million characters of a Python literal"
        raise CrystalRejected("too_large", f"{found}, the limit is {MAX_LITERAL / 1e6:g}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of digits that run into letters, say
            return ast.literal_eval(text.strip())
    except SyntaxError as error:
        raise ValueError(f"no Python literal: {error.msg}") from error
