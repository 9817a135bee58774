"""POSCAR texts that are easily read as another crystal, with values by hand."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.inputs import Poscar

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.poscar import crystal_of_poscar

HEAD = "x\n{scale}\n4 0 0\n0 5 0\n0 0 6\n"
BODY = "Si C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"


def poscar(body=BODY, scale="1.0"):
    return HEAD.format(scale=scale) + body


def rejection(text):
    with pytest.raises(CrystalRejected) as error:
        crystal_of_poscar(text, "x")
    return error.value.reason, error.value.detail


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        "Si_d C_s_GW\n1 1\nDirect\n0 0 0\n.5 .5 .5\n",
        "Si_d/79d9987ad87 C/f474ac0d\n1 1\nDirect\n0 0 0\n.5 .5 .5\n",
        "Si4+ C4-\n1 1\nDirect\n0 0 0\n.5 .5 .5\n",
        "SI C # from somewhere\n1 1 ! counts\nDirect\n0 0 0 Si1\n.5 .5 .5 C\n",
        "1 1\nDirect\n0 0 0 Si\n.5 .5 .5 C\n",
        "1 1\nSelective\nDirect\n0 0 0 T F T Si\n.5 .5 .5 F F F C\n",
        "Si C\n1 1\nSelective dynamics\nDirect\n0 0 0 T T T\n.5 .5 .5 T T T\n",
        "Si\nC\n1\n1\nCartesian\n0 0 0\n2 2.5 3\n",
        BODY + "\n0.0 0.0 0.0\n0.1 0.1 0.1\n",
        BODY + "\nDirect\n0 0 0\n0.1 0.1 0.1\n",
    ],
)
def test_two_atoms_however_they_are_written(body):
    crystal = crystal_of_poscar(poscar(body), "x")
    assert crystal.atomic_numbers.tolist() == [14, 6]
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-15)
    np.testing.assert_allclose(crystal.lattice, np.diag([4, 5, 6]))


@pytest.mark.parametrize(("scale", "edges"), [("-960", [8, 10, 12]), ("1 2 0.5", [4, 10, 3]), ("2.0", [8, 10, 12])])
def test_scales_hold_for_the_cell_and_for_cartesian_coordinates(scale, edges):
    crystal = crystal_of_poscar(poscar("Si C\n1 1\nCartesian\n0 0 0\n1 2.5 3\n", scale), "x")
    np.testing.assert_allclose(crystal.lattice, np.diag(edges), atol=1e-12)
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.25, 0.5, 0.5]], atol=1e-12)


def test_fluorine_and_flags_are_told_apart():
    text = poscar("F Li\n1 1\nSelective dynamics\nDirect\n0 0 0 F F F\n.5 .5 .5 T T F Li\n")
    assert crystal_of_poscar(text, "x").atomic_numbers.tolist() == [9, 3]
    assert crystal_of_poscar(poscar("Si C\n1 1\nDirect\n0 0 0 F F F\n.5 .5 .5 T T T\n"), "x").atomic_numbers[0] == 14


def test_more_than_twenty_kinds_fill_several_lines():
    structure = Structure(Lattice.cubic(20), ["Cr", "Fe"] * 15, [[n / 30, 0, 0] for n in range(30)])
    lines = str(Poscar(structure, sort_structure=False)).splitlines()
    names, counts = lines[5].split(), lines[6].split()
    broken = [*lines[:5], " ".join(names[:20]), " ".join(names[20:]), " ".join(counts[:20]), " ".join(counts[20:])]
    crystal = crystal_of_poscar("\n".join([*broken, *lines[7:]]), "x")
    assert crystal.atomic_numbers.tolist() == [24, 26] * 15


@pytest.mark.parametrize(
    ("body", "reason", "word"),
    [
        ("Si/Al C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "not_an_element", "Si/Al"),
        ("Fe/Ni C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "not_an_element", "Fe/Ni"),
        ("Wat C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "not_an_element", "Wat"),
        ("H.5 C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "not_an_element", "H.5"),
        ("Si C O\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "unreadable", "3 names"),
        ("Si\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "unreadable", "1 names"),
        ("Si C\n1 1\nDirect\n0 0 0\n.5 .5 .5\n.2 .2 .2\n", "unreadable", "more lines of coordinates"),
        ("Si C\n1 2\nDirect\n0 0 0\n.5 .5 .5\n", "unreadable", "expected 3"),
        ("Si C\n1 1\n0 0 0\n.5 .5 .5\n", "unreadable", "expected Direct or Cartesian"),
        ("1 1\nDirect\n0 0 0\n.5 .5 .5\n", "unreadable", "names the elements"),
        ("1 1\nDirect\n0 0 0 T T F\n.5 .5 .5 F F F\n", "unreadable", "names the elements"),
        ("2\nDirect\n0 0 0 Si\n.5 .5 .5 C\n", "unreadable", "names the elements"),
        ("Si C\n1 1\nDirect\n0 0 0 C\n.5 .5 .5 Si\n", "unreadable", "another element"),
        ("Si C\n1 1\nDirect\n0 0 nan\n.5 .5 .5\n", "unreadable", "nan"),
        ("Si C\n1 999999999999\nDirect\n0 0 0\n.5 .5 .5\n", "unreadable", "expected 1000000000000"),
        ("Si C\n0 0\nDirect\n", "no_atoms", "empty"),
        (BODY + poscar(), "unreadable", "more than one structure"),
        (BODY + "\n" + poscar(), "unreadable", "more than one structure"),
    ],
)
def test_what_could_be_read_as_another_crystal_is_refused(body, reason, word):
    found, detail = rejection(poscar(body))
    assert found == reason
    assert word in detail


@pytest.mark.parametrize("scale", ["0", "-1 2 3", "1 2", "one", "0 1 1"])
def test_a_scale_that_means_nothing_is_refused(scale):
    assert rejection(poscar(scale=scale))[0] in ("unreadable", "degenerate_lattice")
