"""Core-hours before anything is submitted: what they are made of against counts by hand, and the command's table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from tests.materials.stability.judged_set import CELLS, crystal
from unimat import cli, crystal_table
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.screening import core_hours
from unimat.materials.screening.core_hours_table import hours_text
from unimat.materials.screening.settings import EstimateSettings
from unimat.materials.screening.workload import (
    gpaw_workload,
    irreducible,
    mesh_of_spacing,
    valence_electrons,
    vasp_workload,
)
from unimat.settings import load_settings

VASP = RelaxSettings(engine="vasp")
SILICON = CELLS["Si"](5.43).get_primitive_structure()


def table(*rows: tuple[str, str, float]) -> crystal_table.CrystalTable:
    return crystal_table.from_crystals([crystal(*row) for row in rows])


@pytest.mark.parametrize(
    ("formula", "electrons"),
    [("Si", 4 + 4), ("SiC", 4 + 4), ("MgO", 8 + 6), ("FeO", 14 + 6)],  # Mg_pv and Fe_pv have six more than Mg and Fe
)
def test_valence_electrons_are_those_of_the_materials_projects_potentials(formula: str, electrons: int):
    assert valence_electrons(CELLS[formula](4.3).get_primitive_structure(), {}) == electrons


def test_a_potential_of_ones_own_counts_as_the_one_it_is_named_after():
    magnesia = CELLS["MgO"](4.2).get_primitive_structure()
    assert valence_electrons(magnesia, {"Mg": "Mg"}) == 2 + 6
    assert valence_electrons(magnesia, {"Mg": "Mg_sv_new"}) == 10 + 6


def test_an_element_without_a_potential_is_a_row_with_the_reason():
    frame = core_hours.core_hours(table(("a", "Po", 3.3), ("b", "Si", 5.43)), VASP, EstimateSettings())
    assert frame["problem"].tolist() == [
        "no potential for Po, neither the Materials Project's nor in relax.vasp.potcars",
        None,
    ]
    assert frame["core_hours"].isna().tolist() == [True, False]
    total = core_hours.total(frame, VASP, EstimateSettings())
    assert (total["n"], total["of"]) == (1, 2)
    assert total["total"] == frame["core_hours"][1]


def test_irreducible_k_points_against_known_counts():
    """Diamond with a gamma-centred 4 x 4 x 4 mesh has 8; without symmetry only time reversal is left."""
    assert irreducible(SILICON, (4, 4, 4)) == 8
    crooked = Structure(
        Lattice.from_parameters(4, 5, 6, 81, 95, 103), ["Na", "Cl", "O"], np.random.default_rng(0).random((3, 3))
    )
    assert irreducible(crooked, (4, 3, 3)) == (36 + 2) / 2  # two are their own inverse


def test_a_cell_that_spglib_gives_up_on_has_only_time_reversal():
    overlapping = Structure(Lattice.cubic(4), ["Si", "Si"], [[0, 0, 0], [0, 0, 0]])
    assert irreducible(overlapping, (3, 3, 3)) == 14


def test_workload_by_vasp_follows_its_tags():
    work = vasp_workload(SILICON, VASP)
    assert (work.n_electrons, work.n_kpoints, work.n_spins) == (8, 20, 2)
    tags = {"ISPIN": 1, "KSPACING": 0.51}
    work = vasp_workload(
        SILICON, load_settings(RelaxSettings, {"engine": "vasp", "vasp": {"user_incar_settings": tags}})
    )
    assert work.n_spins == 1
    assert mesh_of_spacing(SILICON, 0.51) == (4, 4, 4)  # reciprocal vectors of 2.004 per Å
    assert mesh_of_spacing(SILICON, 0.5) == (5, 5, 5)
    assert work.n_kpoints == work.n_kpoints_static == 8


def test_workload_by_gpaw_has_spins_where_there_are_moments():
    gpaw = load_settings(RelaxSettings, {"engine": "gpaw", "gpaw": {"kpoint_density": 1.9}})
    assert gpaw_workload(SILICON, gpaw).n_spins == 1
    assert gpaw_workload(CELLS["FeO"](4.3).get_primitive_structure(), gpaw).n_spins == 2
    assert gpaw_workload(SILICON, gpaw).n_kpoints == 8  # 4 x 4 x 4


def test_core_hours_by_hand():
    """Silicon: twelve relaxation steps and a static one of eight electronic steps, 2 spins, 8 electrons."""
    frame = core_hours.core_hours(table(("a", "Si", 5.43)), VASP, EstimateSettings())
    work = vasp_workload(SILICON, VASP)
    steps = 8 * (12 * work.n_kpoints + work.n_kpoints_static) * 2
    assert frame["core_hours"][0] == pytest.approx(steps * (1.57 + 5.6e-5 * 8**2.5) / 3600)
    assert frame.loc[0, ["n_atoms", "n_electrons", "n_kpoints", "n_spins"]].tolist() == [2, 8, work.n_kpoints, 2]


def test_rate_and_steps_scale_the_estimate():
    one = core_hours.core_hours(table(("a", "Si", 5.43)), VASP, EstimateSettings())["core_hours"][0]
    triple = core_hours.core_hours(table(("a", "Si", 5.43)), VASP, EstimateSettings(rate=3.0))["core_hours"][0]
    assert triple == pytest.approx(3 * one)
    more = core_hours.core_hours(table(("a", "Si", 5.43)), VASP, EstimateSettings(electronic_steps=16.0))
    assert more["core_hours"][0] == pytest.approx(2 * one)


def test_a_force_field_costs_by_atoms_alone():
    frame = core_hours.core_hours(table(("a", "Po", 3.3), ("b", "Si", 5.43)), RelaxSettings(), EstimateSettings())
    assert frame["core_hours"][1] == pytest.approx(2 * frame["core_hours"][0])
    assert frame["n_electrons"].isna().all()
    assert frame["problem"].isna().all()


def test_an_empty_set_costs_nothing():
    empty = table(("a", "Si", 5.43)).take([])
    frame = core_hours.core_hours(empty, VASP, EstimateSettings())
    total = core_hours.total(frame, VASP, EstimateSettings())
    assert (total["total"], total["n"], total["of"], total["largest"]) == (0.0, 0, 0, None)
    json.dumps(total, allow_nan=False)


def test_the_command_prints_a_table_with_the_span_and_writes_every_row(tmp_path: Path, capsys):
    path = tmp_path / "crystals.parquet"
    crystal_table.write(table(("a", "Si", 5.43), ("b", "FeO", 4.3), ("c", "Po", 3.3)), path)
    words = [
        "estimate",
        "--crystals",
        str(path),
        "--relax",
        '{"engine": "vasp"}',
        "--out-file",
        str(tmp_path / "hours.csv"),
    ]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "hours.csv")
    assert frame["material_id"].tolist() == ["a", "b", "c"]
    amount = frame["core_hours"].sum()
    assert f"total {hours_text(amount)} core-hours by vasp, 2 of 3 crystals, within a factor of 4" in said
    assert "c: no estimate, no potential for Po" in said
    assert "fitted to 15 calculations" in said


@pytest.mark.parametrize(
    ("hours", "said"), [(0.01234, "0.012"), (12.34, "12"), (123456.0, "120,000"), (float("nan"), "-")]
)
def test_hours_have_two_digits(hours: float, said: str):
    assert hours_text(hours) == said
