"""Which total energies a reference takes: those of any code, of one scale and unit."""

import numpy as np
import pandas as pd
import pytest

from unimat.errors import UserError
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.energy_scale import all_electron_energy, refuse_impossible
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings
from unimat.settings import load_settings

# Total energies of free atoms in hartree, by Hartree and Fock; by Dirac and Fock, rounded, of gold and uranium.
ATOMS = {1: 0.5, 3: 7.4327, 6: 37.6886, 14: 288.8544, 26: 1262.4437, 79: 19040.0, 92: 28070.0}


def made(path, rows, **settings) -> Reference:
    pd.DataFrame(rows, columns=["entry_id", "formula", "energy_per_atom"]).to_csv(path, index=False)
    given = {"kind": "table", "path": str(path), "functional": "PBE", "corrections": "none", "calculator": "any"}
    return build(load_settings(ReferenceSettings, given | settings, "hull.reference"), {}, 1)


def test_energies_of_all_electrons_are_met_within_ten_per_cent():
    z = np.array(list(ATOMS))
    assert all_electron_energy(z.astype(float)) == pytest.approx(27.211386 * np.array(list(ATOMS.values())), rel=0.1)


@pytest.mark.parametrize(
    ("energy", "number"),
    [(-535_650.0, 79), (-7_875.0, 14), (-168.3, 14), (-8.3, 14), (-15.87, 1), (-763_900.0, 92), (12.0, 14)],
    ids=["FHI-aims Au", "all electrons Si", "CASTEP Si", "VASP", "QE H2", "U", "pressed"],
)
def test_energies_of_real_codes_pass(energy, number):
    refuse_impossible(energy, [number], [1.0])


@pytest.mark.parametrize(("energy", "number"), [(-9999.0, 14), (-1e4, 8), (1e4, 79), (101.0, 14), (-40.0, 1)])
def test_numbers_that_are_no_energies_are_refused(energy, number):
    with pytest.raises(ValueError, match="an energy of"):
        refuse_impossible(energy, [number], [1.0])


def test_a_hull_of_all_electron_energies(tmp_path):
    si, c = -7870.0, -1036.0
    rows = [("a", "Si", si), ("b", "C", c), ("c", "SiC", (si + c) / 2 - 0.3)]
    built = made(tmp_path / "aims.csv", rows)
    assert built.entries.energies == pytest.approx([si, c, (si + c) / 2 - 0.3])


def test_energies_per_cell_read_as_per_atom_are_refused(tmp_path):
    rows = [("a", "Na2", -2.6), ("b", "Cl4", -7.2), ("c", "Na4Cl4", -27.0)]
    with pytest.raises(UserError, match=r"1 compounds lie more than 10 eV/atom below .* c \(NaCl, -22\.1 eV/atom\)"):
        made(tmp_path / "cells.csv", rows)
    columns = {"unit": "eV"}
    assert made(tmp_path / "cells.csv", rows, columns=columns).entries.energies == pytest.approx([-1.3, -1.8, -3.375])


def test_an_element_of_another_scale_is_refused_by_name(tmp_path):
    rows = [("a", "Si", -168.3), ("b", "C", -9.1), ("c", "SiC", -7.5)]
    with pytest.raises(UserError, match="all 1 compounds of C lie more than 10 eV/atom above"):
        made(tmp_path / "two.csv", rows)
