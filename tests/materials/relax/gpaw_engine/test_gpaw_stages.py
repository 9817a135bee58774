"""Stages of the engine `gpaw`, their files and their faults, with EMT in place of GPAW."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from unimat.errors import UserError
from unimat.materials.relax.gpaw import stage as gpaw_stage
from unimat.materials.relax.gpaw.engine import GpawEngine
from unimat.materials.relax.gpaw.job import GpawMaker, steps_on_disk
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.jobs.run import run
from unimat.materials.relax.settings import RelaxSettings

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.7), ["Cu"], [[0, 0, 0]]).get_primitive_structure()
ALLOY = Structure(Lattice.orthorhombic(2.8, 2.9, 4.2), ["Cu", "Al"], [[0, 0, 0], [0.47, 0.52, 0.45]])


def engine(**changed) -> GpawEngine:
    values = {"fmax": 0.005, "gpaw": GpawSettings(raw_outputs="keep", symmetrize=0.0), **changed}
    return GpawEngine(RelaxSettings(engine="gpaw", **values))


def by_ase(structure: Structure, fmax: float) -> tuple[float, float, int]:
    """Energy and volume per atom, and steps, of ASE alone."""
    atoms = AseAtomsAdaptor.get_atoms(structure)
    atoms.calc = EMT()
    optimizer = BFGS(FrechetCellFilter(atoms), logfile=None)
    optimizer.run(fmax=fmax)
    return atoms.get_potential_energy() / len(atoms), atoms.get_volume() / len(atoms), optimizer.nsteps


def test_outcome_is_that_of_ases_own_relaxation(instead_of_gpaw, tmp_path: Path):
    found = engine().relax(ALLOY, tmp_path)
    energy, volume, steps = by_ase(ALLOY, 0.005)
    assert found.converged
    assert found.failure is None
    # A second relaxation follows where the mesh of k-points is another one, and goes on where the first has ended.
    assert found.energy_per_atom == pytest.approx(energy, abs=1e-5)
    assert found.structure.volume / 2 == pytest.approx(volume, rel=1e-3)
    assert found.n_steps >= steps
    assert found.initial_energy_per_atom > found.energy_per_atom


@pytest.mark.parametrize(("density", "folders"), [(4.0, 3), (0.5, 2)])
def test_a_second_relaxation_is_for_cells_with_another_mesh(instead_of_gpaw, tmp_path: Path, density, folders):
    """From 3.7 Å to EMT's 3.6 Å, 4 points per Å⁻¹ become one more in each direction, and half a point does not."""
    wide = COPPER.copy()
    wide.scale_lattice(wide.volume * 1.3)
    engine(gpaw=GpawSettings(kpoint_density=density)).relax(wide, tmp_path)
    assert len(list(tmp_path.iterdir())) == folders


def test_a_finished_stage_is_read_and_not_computed(instead_of_gpaw, tmp_path: Path):
    first = engine().relax(ALLOY, tmp_path)
    calls = instead_of_gpaw.calls
    again = engine().relax(ALLOY, tmp_path)
    assert instead_of_gpaw.calls == calls
    assert again.energy_per_atom == first.energy_per_atom
    assert again.n_steps == first.n_steps


def test_a_result_that_was_changed_is_computed_again_and_said(instead_of_gpaw, tmp_path: Path, caplog):
    first = engine().relax(ALLOY, tmp_path)
    path = tmp_path / "static" / "result.json"
    path.write_text(path.read_text().replace('"energy": ', '"energy": 1'))
    again = engine().relax(ALLOY, tmp_path)
    assert again.energy_per_atom == first.energy_per_atom
    assert f"{path} cannot be used, the stage is computed again" in caplog.text


def test_a_relaxation_that_was_cut_off_goes_on_from_its_last_step(instead_of_gpaw, tmp_path: Path):
    instead_of_gpaw.allowed = 6
    with pytest.raises(KeyboardInterrupt):
        engine().relax(ALLOY, tmp_path)
    left = steps_on_disk(tmp_path / "relax_1")
    assert 3 <= len(left) <= 6
    with (tmp_path / "relax_1" / "relax.traj").open("ab") as stream:
        stream.write(b"- of Ulm" * 3)  # as a process killed while it writes leaves it
    instead_of_gpaw.allowed, instead_of_gpaw.calls = None, 0
    found = engine().relax(ALLOY, tmp_path)
    steps = steps_on_disk(tmp_path / "relax_1")
    assert found.converged
    assert found.initial_energy_per_atom * 2 == pytest.approx(left[0].get_potential_energy())
    np.testing.assert_array_equal(steps[len(left) - 1].positions, left[-1].positions)
    assert found.energy_per_atom == pytest.approx(by_ase(ALLOY, 0.005)[0], abs=1e-4)
    assert len(steps) - 1 == json.loads((tmp_path / "relax_1" / "result.json").read_text())["n_steps"]


def test_a_trajectory_that_cannot_be_read_is_begun_anew(instead_of_gpaw, tmp_path: Path):
    (tmp_path / "relax_1").mkdir()
    (tmp_path / "relax_1" / "relax.traj").write_bytes(b"torn")
    assert engine().relax(ALLOY, tmp_path).converged


def test_steps_run_out_is_an_unconverged_row_without_a_static_calculation(instead_of_gpaw, tmp_path: Path):
    found = engine(max_steps=2).relax(ALLOY, tmp_path)
    assert not found.converged
    assert found.failure is None
    assert found.n_steps == 2
    assert not (tmp_path / "static").exists()


def test_an_exploding_cell_is_a_row_with_the_reason(monkeypatch, instead_of_gpaw, tmp_path: Path):
    class Repulsive(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["stress"] = np.array([-0.3, -0.3, -0.3, 0, 0, 0])

    monkeypatch.setattr(GpawMaker, "_get_calculator", lambda self, atoms=None: Repulsive())
    found = engine().relax(COPPER, tmp_path)
    assert found.structure is None
    assert found.failure.startswith("relax_1 failed, the cell expanded beyond bonding")
    assert found.n_steps > 0
    assert found.initial_energy_per_atom is not None


def test_an_element_without_paw_set_is_a_row_that_is_tried_again(instead_of_gpaw, tmp_path: Path):
    found = engine().relax(Structure(Lattice.cubic(3.4), ["U"], [[0, 0, 0]]), tmp_path)
    assert found.failure.startswith("not relaxed, no PAW set for U")
    assert "U.PBE.gz" in found.failure
    assert "GPAW_SETUP_PATH" in found.failure
    assert found.transient


class KohnShamConvergenceError(Exception):
    """GPAW's, by name."""


@pytest.mark.parametrize("mendable", [True, False])
def test_without_self_consistency_slow_mixing_is_tried(monkeypatch, instead_of_gpaw, tmp_path: Path, mendable: bool):
    class Stubborn(EMT):
        slow = False

        def calculate(self, *args, **kwargs):
            if not (self.slow and mendable):
                raise KohnShamConvergenceError("Did not converge!")
            super().calculate(*args, **kwargs)

    def calculator(self, atoms=None):
        made = Stubborn()
        made.slow = self.calculator_kwargs.get("mixer", {}).get("beta") == 0.02
        return made

    monkeypatch.setattr(GpawMaker, "_get_calculator", calculator)
    found = engine().relax(COPPER, tmp_path)
    assert found.mended[0]["stage"] == "relax_1"
    assert found.mended[0]["error"] == "self-consistency not reached"
    assert found.mended[0]["changed"][0] == "mixer beta = 0.02"
    if mendable:
        assert found.converged
    else:
        assert found.failure == (
            "relax_1 failed, self-consistency not reached in 333 electronic steps, nor with slow mixing"
        )


def test_a_full_disk_ends_the_run_and_not_the_crystal(monkeypatch, instead_of_gpaw, tmp_path: Path):
    def full(self, atoms=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GpawMaker, "_get_calculator", full)
    with pytest.raises(UserError, match="is full; free some space and run again"):
        engine().relax(COPPER, tmp_path)


@pytest.mark.parametrize("raw_outputs", ["keep", "compress", "remove"])
def test_raw_outputs_stay_as_configured(instead_of_gpaw, tmp_path: Path, raw_outputs):
    folder = tmp_path / "crystal"
    engine(gpaw=GpawSettings(raw_outputs=raw_outputs)).relax(ALLOY, folder)
    trajectory = folder / "relax_1" / "relax.traj"
    assert trajectory.exists() == (raw_outputs == "keep")
    assert folder.exists() == (raw_outputs != "remove")
    if raw_outputs == "compress":
        assert gzip.decompress(trajectory.with_name("relax.traj.gz").read_bytes()).startswith(b"- of Ulm")
        assert engine(gpaw=GpawSettings(raw_outputs="compress")).relax(ALLOY, folder).converged


def test_a_stage_names_its_jobs(instead_of_gpaw):
    flow = engine().flow(ALLOY)
    assert [job.name for job in flow.jobs] == ["GPAW relax_1", "GPAW relax_2", "GPAW static"]
    assert GpawEngine.stage_names[-1] == gpaw_stage.STATIC


def test_a_flow_that_went_through_a_file_computes_what_the_engine_does(instead_of_gpaw, tmp_path: Path):
    text = json.dumps(engine().flow(ALLOY).as_dict(), cls=MontyEncoder)
    flow = MontyDecoder().process_decoded(json.loads(text))
    energies = [document.output.energy for document in run(flow, tmp_path / "flow")]
    found = engine().relax(ALLOY, tmp_path / "engine")
    assert energies[-1] / 2 == pytest.approx(found.energy_per_atom, abs=1e-4)
