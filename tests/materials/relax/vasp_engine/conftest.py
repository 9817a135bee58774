"""Fixtures of the engine `vasp`: the stand-in on its place, and POTCAR files for it."""

import stat
import sys
import warnings
from pathlib import Path

import pytest
from pymatgen.core import SETTINGS

from tests.materials.relax.vasp_engine.vasp_helpers import STAND_IN, VALENCES, StandIn, fake_potcar


@pytest.fixture(autouse=True)
def _unknown_potentials():
    """pymatgen compares every POTCAR with the hashes of the real ones, which these are not and shall not be."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="POTCAR data with symbol")
        yield


@pytest.fixture
def potentials(tmp_path_factory, monkeypatch) -> Path:
    """Folder of fake POTCAR files, which pymatgen is told to use."""
    folder = tmp_path_factory.mktemp("potentials")
    (folder / "POT_GGA_PAW_PBE").mkdir()
    for name, valence in VALENCES.items():
        (folder / "POT_GGA_PAW_PBE" / f"POTCAR.{name}").write_text(fake_potcar(name, valence))
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(folder))
    return folder


@pytest.fixture
def stand_in(tmp_path, potentials, monkeypatch) -> StandIn:
    """A program called vasp_std, as VASP's own is; without a plan it does as it should."""
    program = tmp_path / "bin" / "vasp_std"
    program.parent.mkdir()
    # VASP begins these files anew at its start; custodian must not read those of the run before while Python starts.
    program.write_text(f"#!/bin/sh\nrm -f OSZICAR OUTCAR\nexec {sys.executable} -E {STAND_IN}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("STAND_IN_PLAN", str(tmp_path / "plan.json"))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls.jsonl"))
    for name in ("SLURM_JOB_ID", "SLURM_JOB_END_TIME", "CUSTODIAN_WALLTIME_START"):
        monkeypatch.delenv(name, raising=False)
    found = StandIn(str(program), tmp_path, tmp_path / "work")
    found.plan({})
    return found
