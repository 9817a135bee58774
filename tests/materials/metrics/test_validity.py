"""Validity against hand-made crystals, smact's own function, and published rates."""

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Composition, Element, Structure

from unimat.crystal_table import Crystal
from unimat.materials.metrics.validity import charge_failure, composition_failure, distances, structure_failure

DATA = Path(os.environ.get("UNIMAT_DATA_DIR", "nowhere"))


def crystal(lattice, numbers, coords):
    lattice = np.diag(lattice) if np.ndim(lattice) == 1 else np.array(lattice)
    return Crystal("made-by-hand", lattice.astype(float), np.array(numbers), np.array(coords, float))


def verdict(crystal, *, images):
    return structure_failure(distances(crystal), 0.5, 0.1, images=images)


def test_rock_salt_has_its_bond_length_and_is_valid():
    a = 5.64
    found = distances(
        crystal([[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]], [11, 17], [[0] * 3, [0.5] * 3])
    )
    assert found.between_atoms == pytest.approx(a / 2)
    assert found.own_image == pytest.approx(a / np.sqrt(2))
    assert found.volume == pytest.approx(a**3 / 4)
    assert structure_failure(found, 0.5, 0.1, images=True) is None


def test_own_images_count_only_in_the_strict_reading():
    thin = crystal([0.3, 4, 4], [6], [[0, 0, 0]])
    assert distances(thin).own_image == pytest.approx(0.3)
    assert verdict(thin, images=False) is None
    assert verdict(thin, images=True) == "an atom 0.300 Å from its own image, the limit is 0.5 Å"


def test_own_image_across_a_skewed_cell_is_found():
    """Long cell edges hide a short lattice vector: c - 5 a = (0, 0, 0.4)."""
    skewed = crystal([[3, 0, 0], [0, 3, 0], [15, 0, 0.4]], [6], [[0, 0, 0]])
    assert distances(skewed).own_image == pytest.approx(0.4)


def test_atoms_too_close_across_the_cell_border_are_invalid():
    overlapping = crystal([4, 4, 4], [6, 6], [[0.01, 0, 0], [0.91, 0, 0]])
    assert verdict(overlapping, images=False) == "two atoms 0.400 Å apart, the limit is 0.5 Å"


def test_distance_at_the_limit_is_valid():
    assert verdict(crystal([4, 4, 4], [6, 6], [[0, 0, 0], [0.125, 0, 0]]), images=True) is None


def test_cell_without_volume_is_invalid():
    assert verdict(crystal([4, 4, 0.001], [6], [[0, 0, 0]]), images=False) == "volume 0.016 Å^3, the limit is 0.1 Å^3"
    assert verdict(crystal([4, 4, 0], [6, 6], [[0, 0, 0], [0.5, 0, 0]]), images=False).startswith("volume 0 ")


def test_distances_are_those_of_pymatgens_distance_matrix():
    rng = np.random.default_rng(0)
    for _ in range(20):
        made = crystal(rng.normal(0, 3, (3, 3)), [6] * 5, rng.uniform(-1, 2, (5, 3)))
        matrix = Structure(made.lattice, ["C"] * 5, made.frac_coords).distance_matrix
        assert distances(made).between_atoms == pytest.approx(matrix[np.triu_indices(5, 1)].min())


@pytest.mark.parametrize("formula", ["NaCl", "Si8", "He2", "FeNi3", "CsAu", "Al2O3", "LiFePO4", "SiC"])
def test_composition_is_valid(formula):
    assert composition_failure(Composition(formula)) is None


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("NaCl2", "no oxidation states make it charge neutral"),
        ("Fe3O4", "no oxidation states make it charge neutral"),  # one state per element; magnetite mixes two
        ("NaHe", "smact lists no oxidation state of He"),
        ("Pm2O3", "smact lists no electronegativity of Pm"),
        ("RfO2", "smact lists no oxidation state of Rf"),
    ],
)
def test_composition_is_not_valid(formula, reason):
    assert composition_failure(Composition(formula)) == reason


def test_cations_must_be_less_electronegative_than_anions():
    """Boron has positive states only, so NaB is neutral as Na- B+ alone, and sodium is the less electronegative."""
    reason = "each neutral combination has a cation at least as electronegative as an anion"
    assert composition_failure(Composition("NaB")) == reason


def test_only_the_ratios_count():
    assert composition_failure(Composition("Na4Cl8")) == composition_failure(Composition("NaCl2"))


@pytest.mark.parametrize("oxidation_states", ["smact14", "icsd16", "icsd24", "pymatgen_sp", "smact_default"])
def test_composition_rule_is_smacts(oxidation_states):
    from smact.screening import smact_validity

    draw = random.Random(0)
    symbols = [Element.from_Z(z).symbol for z in range(1, 104)]
    for _ in range(400):
        formula = "".join(f"{symbol}{draw.randint(1, 6)}" for symbol in draw.sample(symbols, draw.randint(1, 4)))
        composition = Composition(formula)
        named = None if oxidation_states == "smact_default" else oxidation_states
        expected = smact_validity(composition, oxidation_states_set=named)
        assert (composition_failure(composition, oxidation_states) is None) == expected, formula


def test_many_elements_need_no_cut_off():
    """28 elements, some 10^13 combinations of oxidation states: too many to walk through, and a neutral one exists."""
    symbols = [Element.from_Z(z).symbol for z in range(3, 33) if z not in (10, 18)]
    mixed = dict.fromkeys(symbols, 1)
    assert composition_failure(Composition(mixed)) is not None  # too few anions
    assert composition_failure(Composition(mixed | {"O": 20})) is None


def cell(formula):
    """Atomic numbers of the atoms of a formula, one by one."""
    return np.repeat(*zip(*((element.Z, int(n)) for element, n in Composition(formula).items()), strict=True))


@pytest.mark.parametrize("formula", ["NaCl", "Fe3O4", "Si8", "FeNi3", "CsAu", "LiFePO4", "Ag2O2", "BaBiO3Ba1Bi1O3"])
def test_charges_balance(formula):
    assert charge_failure(cell(formula)) is None


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("NaCl2", "no usual oxidation states balance its charges, mixed valences included"),
        ("NaHe", "pymatgen lists no oxidation state of He"),
    ],
)
def test_charges_do_not_balance(formula, reason):
    assert charge_failure(cell(formula)) == reason


def test_charge_balance_is_pymatgens_guess():
    """Of random compositions small enough for pymatgen, which tries combinations one by one."""
    draw = random.Random(1)
    symbols = [Element.from_Z(z).symbol for z in range(1, 93)]
    verdicts = []
    for _ in range(150):
        chosen = [*draw.sample(symbols, draw.randint(1, 3)), "O"]
        composition = Composition("".join(f"{symbol}{draw.randint(1, 4)}" for symbol in chosen))
        verdicts.append(charge_failure(cell(composition.formula)) is None)
        if not verdicts[-1] or len(composition) > 1:
            assert verdicts[-1] == bool(composition.oxi_state_guesses()), composition
    assert 20 < sum(verdicts) < 130


def test_charge_balance_of_a_large_cell_takes_no_time():
    """Eight elements of 12 atoms each: some 10^30 ways to give each atom a state."""
    start = time.perf_counter()
    assert charge_failure(cell("Mn12Fe12Cr12V12Mo12W12O96Cl12")) is None
    assert time.perf_counter() - start < 1


@pytest.mark.published
def test_composition_validity_of_the_mp_20_test_split_is_the_published_one():
    import pyarrow.feather as feather

    formulas = feather.read_table(DATA / "mp_20" / "test.feather", columns=["pretty_formula"]).column(0).to_pylist()
    valid = sum(composition_failure(Composition(formula)) is None for formula in formulas)
    assert valid / len(formulas) == pytest.approx(0.9105, abs=5e-5)
