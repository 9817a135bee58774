import pytest
from pymatgen.core import Element

from unimat.errors import UserError
from unimat.periodic_table import ATOMIC_NUMBER, CELL_OF_SYMBOL, SYMBOLS, Grid, grid_of_elements


def test_all_118_elements_have_cells_of_their_own():
    assert len(CELL_OF_SYMBOL) == 118
    assert len(set(CELL_OF_SYMBOL.values())) == 118


def test_symbols_and_atomic_numbers_are_pymatgens():
    assert [Element.from_Z(z).symbol for z in range(1, 119)] == SYMBOLS
    assert all(z == Element(symbol).Z for symbol, z in ATOMIC_NUMBER.items())


def test_rows_are_periods_and_columns_groups_outside_the_f_block():
    for symbol, (row, column) in CELL_OF_SYMBOL.items():
        element = Element(symbol)
        if element.is_lanthanoid or element.is_actinoid:
            assert row == 7 + element.is_actinoid
            assert column == 2 + element.Z - (89 if element.is_actinoid else 57)
        else:
            assert (row + 1, column + 1) == (element.row, element.group)


def test_full_grid_knows_each_cell():
    grid = Grid()
    assert grid.shape == (9, 18)
    numbers = grid.atomic_number_at
    assert sum(number > 0 for number in numbers) == 118
    assert all(numbers[cell] == z for z, cell in grid.cell_of.items())


def test_sub_grids_written_by_hand():
    silicon_carbide = grid_of_elements(["Si", "C"])
    assert silicon_carbide.shape == (2, 1)
    assert silicon_carbide.cell_of == {6: 0, 14: 1}
    assert grid_of_elements(["C"]).shape == (1, 1)
    salt = grid_of_elements(["Na", "Cl"])  # one period, two groups
    assert salt.cell_of == {11: 0, 17: 1}
    assert Grid(rows=(0, 1), columns=(0, 3)).atomic_number_at == (1, 0, 3, 0)  # H, none, Li, none


@pytest.mark.parametrize("rows", [(), (1, 0), (0, 0), (9,), (-1,)])
def test_bad_rows_are_refused(rows):
    with pytest.raises(ValueError, match="grid rows"):
        Grid(rows=rows)


def test_unknown_element_is_named():
    with pytest.raises(UserError, match="'Xx'"):
        grid_of_elements(["C", "Xx"])
