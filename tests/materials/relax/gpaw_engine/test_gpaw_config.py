"""config/gpaw.yaml is the demo with DFT behind it, and the phases that it judges against are what they are called."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from unimat.materials.crystals.structures import reduced_formula, space_group_number
from unimat.materials.datasets.ingest import read_crystals

CONFIG = Path(__file__).parents[4] / "config"
PHASES = {  # formula, space group, volume per atom (Å³) by the lattice constants in the literature
    "silicon_carbide_3c": ("SiC", 216, 4.3596**3 / 8),
    "silicon": ("Si", 227, 5.431020511**3 / 8),
    "diamond": ("C", 227, 3.5667**3 / 8),
    "graphite": ("C", 194, 2.464**2 * 6.711 * 3**0.5 / 8),
}


def of(name: str) -> dict:
    return yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))


def test_what_the_demo_computes_stays_as_it_is():
    demo, ours = of("config.yaml"), of("gpaw.yaml")
    for section in ("run", "seed", "dataset", "encode", "model", "train", "sample", "metrics", "compare"):
        assert ours[section] == demo[section], section
    assert demo["sets"].items() <= ours["sets"].items()
    for section in ("relax", "hull"):
        own = {key: value for key, value in ours[section].items() if key not in ("sets", "by_set")}
        assert own == {key: value for key, value in demo[section].items() if key != "sets"}


def test_crystals_and_their_reference_have_the_same_engine_and_settings():
    values = of("gpaw.yaml")
    by_set = values["relax"]["by_set"]
    assert by_set["best"] == by_set["phases"]
    assert by_set["best"]["engine"] == "gpaw"
    assert values["hull"]["by_set"]["best"]["reference"] == {"kind": "set", "set": "phases"}


def test_phases_are_those_of_the_literature():
    table, rejected = read_crystals(CONFIG / "silicon_carbon_phases")
    assert not rejected
    found = {crystal.material_id: crystal for crystal in table}
    assert found.keys() == PHASES.keys()
    for name, (formula, number, volume) in PHASES.items():
        crystal = found[name]
        assert reduced_formula(crystal.atomic_numbers) == formula
        assert space_group_number(crystal, 0.01) == number
        cell = abs(np.linalg.det(crystal.lattice))
        assert cell / len(crystal.atomic_numbers) == pytest.approx(volume, rel=1e-4)
