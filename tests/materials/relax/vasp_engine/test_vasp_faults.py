"""What goes wrong while VASP runs: custodian mends it, or the row says why not; nothing finished is lost.

The messages are short ones, and once more those of real VASP outputs with the same words (custodian's own test files).
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymatgen.core import SETTINGS
from pymatgen.io.vasp import Poscar

from tests.materials.relax.vasp_engine.vasp_helpers import ALUMINIUM, IRON_OXIDE, SILICON, bottom
from unimat import crystal_table
from unimat.crystal_table import from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax import wall_time
from unimat.materials.relax.gather import relaxation_summary
from unimat.materials.relax.wall_time import OutOfTime, seconds_left

STAGES = ["relax_1", "relax_2", "static"]
MESSAGES = {
    "brions": "BRIONS problems: POTIM should be increased",
    "brmix": "BRMIX: very serious problems",
    "edddav": "Error EDDDAV: Call to ZHEGV failed. Returncode =  28",
    "eddrmm": "WARNING in EDDRMM: call to ZHEGV failed, returncode =  30",
    "point_group": "VERY BAD NEWS! internal error in subroutine SGRCON: group operation missing",
    "posmap": "POSMAP internal error: symmetry equivalent atom not found",
    "pricelv": "PRICELV: current lattice and primitive lattice are incommensurate",
    "real_optlay": "REAL_OPTLAY: internal error (1)",
    "rhosyg": "RHOSYG internal error: stars are not distinct",
    "set_core_wf": "internal error in SET_CORE_WF, could not find state",
    "subspace": "WARNING: Sub-Space-Matrix is not hermitian in DAV",
    "symprec_noise": "determination of the symmetry of your systems shows a strong",
    "zbrent": "ZBRENT: fatal error in bracketing",
}
# What custodian says it changed at the first occurrence of each of its errors.
REMEDIES = {
    "brions": "INCAR POTIM = 0.6",
    "brmix": "INCAR ISTART = 1",
    "edddav": "INCAR ALGO = All",
    "eddrmm": "INCAR ALGO = Normal",
    "point_group": "INCAR ISYM = 0",
    "posmap": "INCAR SYMPREC = 1e-06",
    "pricelv": "INCAR SYMPREC = 1e-06",
    "real_optlay": "INCAR LREAL = False",
    "rhosyg": "INCAR SYMPREC = 0.0001",
    "subspacematrix": "INCAR LREAL = False",
    "symprec_noise": "INCAR SYMPREC = 1e-06",
    "zbrent": "INCAR EDIFF = 1e-06",
}


@pytest.fixture(params=["short", pytest.param("real", marks=pytest.mark.published)])
def says(request) -> Callable[[str], dict[str, str]]:
    """Makes a message a fault: the short one of that name, or the real output."""
    if request.param == "short":
        return lambda name: {"says": MESSAGES[name]}
    folder = request.getfixturevalue("published_data") / "custodian"
    return lambda name: {"says": (folder / f"vasp.{name}").read_text()}


def errors_of(crystal) -> dict[tuple[str, str], dict]:
    return {(each["stage"], each["error"]): each for each in json.loads(crystal.properties["mended"] or "[]")}


def test_without_a_fault(stand_in):
    row = stand_in.relax(SILICON)[0].properties
    assert row["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    assert (row["n_mended"], row["n_steps"]) == (0, 6)


@pytest.mark.parametrize(
    "names",
    [
        ("eddrmm", "zbrent", "brmix"),
        ("brions", "real_optlay", "edddav"),
        ("subspace", "posmap", "rhosyg"),
        ("symprec_noise", "pricelv", "point_group"),
    ],
    ids="-".join,
)
def test_errors_that_custodian_mends(stand_in, says, names):
    """One in each of the three calculations: the row is that of a sound run, and says what was mended, and how."""
    stand_in.plan({"Si2": {stage: [says(name)] for stage, name in zip(STAGES, names, strict=True)}})
    table = stand_in.relax(SILICON)
    row = table[0].properties
    assert row["converged"], row["failure"]
    assert row["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    assert row["n_mended"] >= 3
    found = errors_of(table[0])
    for stage, name in zip(STAGES, names, strict=True):
        error = name.replace("subspace", "subspacematrix")
        assert found[stage, error]["count"] == 1
        assert REMEDIES[error] in found[stage, error]["changed"]
    assert stand_in.stages == [stage for stage in STAGES for _ in range(2)]
    summary = relaxation_summary(table, "broken")["mended"]
    assert summary["crystals"] == 1
    assert sum(each["count"] for each in summary["errors"].values()) == row["n_mended"]


def test_handlers_forget_from_crystal_to_crystal(stand_in, says):
    """custodian's second remedy for POSMAP is another one; a second crystal gets the first remedy nevertheless."""
    stand_in.plan({formula: {"relax_1": [says("posmap")]} for formula in ("Si2", "Fe1O1")})
    table = stand_in.relax(SILICON, IRON_OXIDE)
    assert [errors_of(crystal)["relax_1", "posmap"]["changed"] for crystal in table] == [["INCAR SYMPREC = 1e-06"]] * 2


@pytest.mark.parametrize(
    ("fault", "stage", "error", "remedy"),
    [
        ("unconverged_electronic", "relax_1", "Unconverged", "INCAR ALGO = Normal"),
        ("unconverged_ionic", "relax_2", "Unconverged", "CONTCAR copied to POSCAR"),
        ("positive_energy", "relax_1", "Positive energy", "INCAR ALGO = Normal"),
        ("hang", "relax_2", "Frozen job", "INCAR ALGO = Normal"),
    ],
)
def test_faults_without_a_message(stand_in, fault, stage, error, remedy):
    stand_in.plan({"Si2": {stage: [fault]}})
    table = stand_in.relax(SILICON, hang_timeout=1.0)
    assert table[0].properties["converged"], table[0].properties["failure"]
    assert table[0].properties["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    assert remedy in errors_of(table[0])[stage, error]["changed"]


def test_what_cannot_be_mended_is_a_row_with_its_reason(stand_in, says):
    """No remedy at all for one crystal, the same error again and again for another; the third is as it should be."""
    stand_in.plan({"Si2": {"relax_1": [says("set_core_wf")]}, "Al1": {"relax_1": [says("brmix")] * 9}})
    table = stand_in.relax(SILICON, ALUMINIUM, IRON_OXIDE, max_errors=3)
    reasons = table.column("failure").tolist()
    assert reasons[0] == "relax_1 failed, custodian has no remedy: set_core_wf (1x)"
    assert reasons[1] == "relax_1 failed, custodian gave up after too many errors: brmix (3x)"
    assert reasons[2] is None
    assert errors_of(table[0])["relax_1", "set_core_wf"]["changed"] == ["not mended"]
    assert relaxation_summary(table, "broken")["failures"] == {
        "relax_1 failed, custodian gave up after too many errors": 1, "relax_1 failed, custodian has no remedy": 1,
    }  # fmt: skip
    calls = len(stand_in.calls)
    assert stand_in.relax(SILICON, ALUMINIUM, IRON_OXIDE, max_errors=3).arrow.equals(table.arrow)
    assert len(stand_in.calls) == calls


@pytest.mark.parametrize("fault", ["truncated", "killed"])
def test_an_output_cut_short_is_computed_once_more(stand_in, fault):
    """A torn vasprun.xml, or VASP killed on its own: again from the last structure, and the torn files stay."""
    undisturbed = stand_in.relax(SILICON)[0].properties["initial_energy_per_atom"]
    shutil.rmtree(stand_in.work)
    (stand_in.folder / "calls.jsonl").unlink()
    stand_in.plan({"Si2": {"relax_1": [fault]}})
    table = stand_in.relax(SILICON)
    assert table[0].properties["initial_energy_per_atom"] == pytest.approx(undisturbed, abs=1e-7)
    assert table[0].properties["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    assert stand_in.stages == ["relax_1", *STAGES]
    left = Poscar.from_str((stand_in.raw("relax_1.attempt_1") / "CONTCAR").read_text()).structure
    again = Poscar.from_str(stand_in.text("relax_1", "POSCAR")).structure
    assert again.volume == pytest.approx(left.volume)
    assert again.volume != pytest.approx(SILICON.volume, rel=1e-3)


def test_an_output_cut_short_twice_is_a_failure(stand_in):
    stand_in.plan({"Si2": {"static": ["truncated", "truncated"]}})
    assert stand_in.relax(SILICON)[0].properties["failure"] == (
        "static failed, outputs are cut short: VasprunXMLValidator"
    )
    assert stand_in.stages == [*STAGES, "static"]


@pytest.mark.parametrize("how", ["told", "limit"])
def test_a_full_disk_ends_the_run_and_costs_nothing(stand_in, how):
    """VASP says that the disk is full, or its files may not grow; with room, the next run goes on where it was."""
    program = Path(stand_in.command)
    sound = program.read_text()
    if how == "told":
        stand_in.plan({"Si2": {"relax_2": ["disk_full"]}})
    else:
        program.write_text(sound.replace("exec", "case $PWD in *relax_2) ulimit -f 4;; esac\nexec"))
    with pytest.raises(UserError, match="relax_2 is full; free some space and run again, finished crystals are kept"):
        stand_in.relax(IRON_OXIDE, SILICON)
    done = len(stand_in.calls)
    program.write_text(sound)
    table = stand_in.relax(IRON_OXIDE, SILICON)
    assert table.column("converged").tolist() == [True, True]
    again = [(call["formula"], call["folder"]) for call in stand_in.calls[done:]]
    lost = "Si2" if how == "told" else "Fe1O1"
    assert [stage for formula, stage in again if formula == lost] == ["relax_2", "static"]


def test_vasp_is_stopped_before_slurm_ends_the_job(stand_in, monkeypatch):
    """The walltime handler ends relax 1 after its second step; the next job starts from there."""
    stand_in.plan({"Si2": {"relax_1": ["slow"]}})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 4))
    with pytest.raises(OutOfTime, match=r"VASP was stopped in .*relax_1; run again to go on there"):
        stand_in.relax(SILICON, wall_time_margin=2.0)
    with pytest.raises(OutOfTime, match="s are left of the job, too few for"):
        stand_in.relax(SILICON, wall_time_margin=100.0)
    stopped = Poscar.from_str(stand_in.text("relax_1", "CONTCAR")).structure
    assert stopped.volume != pytest.approx(SILICON.volume, rel=1e-3)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))
    table = stand_in.relax(SILICON, wall_time_margin=2.0)
    assert table[0].properties["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    assert table[0].properties["n_mended"] == 0  # to be stopped in time is no error
    assert Poscar.from_str(stand_in.text("relax_1", "POSCAR")).structure.volume == pytest.approx(stopped.volume)


def test_time_left_of_a_job(monkeypatch, tmp_path):
    assert seconds_left({}) is None
    assert seconds_left({"SLURM_JOB_END_TIME": str(time.time() + 50)}) == pytest.approx(50, abs=1)
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\nexec date -d '+60 seconds' +%Y-%m-%dT%H:%M:%S\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert seconds_left({"SLURM_JOB_ID": "1"}) == pytest.approx(60, abs=3)
    squeue.write_text("#!/bin/sh\necho N/A\n")
    assert seconds_left({"SLURM_JOB_ID": "1"}) is None
    monkeypatch.setattr(wall_time.subprocess, "run", _no_squeue)
    assert seconds_left({"SLURM_JOB_ID": "1"}) is None


def _no_squeue(*args, **kwargs):
    raise FileNotFoundError


@pytest.mark.slow  # two starts of the command line
def test_kill_minus_nine_of_everything(stand_in):
    """The command line and VASP die in relax 2 of the second crystal; a new run computes only what is left of it."""
    stand_in.plan({"Si2": {"relax_2": ["kill_all"]}})
    table = from_crystals([from_structure(IRON_OXIDE, "first"), from_structure(SILICON, "second")])
    crystal_table.write(table, stand_in.folder / "crystals.parquet")
    settings = {"engine": "vasp", "vasp": {"command": stand_in.command, "poll_interval": 0.1}}
    command = [
        sys.executable, "-m", "unimat", "relax", "--crystals", "crystals.parquet", "--settings", json.dumps(settings),
        "--work", "work", "--out-file", "relaxed.parquet",
    ]  # fmt: skip
    environment = os.environ | {"PMG_VASP_PSP_DIR": SETTINGS["PMG_VASP_PSP_DIR"], "PYTHONWARNINGS": "ignore"}
    codes = [
        subprocess.run(command, cwd=stand_in.folder, env=environment, check=False, capture_output=True).returncode
        for _ in range(2)
    ]
    assert codes == [-9, 0]
    assert stand_in.stages == [*STAGES, "relax_1", "relax_2", "relax_2", "static"]
    relaxed = crystal_table.read(stand_in.folder / "relaxed.parquet")
    assert relaxed.column("converged").tolist() == [True, True]
    assert relaxed[1].properties["energy_per_atom"] == pytest.approx(bottom(SILICON), abs=1e-7)
    [left] = (stand_in.work / "raw").glob("*/relax_2.attempt_1")
    assert not (left / "custodian.json").exists()
