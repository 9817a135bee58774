"""Relaxations that leave what a crystal can be: ended early, each a row with its reason, and the rest goes on."""

import sys
import time
import types

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from pymatgen.core import Lattice, Structure

from unimat.materials.relax.engine import cell_failure, energy_failure, make_engine
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.settings import RelaxSettings

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.8), ["Cu"], [[0, 0, 0]])


class Pressing(Calculator):
    """Pulls or presses on the cell without end; cells that are long along c are another matter."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012
    stress, energy = 0.0, -1.0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        n_atoms = len(self.atoms)
        values = {"forces": np.zeros((n_atoms, 3)), "stress": np.array([self.stress] * 3 + [0.0] * 3)}
        self.results = {"energy": self.energy * n_atoms, **values}


class Expanding(Pressing):
    stress = -1.0


class Collapsing(Pressing):
    stress = 1.0


class NotANumber(Pressing):
    energy = np.nan


class FallingIntoAHole(Pressing):
    """Lower by the volume, without end."""

    stress = 0.05

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = -10000 / self.atoms.get_volume()


class Attracting(Pressing):
    """The second atom moves onto the first, and no force tells that it should not."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        apart = self.atoms.positions[1] - self.atoms.positions[0]
        self.results["forces"][1] = -apart / 4
        self.results["forces"][0] = apart / 4


class Slow(EMT):
    def calculate(self, *args, **kwargs):
        time.sleep(0.1)
        super().calculate(*args, **kwargs)


class Raising(Pressing):
    def calculate(self, *args, **kwargs):
        raise RuntimeError("the network has no such node\nand says so on two lines")


@pytest.fixture
def relaxed(monkeypatch):
    """Relaxes by a calculator of this module."""
    module = types.ModuleType("misbehaving")
    monkeypatch.setitem(sys.modules, "misbehaving", module)

    def relax(calculator, structure=COPPER, **changes):
        setattr(module, calculator.__name__, calculator)
        given = ForceFieldSettings(
            calculator=f"misbehaving.{calculator.__name__}", functional="none", corrections="none"
        )
        engine = make_engine(RelaxSettings(engine="ase", force_field=given, **changes))
        if calculator is FallingIntoAHole:
            engine.maker.limits["plausible"] = (-60.0, 60.0)  # it begins with -10000 eV / 54.9 Å^3 of four atoms
        return engine.relax(structure)

    return relax


@pytest.mark.parametrize(
    ("calculator", "reason"),
    [
        (Expanding, "the cell expanded beyond bonding: "),
        (Collapsing, "the cell collapsed: "),
        (NotANumber, "the energy is not finite"),
        (FallingIntoAHole, "the energy is implausible: -"),
        (Raising, "calculation failed: RuntimeError: the network has no such node and says so on two lines"),
    ],
)
def test_a_relaxation_that_leads_nowhere_is_ended_with_its_reason(relaxed, calculator, reason):
    outcome = relaxed(calculator)
    assert outcome.structure is None
    assert outcome.failure.startswith(reason), outcome.failure
    assert not outcome.converged
    assert not outcome.transient
    assert outcome.n_steps < 100  # of 500


def test_atoms_that_end_on_top_of_each_other(relaxed):
    pair = Structure(Lattice.cubic(6.0), ["Cu", "Cu"], [[0, 0, 0], [0.3, 0, 0]])
    outcome = relaxed(Attracting, pair)
    assert outcome.failure.startswith("atoms overlap after relaxation: ")
    assert outcome.failure.endswith("the limit is 0.5 Å")


def test_a_time_limit_is_told_with_what_it_took(relaxed):
    outcome = relaxed(Slow, max_seconds=0.25, fmax=1e-9)
    assert outcome.failure == "out of time: 0 s, the limit is 0.25"
    assert 1 <= outcome.n_steps <= 3
    assert outcome.initial_energy_per_atom is not None


def test_unconverged_at_the_step_limit_is_no_failure(relaxed):
    outcome = relaxed(EMT, max_steps=3, fmax=1e-9)
    assert (outcome.failure, outcome.converged, outcome.n_steps) == (None, False, 3)
    assert outcome.structure is not None


def test_a_limit_of_one_step_is_kept(relaxed):
    """atomate2 runs no optimizer then, and says that it converged."""
    outcome = relaxed(EMT, max_steps=1)
    assert (outcome.failure, outcome.converged, outcome.n_steps) == (None, False, 1)


def scaled(volume_ratio: float) -> Structure:
    structure = COPPER.copy()
    structure.scale_lattice(COPPER.volume * volume_ratio)
    return structure


def test_limits_of_a_relaxed_cell():
    """Copper at 3.8 Å has 13.7 Å^3 per atom: five times that is too much, a seventh of it too little."""
    assert cell_failure(COPPER, scaled(4.9)) is None
    assert cell_failure(COPPER, scaled(5.1)) == "the cell expanded beyond bonding: 5.1 times its volume, the limit is 5"
    assert cell_failure(COPPER, scaled(0.14)) == "the cell collapsed: 1.92 Å^3 per atom, the limit is 2.0"
    assert cell_failure(COPPER, scaled(0.14), RelaxSettings(min_volume_per_atom=1.5)) is None
    close = Structure(Lattice.cubic(6.0), ["Cu", "Cu"], [[0, 0, 0], [0.05, 0, 0]])
    assert cell_failure(close, close) == "atoms overlap after relaxation: 0.300 Å between two atoms, the limit is 0.5 Å"


def test_limits_of_an_energy():
    assert energy_failure(-8.0, (-25.0, 25.0)) is None
    assert energy_failure(-163.0) is None
    assert energy_failure(None) == energy_failure(float("inf")) == "the energy is not finite"
    assert energy_failure(-163.0, (-25.0, 25.0)) == "the energy is implausible: -163 eV/atom, outside of -25 to 25"
