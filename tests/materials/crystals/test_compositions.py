"""Formulas and keys of compositions, and the command that writes formulas to sample for."""

import csv

import numpy as np

from tests.model.model_helpers import random_table
from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, from_crystals
from unimat.materials.crystals.compositions import cell_formulas, reduced_composition_keys
from unimat.materials.crystals.structures import to_structure
from unimat.model.sampling.formula import parsed

SIX = np.random.default_rng(0).random((6, 3))
QUARTZ_LIKE = Crystal("t-1", 5.0 * np.eye(3), np.array([8, 14, 8, 14, 8, 8]), SIX)
CARBON = Crystal("t-2", 3.0 * np.eye(3), np.array([6]), SIX[:1])


def test_a_formula_is_of_the_whole_cell_and_reads_back():
    table = from_crystals([QUARTZ_LIKE, CARBON])
    assert cell_formulas(table) == ["O4Si2", "C1"]
    many = random_table(30, (3, 8, 26, 92), 9)
    for crystal, formula in zip(many, cell_formulas(many), strict=True):
        composition = to_structure(crystal).composition
        assert parsed(formula) == {element.Z: int(n) for element, n in composition.items()}
    keys = reduced_composition_keys(table)
    assert len(set(keys)) == 2


def test_the_command_keeps_the_order_and_names_the_truths(tmp_path, capsys):
    crystal_table.write(from_crystals([QUARTZ_LIKE, CARBON]), tmp_path / "t.parquet")
    crystal_table.write(from_crystals([QUARTZ_LIKE]).take([]), tmp_path / "none.parquet")
    assert (
        main(["compositions", "--crystals", str(tmp_path / "t.parquet"), "--out-file", str(tmp_path / "a/f.csv")]) == 0
    )
    with (tmp_path / "a/f.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == [
            {"formula": "O4Si2", "truth_id": "t-1"},
            {"formula": "C1", "truth_id": "t-2"},
        ]
    assert (
        main(["compositions", "--crystals", str(tmp_path / "none.parquet"), "--out-file", str(tmp_path / "f.csv")]) == 2
    )
    assert "holds no crystals; there are no compositions to sample for" in capsys.readouterr().err
