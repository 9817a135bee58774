"""The MP2020 corrections of the published hull, against the scheme's own numbers written out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unimat.errors import UserError
from unimat.materials import materials_project


@pytest.mark.parametrize(
    ("formula", "correction"),
    [
        ("Na4Cl4", 4 * -0.614),
        ("Fe4O6", 4 * -2.256 + 6 * -0.687),  # +U oxide: per iron and per oxygen
        ("Al2S3", 3 * -0.503),
        ("Li2O2", 2 * -0.465),  # a peroxide by its formula
        ("Fe2F6", 2 * -2.256 + 6 * -0.462),
        ("Fe2S4", 4 * -0.503),  # no +U for a sulfide
        ("Al3Ni1", 0.0),
        ("O8", 0.0),
    ],
)
def test_correction_in_ev_per_cell(formula, correction):
    """Wang et al., Sci. Rep. 11, 15496 (2021), Table 1, eV per atom of the corrected species."""
    assert materials_project._corrected((formula, "mp-0", -10.0)) == pytest.approx(-10.0 + correction, abs=1e-9)


def write_csv(path: Path, rows: list[tuple[str, str, float]]) -> Path:
    pd.DataFrame(rows, columns=list(materials_project.COLUMNS)).to_csv(path, index=False)
    return path


def test_reference_of_a_small_csv(tmp_path):
    path = write_csv(tmp_path / "mp.csv", [("Na2", "mp-1", -2.6), ("Cl4", "mp-2", -7.2), ("Na1Cl1", "mp-3", -6.0)])
    built = materials_project.load_reference(path, n_processes=1)
    assert built.energy_type["corrections"] == "MP2020"
    assert [entry.name for entry in built.entries] == ["mp-1", "mp-2", "mp-3"]
    assert [entry.energy for entry in built.entries] == pytest.approx([-2.6, -7.2, -6.0 - 0.614])


def test_wrong_csv_is_named(tmp_path):
    (tmp_path / "mp.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"mp\.csv: no column 'Composition'"):
        materials_project.load_reference(tmp_path / "mp.csv")


@pytest.mark.published
def test_published_elements_need_no_correction_and_oxides_do(published_data):
    frame = pd.read_csv(published_data / "hull" / "mp_materials_summary.csv").sample(200, random_state=0)
    rows = list(frame[list(materials_project.COLUMNS)].itertuples(index=False, name=None))
    shifts = np.array([materials_project._corrected(row) - row[2] for row in rows]) / frame["NSites"].to_numpy()
    has_anion = frame["Composition"].str.contains(r"(?:O|F|Cl)\d").to_numpy()
    intermetallic = ~frame["Composition"].str.contains(r"(?:O|F|Cl|Br|I|S|Se|Te|N|H|Sb|Si)\d").to_numpy()
    assert (shifts[has_anion] < -0.03).mean() > 0.95
    assert (shifts[intermetallic] == 0).all()
