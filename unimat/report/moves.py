"""The moves of a substitution, drawn on a small periodic table: an arrow from an element to what takes its place."""

import re
from collections.abc import Mapping
from html import escape

import numpy as np
from markupsafe import Markup

from unimat.periodic_table import ATOMIC_NUMBER, CELL_OF_SYMBOL, SYMBOLS

CELL = 22.0
GAP = 8.0  # above the f block
ROOM = 10.0  # around the table, for arrows
WIDTH, HEIGHT = 18 * CELL + 2 * ROOM, 9 * CELL + GAP + 2 * ROOM
BOW = 0.25  # of an arrow, as a share of its length
LEAST_BOW = 17.0
HEAD = 6.5  # length of an arrow's head
MARGIN = 9.5  # between the middle of a cell and the end of an arrow
_MOVE = re.compile(r"([A-Z][a-z]?)->([A-Z][a-z]?)")


def moves_of(text: str) -> dict[int, int]:
    """Atomic numbers of the moves that a table tells as ``Na->Li Cl->F``; an unknown symbol is left out."""
    pairs = (found.groups() for found in _MOVE.finditer(text))
    return {ATOMIC_NUMBER[old]: ATOMIC_NUMBER[new] for old, new in pairs if {old, new} <= ATOMIC_NUMBER.keys()}


def in_words(moves: Mapping[int, int]) -> str:
    """Such as ``Na → Li, Cl → F; O stays``."""
    symbol = lambda z: SYMBOLS[z - 1]  # noqa: E731
    changed = ", ".join(f"{symbol(old)} → {symbol(new)}" for old, new in moves.items() if old != new)
    same = [symbol(old) for old, new in moves.items() if old == new]
    stays = f"{' and '.join([', '.join(same[:-1]), same[-1]] if same[:-1] else same)} stay{'' if same[1:] else 's'}"
    return "; ".join(part for part in (changed, stays if same else "") if part)


def moves_picture(moves: Mapping[int, int]) -> Markup:
    """Periodic table as an ``<svg>`` element: template's elements outlined, the candidate's filled, arrows between.

    Args:
        moves: atomic number in the template -> atomic number in the candidate.
    """
    old, new = set(moves), set(moves.values())
    empty = "".join(_corner(symbol) for symbol in SYMBOLS if ATOMIC_NUMBER[symbol] not in old | new)
    cells = "".join(_cell(z, old, new) for z in sorted(old | new))
    arrows = "".join(_arrow(_middle(one), _middle(other)) for one, other in moves.items() if one != other)
    view = f"{-ROOM:g} {-ROOM:g} {WIDTH:g} {HEIGHT:g}"
    return Markup(
        f'<svg class="moves" role="img" aria-label="{escape(in_words(moves))}" viewBox="{view}">'
        f'<path class="others" d="{empty}"/>{cells}{arrows}</svg>'
    )


def _place(symbol: str) -> tuple[float, float]:
    row, column = CELL_OF_SYMBOL[symbol]
    return column * CELL, row * CELL + (GAP if row > 6 else 0)


def _middle(z: int) -> np.ndarray:
    return np.array(_place(SYMBOLS[z - 1])) + CELL / 2


def _corner(symbol: str) -> str:
    x, y = _place(symbol)
    side = CELL - 2
    return f"M{x + 1:g} {y + 1:g}h{side:g}v{side:g}h{-side:g}z"


def _cell(z: int, old: set[int], new: set[int]) -> str:
    symbol = SYMBOLS[z - 1]
    x, y = _place(symbol)
    kind = "both" if z in old & new else "new" if z in new else "old"
    return (
        f'<rect class="{kind}" x="{x + 1:g}" y="{y + 1:g}" width="{CELL - 2:g}" height="{CELL - 2:g}" rx="2"/>'
        f'<text class="{kind}" x="{x + CELL / 2:g}" y="{y + CELL / 2 + 4:g}">{symbol}</text>'
    )


def _arrow(start: np.ndarray, end: np.ndarray) -> str:
    """A bowed line with a head, bowed the other way for the way back."""
    along = (end - start) / np.linalg.norm(end - start)
    aside = np.array([along[1], -along[0]])
    control = (start + end) / 2 + aside * max(LEAST_BOW, BOW * np.linalg.norm(end - start))
    leave, arrive = ((each - at) / np.linalg.norm(each - at) for each, at in ((control, start), (control, end)))
    first, tip = start + MARGIN * leave, end + MARGIN * arrive
    base = tip + HEAD * arrive
    side = np.array([arrive[1], -arrive[0]]) * HEAD * 0.5
    points = " ".join(_point(each) for each in (tip, base + side, base - side))
    return (
        f'<path class="arrow" d="M{_point(first)}Q{_point(control)} {_point(base)}"/>'
        f'<polygon class="head" points="{points}"/>'
    )


def _point(at: np.ndarray) -> str:
    return f"{at[0]:.1f} {at[1]:.1f}"
