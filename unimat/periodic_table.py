"""The periodic table as UniMat lays it out: nine rows of eighteen cells, one cell for each element.

Rows 0 to 6 are periods 1 to 7, row 7 the lanthanides (La to Lu), row 8 the actinides (Ac to Lr), as on
the printed table; so no two elements share a cell, which they would if group numbers came straight from a
library that puts the whole f block into group 3.
"""

import dataclasses
import functools
import itertools

from unimat.errors import UserError

N_ROWS, N_COLUMNS = 9, 18

_TABLE = """
H  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  He
Li Be .  .  .  .  .  .  .  .  .  .  B  C  N  O  F  Ne
Na Mg .  .  .  .  .  .  .  .  .  .  Al Si P  S  Cl Ar
K  Ca Sc Ti V  Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y  Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I  Xe
Cs Ba .  Hf Ta W  Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
Fr Ra .  Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
.  .  La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu .
.  .  Ac Th Pa U  Np Pu Am Cm Bk Cf Es Fm Md No Lr .
"""

CELL_OF_SYMBOL = {
    symbol: (row, column)
    for row, line in enumerate(_TABLE.split("\n")[1:-1])
    for column, symbol in enumerate(line.split())
    if symbol != "."
}

SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
""".split()  # noqa: SIM905  (a list literal would take a line per element)
ATOMIC_NUMBER = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}


@dataclasses.dataclass(frozen=True)
class Grid:
    """A sub-grid of the periodic table: the crossing of some of its rows and some of its columns.

    Attributes:
        rows: indices of rows, 0 to 8, rising.
        columns: indices of columns, 0 to 17, rising.
    """

    rows: tuple[int, ...] = tuple(range(N_ROWS))
    columns: tuple[int, ...] = tuple(range(N_COLUMNS))

    def __post_init__(self) -> None:
        for name, indices, limit in (("rows", self.rows, N_ROWS), ("columns", self.columns, N_COLUMNS)):
            rising = all(a < b for a, b in itertools.pairwise(indices))
            if not indices or not rising or indices[0] < 0 or indices[-1] >= limit:
                raise ValueError(f"grid {name} must be rising indices from 0 to {limit - 1}, found {list(indices)}")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.rows), len(self.columns)

    @functools.cached_property
    def cell_of(self) -> dict[int, int]:
        """Flat cell index ``h * W + w`` of each atomic number that has a cell in this grid."""
        width = len(self.columns)
        return {
            ATOMIC_NUMBER[symbol]: self.rows.index(row) * width + self.columns.index(column)
            for symbol, (row, column) in CELL_OF_SYMBOL.items()
            if row in self.rows and column in self.columns
        }

    @functools.cached_property
    def atomic_number_at(self) -> tuple[int, ...]:
        """Atomic number of each flat cell, 0 where the table has no element; H * W values."""
        numbers = {cell: z for z, cell in self.cell_of.items()}
        height, width = self.shape
        return tuple(numbers.get(cell, 0) for cell in range(height * width))


def grid_of_elements(symbols: list[str]) -> Grid:
    """Smallest grid that has a cell for each of `symbols`, e.g. 2 x 1 for C and Si.

    Raises:
        UserError: if a symbol is no element.
    """
    unknown = [symbol for symbol in symbols if symbol not in CELL_OF_SYMBOL]
    if unknown or not symbols:
        raise UserError(
            f"grid: {unknown[0] if unknown else 'an empty list'!r} is no element; give symbols such as C, Si"
        )
    cells = [CELL_OF_SYMBOL[symbol] for symbol in symbols]
    return Grid(tuple(sorted({row for row, _ in cells})), tuple(sorted({column for _, column in cells})))
