"""The report's section on molecular dynamics, against a run folder whose numbers are known."""

from pathlib import Path

import numpy as np
import pytest

from tests.report.report_run import write_run
from unimat import crystal_table
from unimat.files import write_json
from unimat.materials.dynamics.assess import Dynamics
from unimat.materials.dynamics.table import COLUMNS, dynamics_table
from unimat.report.page import make_report
from unimat.report.run_files import read_run
from unimat.report.sections.dynamics import dynamics, dynamics_figure
from unimat.report.settings import ReportSettings

MOVED = Dynamics(
    n_atoms=64, time_step=2.0, duration=10.0, n_frames=400, mean_temperature=301.2, temperature_std=30.1,
    conserved_drift=0.0123, potential_drift=0.1, potential_energy=-7.5, max_msd=4.0, lindemann=0.04, largest_shift=2.31,
    displacements={
        "Si": {"msd": 0.02, "lag": 4.0, "diffusion": None, "diffusion_error": None},
        "C": {"msd": 4.0, "lag": 4.0, "diffusion": 0.167, "diffusion_error": 0.012},
    },
    kept=False, trajectory="trajectory.extxyz.gz",
)  # fmt: skip


def curves(material_id: str, formula: str, conserved: bool = True) -> dict:
    time = np.linspace(0, 10, 50)
    return {
        "material_id": material_id, "formula": formula, "time": time.tolist(), "temperature": [300.0] * 50,
        "potential": (0.1 * time).tolist(), "conserved": (0.0123 * time).tolist() if conserved else [None] * 50,
        "lag": (0.4 * time).tolist(), "msd": {"Si": [0.02] * 50, "C": time.tolist()},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run whose first set has two crystals moved: one that lost its carbon, and one that exploded."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "demo")
    chosen = crystal_table.read(folder / "sets/generated/relaxed.parquet").take([3, 0])
    outcomes = [MOVED, Dynamics(failure="exploded: 4000 K at step 30, the thermostat is at 300 K")]
    table = dynamics_table(chosen, outcomes).with_metadata(
        energy_type={"calculator": "CHGNet (chgnet 0.4.2)"}, md={"temperature": 300.0}
    )
    crystal_table.write(table, folder / "sets/generated/dynamics.parquet")
    drawn = [curves(table[0].material_id, "SiC"), {"material_id": table[1].material_id, "formula": "C"}]
    write_json(folder / "sets/generated/dynamics.json", {"crystals": drawn})
    return folder


def test_a_table_and_a_figure_of_each_set(folder):
    [section] = dynamics(read_run(folder))
    table, figure = section.blocks
    assert table.caption == ("generated, CHGNet (chgnet 0.4.2), 300 K: 0 of 2 (0 %) kept their structure")
    moved, failed = table.rows
    assert moved[1:] == [
        "SiC", "64", "10", "301 ± 30", "0.0123", "4", "C 0.17 ± 0.01", "0.04", "lost: an atom moved by 2.3 Å",
    ]  # fmt: skip
    assert failed[1] == "C"
    assert failed[-1] == "exploded: 4000 K at step 30, the thermostat is at 300 K"
    assert "mean-square displacement" in figure.markup
    assert section.figures.keys() == {"dynamics_generated"}


def test_the_page_has_the_section_where_it_was_run_and_none_elsewhere(folder, tmp_path):
    page = make_report(read_run(folder), ReportSettings(), tmp_path / "report.html").html
    assert "Molecular dynamics" in page
    without = make_report(read_run(write_run(tmp_path / "other")), ReportSettings(), tmp_path / "report.html").html
    assert "Molecular dynamics" not in without


def test_without_a_conserved_energy_the_potential_is_drawn_and_named():
    figure = dynamics_figure([curves("a", "SiC", conserved=False)])
    assert figure is not None
    assert figure.axes[1].get_ylabel() == "potential energy (meV/atom)"
    assert figure.axes[1].lines[0].get_ydata()[-1] == pytest.approx(1.0)
    assert dynamics_figure([{"material_id": "b", "formula": "C"}]) is None


def test_every_column_says_what_it_is(folder):
    table = crystal_table.read(folder / "sets/generated/dynamics.parquet")
    for name in COLUMNS:
        assert table.arrow.schema.field(name).metadata[b"description"], name
