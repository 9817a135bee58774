"""Molecular dynamics of crystals by force fields, from a table to a table."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from unimat import cli, crystal_table
from unimat.crystal_table import CrystalTable, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure
from unimat.materials.dynamics.choose import RANKED_BY, best
from unimat.materials.dynamics.frames import read_parts
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.stability.judged import read_stability
from unimat.settings import load_settings

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])
CARBIDE = Structure.from_spacegroup("F-43m", Lattice.cubic(4.38), ["Si", "C"], [[0] * 3, [0.25] * 3])
# ASE's effective medium theory of a few metals: a real potential that costs nothing.
EMT = {
    "engine": "ase",
    "force_field": {"calculator": "ase.calculators.emt.EMT", "functional": "none", "corrections": "none"},
    "take": None, "min_length": 3.0, "duration": 0.4, "sample_every": 5, "restart_every": 50,
}  # fmt: skip


def settings(**changes) -> MdSettings:
    return load_settings(MdSettings, {**EMT, **changes}, "md")


@pytest.fixture
def copper() -> CrystalTable:
    return from_crystals([from_structure(COPPER, "copper")])


def run(table: CrystalTable, folder: Path, **changes):
    from unimat.materials.dynamics.engine import make_md_engine
    from unimat.materials.dynamics.table import dynamics

    chosen = settings(**changes)
    return dynamics(table, make_md_engine(chosen), chosen, folder / "work", folder)


def test_copper_vibrates_and_stays(copper, tmp_path):
    """The thermostat's quantity is conserved, the temperature is the one asked for, every atom stays in its place."""
    table, summary = run(copper, tmp_path, duration=4.0, min_length=7.0)
    row = table[0].properties
    assert row["failure"] is None
    assert (row["n_atoms"], row["time_step"], row["duration"]) == (32, 2.0, 4.0)
    assert abs(row["conserved_drift"]) < 0.1
    assert row["mean_temperature"] == pytest.approx(300, rel=0.05)
    assert row["temperature_std"] == pytest.approx(300 * np.sqrt(2 / 93), rel=0.3)
    assert row["kept"]
    assert 0.02 < row["lindemann"] < 0.08
    displacements = json.loads(row["displacements"])["Cu"]
    assert displacements["diffusion"] is None
    assert displacements["msd"] == row["max_msd"] < 0.06
    images = ase.io.read(tmp_path / row["trajectory"], index=":")
    assert len(images) == 401
    assert images[-1].info["time_ps"] == pytest.approx(4.0)
    curves = summary["crystals"][0]
    assert curves["formula"] == "Cu"
    assert len(curves["time"]) == len(curves["conserved"]) == len(curves["temperature"]) == 200
    assert curves["msd"]["Cu"][0] == 0
    assert table.metadata["energy_type"]["calculator"].startswith("ase.calculators.emt.EMT")
    assert table.unit("conserved_drift") == "meV/atom/ps"


def test_two_atoms_are_as_hot_as_asked(tmp_path):
    """Three degrees of freedom move, not six: a chain that counts all of them would keep the cell at 600 K."""
    pair = from_crystals([from_structure(COPPER.get_primitive_structure(), "pair")])
    table, _ = run(pair, tmp_path, duration=20.0, min_length=3.6, max_atoms=2, restart_every=1000)
    assert table[0].properties["n_atoms"] == 2
    assert table[0].properties["mean_temperature"] == pytest.approx(300, rel=0.2)


def test_a_run_goes_on_where_it_was(copper, tmp_path):
    """In one go, in two, and longer than before: the same frames to the last digit."""
    whole, _ = run(copper, tmp_path / "whole")
    parts = sorted((tmp_path / "whole/work").glob("*/part_*.npz"))
    assert [part.name for part in parts] == [f"part_{step:09d}.npz" for step in (50, 100, 150, 200)]
    run(copper, tmp_path / "short", duration=0.2)
    longer, _ = run(copper, tmp_path / "short")
    ours, theirs = (next((tmp_path / name / "work").iterdir()) for name in ("whole", "short"))
    for one, other in zip(read_parts(ours)[0], read_parts(theirs)[0], strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.conserved, other.conserved)
    assert longer.arrow.drop_columns("trajectory").equals(whole.arrow.drop_columns("trajectory"))
    assert len(ase.io.read(theirs / "trajectory.extxyz.gz", index=":")) == 41


def test_settings_without_effect_compute_nothing(copper, tmp_path):
    run(copper, tmp_path)
    [part, *_] = sorted((tmp_path / "work").glob("*/part_*.npz"))
    before = part.stat().st_mtime_ns
    shorter, _ = run(copper, tmp_path, equilibration=0.5, duration=0.2)
    assert part.stat().st_mtime_ns == before
    assert shorter[0].properties["duration"] == pytest.approx(0.2)
    run(copper, tmp_path, temperature=301.0)
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_what_cannot_be_run_is_a_row(copper, tmp_path):
    """Overlapping atoms, an element that the calculator does not know, atoms that fly apart; the last one runs."""
    overlapping = Structure(Lattice.cubic(4), ["Cu", "Cu"], [[0, 0, 0], [0.01, 0, 0]])
    near = Structure(Lattice.cubic(6), ["Cu", "Cu"], [[0, 0, 0], [0.2, 0, 0]])
    rows = [(overlapping, "overlapping"), (CARBIDE, "carbide"), (near, "near"), (COPPER, "copper")]
    table = from_crystals([from_structure(structure, name) for structure, name in rows])
    found, summary = run(table, tmp_path)
    failures = found.column("failure").tolist()
    assert failures[0].startswith("not run, overlapping_atoms")
    assert failures[1].startswith("calculation failed: ")
    assert failures[2].startswith("exploded: ")
    assert failures[3] is None
    assert summary["ran"] == {"count": 1, "of": 4}
    assert summary["failures"].keys() == {"overlapping", "carbide", "near"}
    assert run(table, tmp_path)[0].arrow.equals(found.arrow)


def test_the_best_are_the_converged_ones_of_lowest_decomposition_energy():
    crystals = [from_structure(COPPER, f"c-{n}", converged=n != 2) for n in range(5)]
    table = from_crystals(crystals)
    energies = {"material_id": [f"c-{n}" for n in range(5)], "decomposition_energy": [0.3, np.nan, -0.5, 0.1, -0.2]}
    chosen = best(table, pd.DataFrame(energies).sample(frac=1, random_state=0), 2)
    assert chosen.material_ids == ["c-4", "c-3"]
    np.testing.assert_allclose(chosen.column("decomposition_energy"), [-0.2, 0.1])
    assert best(table, None, None).material_ids == ["c-0", "c-1", "c-3", "c-4"]
    with pytest.raises(UserError, match=r"nothing ranks the crystals.*give --stability"):
        best(table, None, 2)
    with pytest.raises(UserError, match="says nothing of 'c-0'"):
        best(table, pd.DataFrame(energies).iloc[1:], 2)


@pytest.mark.parametrize("content", [b"PAR1 and no more", None])
def test_a_stability_table_that_is_none_is_told_in_one_line(tmp_path, content):
    if content:
        (tmp_path / "stability.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"stability.parquet (is not readable as Parquet|does not exist)"):
        read_stability(tmp_path / "stability.parquet")
    (tmp_path / "other").mkdir()
    pd.DataFrame({"material_id": ["a"]}).to_parquet(tmp_path / "other/stability.parquet")
    with pytest.raises(UserError, match=r"no column 'decomposition_energy'.*make it again with `unimat hull`"):
        read_stability(tmp_path / "other/stability.parquet", ("material_id", RANKED_BY))


def test_time_steps_of_the_paper():
    assert settings().step_of([6, 14]) == 2.0
    assert settings().step_of([1, 3]) == 0.5
    assert settings(time_step=1.0).step_of([1, 3]) == 1.0
    assert settings(duration=10.0).n_steps_of([1]) == 20000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "gpaw"}, "md: engine 'gpaw' runs no molecular dynamics; those that do: chgnet, "),
        ({"temperature": 0.0}, "md: temperature must be above 0, found 0.0"),
        ({"equilibration": 1.0}, "md: equilibration must be a share from 0 to below 1"),
        ({"restart_every": 52}, "md: restart_every must be a multiple of sample_every, found 52 and 5"),
        ({"take": 0}, "md: take must be above 0, or null, found 0"),
    ],
)
def test_bad_settings_are_told_in_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)


def test_the_command_writes_table_and_summary(copper, tmp_path):
    crystal_table.write(copper, tmp_path / "crystals.parquet")
    out = tmp_path / "out/dynamics.parquet"
    flags = {
        "--crystals": tmp_path / "crystals.parquet",
        "--work": tmp_path / "work",
        "--out-file": out,
        "--summary": out.with_suffix(".json"),
    }
    words = ["md", "--settings", json.dumps(EMT), *(str(word) for pair in flags.items() for word in pair)]
    assert cli.main(words) == 0
    row = crystal_table.read(out)[0].properties
    assert row["failure"] is None
    assert (out.parent / row["trajectory"]).is_file()
    assert json.loads(out.with_suffix(".json").read_text())["settings"]["duration"] == 0.4


@pytest.mark.slow  # starts the command line twice
def test_kill_minus_nine_in_the_middle_of_a_crystal(copper, tmp_path):
    """The run goes on from its last restart point, and ends as if nothing had happened."""
    long = {**EMT, "duration": 4.0}
    crystal_table.write(copper, tmp_path / "crystals.parquet")
    command = [
        sys.executable, "-m", "unimat", "md", "--crystals", "crystals.parquet", "--settings", json.dumps(long),
        "--work", "work", "--out-file", "dynamics.parquet",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("work/*/part_*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = len(list(tmp_path.glob("work/*/part_*.npz")))
    assert 3 <= done < 40
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"copper: goes on from step {50 * done} of 2000" in again.stderr
    whole, _ = run(copper, tmp_path / "whole", duration=4.0)
    found = crystal_table.read(tmp_path / "dynamics.parquet")
    assert found.arrow.drop_columns("trajectory").equals(whole.arrow.drop_columns("trajectory"))


def test_chgnet_moves_a_cell_of_two_atoms(tmp_path):
    """CHGNet of the relaxations: the same energy at the start, conserved within what its float32 and 2 fs allow."""
    from unimat.materials.relax.engine import make_engine
    from unimat.materials.relax.settings import RelaxSettings

    primitive = from_structure(CARBIDE.get_primitive_structure(), "3C-SiC")
    small = {"engine": "chgnet", "force_field": {}, "duration": 0.08, "sample_every": 2, "restart_every": 20}
    table, _ = run(from_crystals([primitive]), tmp_path, **small, max_atoms=2)
    assert table[0].properties["failure"] is None
    [place] = (tmp_path / "work").iterdir()
    frames = read_parts(place)[0][0]
    relaxed = make_engine(RelaxSettings(max_steps=2)).relax(CARBIDE.get_primitive_structure())
    assert frames.potential[0] / 2 == pytest.approx(relaxed.initial_energy_per_atom, abs=1e-4)
    assert np.ptp(frames.conserved) / 2 < 0.02
    assert table.metadata["energy_type"]["corrections"] == "MP2020, learned"
