"""Energies against CHGNet called by hand, and a predictor of one's own."""

import sys

import numpy as np
import pytest

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.metrics import energies as module
from unimat.materials.metrics.energies import energies, energy_type
from unimat.materials.metrics.evaluate import evaluate
from unimat.materials.metrics.settings import MetricsSettings

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
DIAMOND = Crystal("diamond", 3.57 * FCC, np.array([6, 6]), np.array([[0, 0, 0], [0.25] * 3]))
ROCK_SALT = Crystal("rock-salt", 5.64 * FCC, np.array([11, 17]), np.array([[0, 0, 0], [0.5] * 3]))
TOO_DENSE = Crystal("too-dense", 1.5 * np.eye(3), np.array([6, 6]), np.array([[0, 0, 0], [0.5] * 3]))
AMERICIUM = Crystal("americium", 5.0 * FCC, np.array([95]), np.zeros((1, 3)))
PREDICTOR = "tests_of_energies:predict"


@pytest.fixture
def predictor(tmp_path, monkeypatch):
    """A module of somebody's own: the energy is minus the mean atomic number; sodium it does not know."""
    (tmp_path / "tests_of_energies.py").write_text(
        "calls = []\n"
        "def predict(structures):\n"
        "    calls.append(len(structures))\n"
        "    if any(structure.composition.reduced_formula == 'NaCl' for structure in structures):\n"
        "        raise RuntimeError('no sodium, please')\n"
        "    return [-sum(site.specie.Z for site in each) / len(each) for each in structures]\n"
        "predict.energy_type = {'calculator': 'mean atomic number', 'quantity': 'minus Z'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tests_of_energies", raising=False)
    module.load.cache_clear()
    return tmp_path


def test_failures_are_of_one_crystal_alone(predictor):
    found = energies([DIAMOND, ROCK_SALT, TOO_DENSE, DIAMOND], PREDICTOR)
    np.testing.assert_array_equal(found.values, [-6, np.nan, np.nan, -6])
    assert found.failures == [
        None,
        "RuntimeError: no sodium, please",
        "degenerate_lattice: 1.69 Å^3 per atom, the limit is 2.0",
        None,
    ]
    assert found.energy_type == {"calculator": "mean atomic number", "quantity": "minus Z"}


def test_energies_are_kept_by_content_and_by_the_predictors_text(predictor, tmp_path):
    import tests_of_energies

    for _ in range(2):
        assert energies([DIAMOND], PREDICTOR, cache=tmp_path / "cache").values.tolist() == [-6]
    assert tests_of_energies.calls == [1]
    with (predictor / "tests_of_energies.py").open("a") as file:
        file.write("# another version\n")
    energies([DIAMOND], PREDICTOR, cache=tmp_path / "cache")
    assert tests_of_energies.calls == [1, 1]


@pytest.mark.parametrize("name", ["tests_of_energies:other", "no_such_module:predict"])
def test_predictor_that_is_not_there_is_one_line(predictor, name):
    with pytest.raises(UserError, match="cannot be loaded"):
        energies([DIAMOND], name)


def test_energy_distribution_stands_in_both_modes_and_in_the_verdicts(predictor):
    tables = [crystal_table.from_crystals(rows) for rows in ([DIAMOND, ROCK_SALT], [DIAMOND])]
    metrics = evaluate("made", *tables, settings=MetricsSettings(energy_predictor=PREDICTOR, resamples=20))
    for mode in ("cdvae", "strict"):
        entry = metrics.summary[mode]["distributions"]["energy_per_atom"]
        assert (entry["wasserstein"], entry["unit"], entry["n_generated"], entry["n_valid"]) == (0, "eV/atom", 1, 2)
        assert entry["n_without_value"] == {"generated": 1, "reference": 0}
    assert metrics.summary["failures"]["energy"] == {"RuntimeError": 1}
    assert metrics.summary["energy_type"]["calculator"] == "mean atomic number"
    assert metrics.verdicts.column("energy_per_atom").to_pylist() == [-6, None]


def test_chgnets_energies_are_those_of_its_own_calls():
    from chgnet.model import CHGNet

    model = CHGNet.load(verbose=False, use_device="cpu")
    found = energies([DIAMOND, TOO_DENSE, ROCK_SALT, AMERICIUM], "chgnet")
    expected = [float(model.predict_structure(to_structure(each))["e"]) for each in (DIAMOND, ROCK_SALT)]
    assert found.values[[0, 2]].tolist() == pytest.approx(expected, abs=1e-5)
    assert found.values[0] == pytest.approx(-9.1, abs=0.1)  # the Materials Project's diamond
    assert found.failures[3] == "unknown_element: CHGNet knows elements up to 94, found atomic number 95"
    assert "MP2020" in energy_type("chgnet")["corrections"]
