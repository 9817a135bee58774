"""Real GPAW, at settings too coarse for science: killed in the middle, and without self-consistency."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from unimat import crystal_table
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.gpaw.engine import GpawEngine
from unimat.materials.relax.gpaw.job import steps_on_disk
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.settings import RelaxSettings
from unimat.settings import as_dict

pytestmark = pytest.mark.system("gpaw")

SILICON = Structure(
    Lattice([[0, 2.8, 2.7], [2.7, 0, 2.8], [2.75, 2.7, 0]]), ["Si", "Si"], [[0, 0, 0], [0.27, 0.24, 0.26]]
)
COARSE = GpawSettings(cutoff=250.0, kpoint_density=1.2, raw_outputs="keep", symmetrize=0.0)
PATIENCE = 120  # s


def test_a_run_killed_with_signal_9_goes_on_from_its_last_step(tmp_path: Path):
    settings = RelaxSettings(engine="gpaw", fmax=0.05, gpaw=COARSE)
    crystal_table.write(crystal_table.from_crystals([from_structure(SILICON, "si")]), tmp_path / "set.parquet")
    command = [sys.executable, "-m", "unimat", "relax", "--crystals", "set.parquet", "--work", "work"]
    command += ["--settings", json.dumps(as_dict(settings)), "--out-file", "relaxed.parquet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        folder = _wait_for_steps(tmp_path / "work", 3)
        process.send_signal(signal.SIGKILL)
    left = steps_on_disk(folder)
    assert len(left) >= 3
    assert not (folder / "result.json").exists()

    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=PATIENCE, stderr=subprocess.DEVNULL)
    relaxed = crystal_table.read(tmp_path / "relaxed.parquet")
    steps = steps_on_disk(folder)
    assert relaxed.column("converged").tolist() == [True]
    np.testing.assert_array_equal([each.positions for each in steps[: len(left)]], [each.positions for each in left])
    assert len(steps) > len(left)
    first = relaxed.column("initial_energy_per_atom")[0]
    assert first == pytest.approx(left[0].get_potential_energy() / 2)
    assert relaxed.column("energy_per_atom")[0] < first


def test_without_self_consistency_the_crystal_is_a_row_with_the_reason(tmp_path: Path):
    impatient = GpawSettings(cutoff=150.0, kpoint_density=0.5, max_electronic_steps=3)
    found = GpawEngine(RelaxSettings(engine="gpaw", gpaw=impatient)).relax(SILICON, tmp_path)
    assert found.structure is None
    assert found.failure == "relax_1 failed, self-consistency not reached in 3 electronic steps, nor with slow mixing"
    assert found.mended == [
        {"stage": "relax_1", "error": "self-consistency not reached", "count": 2,
         "changed": ["mixer beta = 0.02", "not mended"]}
    ]  # fmt: skip


def test_iron_starts_ferromagnetic_and_keeps_its_moment(tmp_path: Path):
    iron = Structure(Lattice([[-1.42, 1.42, 1.42], [1.42, -1.42, 1.42], [1.42, 1.42, -1.42]]), ["Fe"], [[0, 0, 0]])
    settings = RelaxSettings(engine="gpaw", gpaw=GpawSettings(cutoff=300.0, kpoint_density=2.0, raw_outputs="keep"))
    engine = GpawEngine(settings)
    static = engine.stages()[-1].result(tmp_path, engine.start(iron), 1)
    assert static.magmoms == [pytest.approx(2.2, abs=0.3)]  # μB; measured: 2.2


def _wait_for_steps(work: Path, n: int) -> Path:
    """Folder of the relaxation once it holds so many steps."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for path in work.glob("raw/*/relax_1"):
            if len(steps_on_disk(path)) >= n:
                return path
        time.sleep(0.05)
    pytest.fail(f"no {n} steps within {PATIENCE} s")
