"""Atoms beyond a force field's cutoff are no converged crystal, whatever the force field and the way to its result."""

import pytest
from jobflow import run_locally
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.engine import Relaxation, make_engine
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard

# ASE's effective medium theory of copper ends at 5.7 Å.
EMT = ForceFieldSettings(calculator="ase.calculators.emt.EMT", functional="none", corrections="none")


def fcc(a: float) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Cu"], [[0, 0, 0]])


def relaxed(structure: Structure, **changes) -> Relaxation:
    return make_engine(RelaxSettings(engine="ase", force_field=EMT, **changes)).relax(structure)


@pytest.mark.parametrize("structure", [fcc(3.8), fcc(3.8).get_primitive_structure()], ids=["cubic", "one atom"])
def test_forces_that_vanish_by_symmetry_are_felt(structure):
    outcome = relaxed(structure)
    assert (outcome.failure, outcome.converged) == (None, True)
    assert outcome.structure.volume / len(structure) == pytest.approx(3.59**3 / 4, rel=0.01)


@pytest.mark.parametrize("structure", [fcc(12.0), fcc(12.0).get_primitive_structure()], ids=["cubic", "one atom"])
def test_atoms_that_feel_no_other_have_not_converged(structure):
    outcome = relaxed(structure)
    n = len(structure)
    assert outcome.failure.startswith(f"{n} of {n} atoms feel no other (Cu{n}): the nearest is 8.49 Å away, beyond")
    assert (outcome.converged, outcome.structure, outcome.energy_per_atom, outcome.n_steps) == (False, None, None, 0)
    assert outcome.initial_energy_per_atom == pytest.approx(3.51, abs=0.01)  # EMT's cohesive energy of copper


def test_atoms_at_the_edge_of_the_cutoff_are_bound_by_nothing():
    """Forces vanish by symmetry and the stress is below the limit, 3.5 eV/atom above copper."""
    outcome = relaxed(fcc(8.1).get_primitive_structure())
    assert outcome.failure.startswith("its atoms are bound by ")
    assert "the nearest are 5.73 Å apart, at the edge of the force field's cutoff" in outcome.failure
    assert not outcome.converged


def test_one_lone_atom_beside_others_is_found():
    box, d = Lattice.cubic(18.0), 2.2 / 18
    outcome = relaxed(Structure(box, ["Cu", "Cu", "Ag"], [[0, 0, 0], [0, 0, d], [0.5, 0.5, 0.5]]))
    assert outcome.failure.startswith("1 of 3 atoms feel no other (Ag1): the nearest is 14.4 Å away")


def test_a_molecule_and_a_layer_in_vacuum_are_felt():
    box, d = Lattice.cubic(18.0), 2.2 / 18
    molecule = relaxed(Structure(box, ["Cu", "Cu"], [[0, 0, 0], [0, 0, d]]))
    assert (molecule.failure, molecule.converged) == (None, True)
    layer = relaxed(Structure(Lattice.tetragonal(2.5, 20.0), ["Cu"], [[0, 0, 0]]), max_steps=2)
    assert layer.failure is None


def test_a_document_of_a_job_is_judged_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = make_engine(RelaxSettings(engine="ase", force_field=EMT))
    for structure, n_lonely in ((fcc(3.8), 0), (fcc(12.0), 4)):
        job = engine.flow(structure)
        [response] = run_locally(job, log=False)[job.uuid].values()
        outcome = engine.outcome(structure, [response.output])
        assert outcome.converged == (n_lonely == 0)
        assert (outcome.failure or "").startswith(f"{n_lonely} of 4 atoms feel no other" if n_lonely else "")


def test_rock_salt_beyond_the_reach_of_chgnet_is_a_failed_row(tmp_path):
    """CHGNet gives rock-salt NaCl -3.668 eV/atom; at a = 13 Å neighbours are 6.5 Å apart, and its graph ends at 6."""
    crystals = []
    for a in (5.9, 13.0):
        salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        crystals.append(from_structure(salt.get_primitive_structure(), f"NaCl-{a}"))
    near, far = relax_shard(from_crystals(crystals), RelaxSettings(fmax=0.05, max_steps=60), tmp_path)
    assert near.properties["converged"]
    assert near.properties["energy_per_atom"] == pytest.approx(-3.668, abs=2e-3)
    assert not far.properties["converged"]
    assert far.properties["energy_per_atom"] is None
    assert far.properties["failure"].startswith("2 of 2 atoms feel no other (")
