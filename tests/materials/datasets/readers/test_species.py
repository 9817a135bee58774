"""Species are an element's symbol, a charge and digits, or they are refused."""

import pytest

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.species import atomic_number
from unimat.periodic_table import SYMBOLS

NAMES = {
    8: ("O", "o", "O1", "O2-", "O-2", "O-", "O12", "O(2-)"),
    11: ("Na", "NA", "na", "Na1", "Na1+", "Na+", "NA1+"),
    25: ("Mn3.5+", "Mn(3.5+)", "Mn0+"),
    26: ("Fe", "FE", "Fe1", "FE1", "Fe3+", "Fe+3", "Fe3+1", "Fe(3+)", " Fe "),
    27: ("Co", "CO", "Co3+", "CO2+", "Co3"),
    28: ("NI", "Ni1"),
    113: ("Nh",),
}
REFUSED = """
NH4+ CO32- CO3- HF2- PO43-
NH4 NH3 NH nh4 Nh4 CO3 co3 NO NO3 PO4 CF3 BH4 HO2 NI1 CN OH OH2 H2O OW OW1 Ow Wat WAT Hw Fe0.5Ni0.5 Si,Al Si-Al
Si/Al SiAl Fe+Ni Fe_pv fE nA D T D1 X M Q Va Vac vacancy Cb CB Cval Siva H.5 . ? 1 12 3+ + Fe++ FeIII Fe(III) Na:1
"""


@pytest.mark.parametrize(("number", "names"), NAMES.items())
def test_an_element_a_charge_and_digits(number, names):
    assert {name: atomic_number(name) for name in names} == dict.fromkeys(names, number)


def test_every_symbol_is_its_element():
    assert [atomic_number(symbol) for symbol in SYMBOLS] == list(range(1, 119))


@pytest.mark.parametrize("name", ["", "  ", *REFUSED.split()])
def test_everything_else_is_refused(name):
    with pytest.raises(CrystalRejected) as error:
        atomic_number(name)
    assert error.value.reason == "not_an_element"
