"""The embedded dataset is what its data card says."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from unimat import crystal_table
from unimat.materials.crystals.structures import check_crystal
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard

FOLDER = Path(str(resources.files("unimat.materials.datasets") / "embedded/silicon_carbon"))


@pytest.fixture(scope="module")
def table() -> crystal_table.CrystalTable:
    return crystal_table.read(FOLDER / "crystals.parquet")


def test_card_counts_the_table(table):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"\n{len(table)} crystals of C, Si and Si-C" in card
    counts = ", ".join(map(str, np.bincount(table.n_atoms, minlength=9)[1:]))
    assert f"| atoms per cell, 1 to 8 | {counts} |" in card
    assert f"median energy above it {np.median(table.column('e_above_hull')):.2f} eV/atom" in card


def test_crystals_are_sound_carbon_and_silicon(table):
    assert set(table.flat_atomic_numbers) == {6, 14}
    assert table.n_atoms.max() == 8
    assert table.column("e_above_hull").min() == 0
    assert table.column("e_above_hull").max() < 2
    for crystal in table:
        check_crystal(crystal)


def test_energies_are_chgnets_and_structures_are_relaxed(table, tmp_path):
    """A first CHGNet step on three crystals finds the table's energy, and forces that have converged already."""
    lowest = table.take(np.argsort(table.column("e_above_hull"))[[0, 100, 400]])
    again = relax_shard(lowest, RelaxSettings(max_steps=2, fmax=0.06), tmp_path)
    np.testing.assert_allclose(again.column("initial_energy_per_atom"), lowest.column("energy_per_atom"), atol=2e-4)
    assert again.column("converged").all()
