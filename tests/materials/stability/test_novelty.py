"""Stable, unique, novel: independent of the order of rows and of the number of processes, with settings recorded."""

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import CrystalTable, from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.stability.novelty import novelty, with_novelty
from unimat.materials.stability.settings import HullSettings


def zincblende(a: float) -> Structure:
    return Structure.from_spacegroup("F-43m", Lattice.cubic(a), ["Si", "C"], [[0, 0, 0], [0.25, 0.25, 0.25]])


def rock_salt(a: float) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Si", "C"], [[0, 0, 0], [0.5, 0.5, 0.5]])


# Three of a kind, of which only the last in this order is stable; one of another kind, stable; one far above the hull.
STRUCTURES = [zincblende(4.36), zincblende(4.38), zincblende(4.34), rock_salt(4.0), zincblende(5.2)]
ENERGIES = [0.02, 0.05, -0.01, -0.03, 0.4]


def table_of(order: list[int]) -> tuple[CrystalTable, pd.DataFrame]:
    table = from_crystals([from_structure(STRUCTURES[row], f"c-{row}") for row in order])
    energies = np.array(ENERGIES)[order]
    frame = pd.DataFrame({"material_id": table.material_ids, "decomposition_energy": energies})
    return table, frame.assign(energy_per_atom=energies - 7.0, stable=energies < 0)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_the_lowest_of_its_kind_is_the_unique_one_in_any_order(order: list[int]):
    table, frame = table_of(order)
    known = from_crystals([from_structure(rock_salt(4.05), "known-0")])
    found = with_novelty(frame, table, known, HullSettings()).set_index("material_id").sort_index()
    assert found["unique"].tolist() == [False, False, True, True, pd.NA]
    assert found["novel"].tolist() == [True, True, True, False, pd.NA]
    assert found["known_id"].tolist() == [None, None, None, "known-0", None]
    assert found.index[found["stable"] & found["unique"] & found["novel"]].tolist() == ["c-2"]


def test_near_one_reference_is_near_enough_and_settings_are_recorded():
    table, frame = table_of([0, 1, 2, 3, 4])
    lower = frame.assign(decomposition_energy=frame["decomposition_energy"] - 0.35)
    tables = {"a": from_crystals([from_structure(rock_salt(4.05), "a-0")]), "b": from_crystals([])}
    found = novelty([frame, lower], table, tables, HullSettings(matcher="cdvae", match_below=0.08))
    assert found.unique.notna().all()
    assert found.summary["matched"] == {"count": 5, "of": 5}
    assert found.summary["matcher"]["stol"] == 0.5
    assert found.summary["known"] == {"a": 1, "b": 0}
    assert found.summary["problems"] == {"unreduced": 0, "failed": 0, "timed_out": 0}


def test_without_known_crystals_nothing_is_called_novel():
    table, frame = table_of([0, 1, 2, 3, 4])
    assert with_novelty(frame, table, None, HullSettings())["novel"].isna().all()
