"""Molecular dynamics by VASP from a crystal to its row, through atomate2 and custodian, with a stand-in for VASP."""

import dataclasses
import gzip
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from pymatgen.core import SETTINGS, Lattice, Structure
from pymatgen.io.vasp import Kpoints, Poscar
from pymatgen.io.vasp.inputs import Incar

from tests.materials.relax.vasp_engine.stand_in_vasp import MARK, SPRING, depth
from tests.materials.relax.vasp_engine.vasp_helpers import IRON_OXIDE, LITHIUM_FLUORIDE, NEWER, SILICON
from unimat import crystal_table
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.dynamics.assess import after_equilibration
from unimat.materials.dynamics.engine import make_md_engine
from unimat.materials.dynamics.frames import KB, read_parts
from unimat.materials.dynamics.run import move
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.dynamics.table import dynamics
from unimat.materials.relax.settings import VaspSettings
from unimat.materials.relax.wall_time import OutOfTime

HYDRIDE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.1), ["Li", "H"], [[0] * 3, [0.5] * 3])


def md_settings(stand_in, vasp=None, **changes) -> MdSettings:
    """Forty steps of a cell of sixteen atoms in four calculations."""
    own = VaspSettings(command=stand_in.command, **{"poll_interval": 0.1, "monitor_interval": 0.3} | (vasp or {}))
    small = {"duration": 0.08, "sample_every": 2, "restart_every": 10, "min_length": 6.0, "max_atoms": 16}
    return MdSettings(engine="vasp", vasp=own, **{**small, **changes})


def run(stand_in, structure, vasp=None, **changes):
    settings = md_settings(stand_in, vasp, **changes)
    engine = make_md_engine(settings)
    return move(from_structure(structure, "c-0"), engine, settings, stand_in.work)


def incar(stand_in, step=0) -> Incar:
    return Incar.from_str(text(stand_in, step, "INCAR"))


def text(stand_in, step, name) -> str:
    path = stand_in.work / f"vasp_{step:09d}" / name
    return path.read_text() if path.exists() else gzip.decompress(path.with_name(f"{name}.gz").read_bytes()).decode()


def test_inputs_are_the_papers(stand_in):
    """Appendix 7: NVT, no spin polarisation, 2 fs; PBE, 520 eV and +U as in all its calculations."""
    run(stand_in, IRON_OXIDE, temperature=500.0)
    found = incar(stand_in)
    wanted = {
        "IBRION": 0, "ISPIN": 1, "POTIM": 2.0, "MDALGO": 2, "SMASS": 0, "ISIF": 2, "TEBEG": 500, "TEEND": 500,
        "ENCUT": 520, "NSW": 10, "ISYM": 0, "LDAU": True,
    }  # fmt: skip
    assert {key: found[key] for key in wanted} == wanted
    assert "MAGMOM" not in found
    assert sorted(found["LDAUU"]) == [0, 5.3]
    points = Kpoints.from_str(text(stand_in, 0, "KPOINTS"))
    assert (points.style.name, points.kpts) == ("Gamma", [(1, 1, 1)])
    assert MARK in text(stand_in, 0, "vasprun.xml")[:200]


def test_hydrogen_quarters_the_time_step(stand_in):
    _, frames = run(stand_in, HYDRIDE, duration=0.01, restart_every=20)
    assert incar(stand_in)["POTIM"] == 0.5
    assert incar(stand_in)["NSW"] == 20
    assert frames.step[-1] == 18


def test_settings_of_the_engine_reach_vasp(stand_in):
    own = {"potcars": NEWER, "user_incar_settings": {"NCORE": 4, "SMASS": 1.5}}
    run(stand_in, LITHIUM_FLUORIDE, own, duration=0.02, time_step=1.0, reciprocal_density=64)
    found = incar(stand_in)
    assert (found["NCORE"], found["SMASS"], found["POTIM"]) == (4, 1.5, 1.0)
    assert "PAW_PBE Li_sv 01Jan2020" in text(stand_in, 0, "POTCAR")
    assert np.prod(Kpoints.from_str(text(stand_in, 0, "KPOINTS")).kpts[0]) > 1


def test_a_run_of_several_calculations_is_one_trajectory(stand_in):
    """Each starts from the positions and velocities that the one before ended with; energies are VASP's."""
    structure, frames = run(stand_in, SILICON, temperature=400.0)
    assert [call["folder"] for call in stand_in.calls] == [f"vasp_{step:09d}" for step in (0, 10, 20, 30)]
    assert frames.step.tolist() == list(range(0, 40, 2))
    for step in (10, 20, 30):
        ended, began = (
            Poscar.from_str(text(stand_in, at, name)) for at, name in ((step - 10, "CONTCAR"), (step, "POSCAR"))
        )
        np.testing.assert_allclose(began.velocities, ended.velocities, atol=1e-7)
        away = began.structure.frac_coords - ended.structure.frac_coords
        np.testing.assert_allclose(away - np.round(away), 0, atol=1e-9)
    assert frames.temperature()[0] == pytest.approx(400, rel=1e-4)
    away = frames.positions - structure.cart_coords
    springs = 0.5 * SPRING * (away**2).sum(axis=(1, 2)) + len(structure) * depth("Si")
    np.testing.assert_allclose(frames.potential, springs, atol=1e-4)
    np.testing.assert_allclose(frames.conserved, frames.conserved[0], atol=0.02)
    assert sorted(set(frames.stretch.tolist())) == [0, 10, 20, 30]


def test_the_table_of_a_set(stand_in):
    """A row for the crystal that ran, one for that without a potential; a second look computes nothing."""
    settings = md_settings(stand_in)
    table = from_crystals([from_structure(SILICON, "silicon"), from_structure(HYDRIDE.copy(), "hydride")])
    stranger = Structure(Lattice.cubic(3), ["Xe"], [[0, 0, 0]])
    table = from_crystals([*table, from_structure(stranger, "xenon")])
    found, summary = dynamics(table, make_md_engine(settings), settings, stand_in.work, stand_in.folder)
    rows = [crystal.properties for crystal in found]
    assert [row["failure"] is None for row in rows] == [True, True, False]
    assert "not run, no POTCAR file for Xe" in rows[2]["failure"]
    assert "md.vasp.potcars" in rows[2]["failure"]
    assert rows[0]["kept"]
    assert abs(rows[0]["conserved_drift"]) < 50
    assert found.metadata["energy_type"]["calculator"] == "VASP"
    assert found.metadata["energy_type"]["corrections"] == "none"
    assert summary["ran"] == {"count": 2, "of": 3}
    calls = len(stand_in.calls)
    again, _ = dynamics(table, make_md_engine(settings), settings, stand_in.work, stand_in.folder)
    assert again.arrow.equals(found.arrow)
    assert len(stand_in.calls) == calls


def test_an_explosion_is_a_failure_that_is_remembered(stand_in):
    stand_in.plan({"Si16": {"vasp_000000010": ["explode"]}})
    settings = md_settings(stand_in)
    table = from_crystals([from_structure(SILICON, "silicon"), from_structure(LITHIUM_FLUORIDE, "fluoride")])
    for _ in range(2):
        found, _ = dynamics(table, make_md_engine(settings), settings, stand_in.work, stand_in.folder)
        assert found[0].properties["failure"].startswith("exploded: ")
        assert "K at step 10, the thermostat is at 300 K" in found[0].properties["failure"]
        assert found[1].properties["failure"] is None
    assert [call["formula"] for call in stand_in.calls] == ["Si16"] * 2 + ["Li8F8"] * 4


@pytest.mark.parametrize("fault", ["truncated", "killed"])
def test_a_calculation_that_is_cut_short_is_done_once_more(stand_in, fault):
    """From its own start: not a step is missing, and the result is that of an undisturbed run."""
    stand_in.plan({"Si16": {"vasp_000000010": [fault]}})
    _, frames = run(stand_in, SILICON)
    assert [call["folder"][-2:] for call in stand_in.calls] == ["00", "10", "10", "20", "30"]
    assert frames.step.tolist() == list(range(0, 40, 2))
    np.testing.assert_allclose(frames.conserved, frames.conserved[0], atol=0.02)


def test_vasp_is_stopped_before_slurm_ends_the_job(stand_in, monkeypatch):
    """What it did until then counts; the next job goes on from there."""
    stand_in.plan({"Si16": {"vasp_000000010": ["slow"]}})
    run(stand_in, SILICON, duration=0.02)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 10))
    with pytest.raises(OutOfTime, match=r"VASP was stopped in .*vasp_000000010; run again to go on there"):
        run(stand_in, SILICON, {"wall_time_margin": 5.0})
    done = len(stand_in.calls)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))
    _, frames = run(stand_in, SILICON, {"wall_time_margin": 5.0})
    assert [call["folder"][-2:] for call in stand_in.calls[done:]][:1] == ["16"]
    assert frames.step.tolist() == list(range(0, 40, 2))
    np.testing.assert_allclose(frames.conserved, frames.conserved[0], atol=0.02)


def test_what_custodian_mends_is_told(stand_in):
    stand_in.plan({"Si16": {"vasp_000000000": ["hang"]}})
    settings = md_settings(stand_in, {"hang_timeout": 1.0})
    table = from_crystals([from_structure(SILICON, "silicon")])
    found, _ = dynamics(table, make_md_engine(settings), settings, stand_in.work, stand_in.folder)
    [entry] = json.loads(found[0].properties["mended"])
    assert (entry["stage"], entry["error"], entry["count"]) == ("md", "Frozen job", 1)


@pytest.mark.slow  # two starts of the command line
def test_kill_minus_nine_of_everything(stand_in):
    """The command line and VASP die in the third calculation; a new run does that one and the last."""
    stand_in.plan({"Si16": {"vasp_000000020": ["kill_all"]}})
    crystal_table.write(from_crystals([from_structure(SILICON, "silicon")]), stand_in.folder / "crystals.parquet")
    settings = dataclasses.asdict(md_settings(stand_in, take=None))
    command = [
        sys.executable, "-m", "unimat", "md", "--crystals", "crystals.parquet", "--settings", json.dumps(settings),
        "--work", "work", "--out-file", "out/dynamics.parquet",
    ]  # fmt: skip
    environment = os.environ | {"PMG_VASP_PSP_DIR": SETTINGS["PMG_VASP_PSP_DIR"], "PYTHONWARNINGS": "ignore"}
    done = [
        subprocess.run(command, cwd=stand_in.folder, env=environment, check=False, capture_output=True)
        for _ in range(2)
    ]
    assert [each.returncode for each in done] == [-9, 0], done[1].stderr
    assert [call["folder"][-2:] for call in stand_in.calls] == ["00", "10", "20", "20", "30"]
    row = crystal_table.read(stand_in.folder / "out/dynamics.parquet")[0].properties
    assert row["failure"] is None
    assert (stand_in.folder / "out" / row["trajectory"]).is_file()


def test_temperature_of_what_vasp_says(stand_in):
    """Springs at rest share their first temperature with the motion: half of it stays."""
    settings = md_settings(stand_in, duration=0.4, restart_every=50, temperature=600.0)
    _, frames = move(from_structure(SILICON, "c"), make_md_engine(settings), settings, stand_in.work)
    used = after_equilibration(frames, settings)
    assert used.temperature().mean() == pytest.approx(300, rel=0.1)
    parts, state = read_parts(stand_in.work)
    assert state.step == 200
    assert len(parts) == 4
    assert np.isclose(used.kinetic[0], 1.5 * KB * used.temperature()[0] * 15)
