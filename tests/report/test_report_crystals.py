"""The table of crystals as data: rows and verdicts, packed geometry, partners of the same composition."""

import base64
import dataclasses
import gzip
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.report.report_run import write_run
from unimat import crystal_table
from unimat.crystal_table import Crystal, Rejected
from unimat.report import assets
from unimat.report.crystal_rows import VERDICTS, crystal_rows
from unimat.report.crystals import element_colour
from unimat.report.partners import partners
from unimat.report.payload import as_json, packed, payload
from unimat.report.run_files import SetFiles, read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("results") / "demo"))


@pytest.fixture(scope="module")
def one(run) -> SetFiles:
    return run.sets["generated"]


def test_every_crystal_has_one_row_and_one_verdict(one):
    rows = crystal_rows(one)
    assert len(rows) == 57 + 3
    assert rows["material_id"].is_unique
    assert set(rows["verdict"]) <= set(VERDICTS)
    counts = rows["verdict"].value_counts()
    relaxed = one.relaxed
    failed = sum(each is not None for each in relaxed.column("failure"))
    assert counts["rejected"] == 3
    assert counts["relaxation failed"] == failed
    assert counts["not converged"] == len(relaxed) - failed - relaxed.column("converged").sum()
    energies = rows["decomposition_energy"].dropna()
    assert energies.is_monotonic_increasing
    assert counts.get("metastable", 0) == ((energies >= 0) & (energies < 0.025)).sum()


def test_reasons_say_what_went_wrong_once(one):
    rows = crystal_rows(one).set_index("material_id")
    assert rows.loc["gen-90", "reasons"] == "rejected: no_atoms: empty"
    failed = rows[rows["verdict"] == "relaxation failed"]
    assert all(re.fullmatch(r"relaxation: exploded: cell of row \d+", each) for each in failed["reasons"])


def test_a_set_without_later_stages_is_listed_as_not_relaxed(one):
    bare = dataclasses.replace(one, verdicts=None, relaxed=None, stability=None)
    rows = crystal_rows(bare)
    assert set(rows["verdict"]) == {"not relaxed", "rejected"}
    assert rows["valid"].isna().all()
    found, _ = payload(bare, rows, {})
    assert set(found["columns"]["relaxed"]) == {-1}


def after_and_before(one: SetFiles, twin: str, known: str) -> SetFiles:
    """The set with two crystals that were novel as generated; `twin` still is, `known` relaxed into a known one."""
    verdicts = one.verdicts.assign(novel=one.verdicts["novel"] | one.verdicts["material_id"].isin([twin, known]))
    stability = one.stability.copy()
    rows = stability["material_id"].isin([twin, known])
    stability.loc[rows, "decomposition_energy"] = 0.01
    stability.loc[rows, ["stable", "metastable", "unique"]] = [False, True, True]
    stability.loc[stability["material_id"] == twin, "novel"] = True
    stability.loc[stability["material_id"] == known, "novel"] = False
    return dataclasses.replace(one, verdicts=verdicts, stability=stability)


def test_a_crystal_that_relaxed_into_a_known_one_is_not_among_the_novel(one):
    planted = after_and_before(one, twin="gen-0002", known="gen-0003")
    found, _ = payload(planted, crystal_rows(planted), {})
    columns = found["columns"]
    metastable = columns["verdict"].index(VERDICTS.index("metastable"))
    assert columns["novel"][metastable] is not None
    novel = {
        name: flag
        for name, flag, verdict in zip(columns["material_id"], columns["novel"], columns["verdict"], strict=True)
        if VERDICTS[verdict] == "metastable"
    }
    assert (novel["gen-0002"], novel["gen-0003"]) == (1, 0)
    assert columns["novel_generated"][columns["material_id"].index("gen-0003")] == 1
    assert found["state"] == "relaxed"


def test_flags_groups_and_densities_are_of_the_relaxed_crystal_or_missing(one):
    """A cell twice as long in every direction: an eighth of the density, and diamond is diamond still."""
    table = one.relaxed.arrow
    index = one.relaxed.material_ids.index("gen-0002")  # silicon
    lattices = one.relaxed.lattices.copy()
    lattices[index] *= 2
    rows = [dataclasses.replace(each, lattice=lattices[i]) for i, each in enumerate(one.relaxed)]
    relaxed = crystal_table.from_crystals(rows, **one.relaxed.metadata)
    found = crystal_rows(dataclasses.replace(one, relaxed=relaxed)).set_index("material_id")
    row = found.loc["gen-0002"]
    assert row["density"] == pytest.approx(row["density_generated"] / 8)
    failed = found[found["verdict"] == "relaxation failed"]
    assert len(failed) == sum(each is not None for each in table.column("failure").to_pylist())
    assert failed[["valid", "unique", "novel", "spacegroup_number", "density"]].isna().all(axis=None)
    assert failed[["valid_generated", "density_generated"]].notna().all(axis=None)


def test_atoms_that_relax_onto_each_other_are_not_valid(one):
    """0.4 Å apart, where the limit of CDVAE's rule is 0.5 Å; as generated the crystal is valid."""
    rows = list(one.relaxed)
    index = one.relaxed.material_ids.index("gen-0003")
    near = rows[index].frac_coords.copy()
    near[1] = near[0] + np.array([0.4, 0, 0]) @ np.linalg.inv(rows[index].lattice)
    rows[index] = dataclasses.replace(rows[index], frac_coords=near % 1)
    relaxed = crystal_table.from_crystals(rows, **one.relaxed.metadata)
    found = crystal_rows(dataclasses.replace(one, relaxed=relaxed)).set_index("material_id").loc["gen-0003"]
    assert (found["valid"], found["valid_generated"]) == (False, True)


def test_without_a_relaxation_the_generated_crystals_are_shown(one):
    bare = dataclasses.replace(one, relaxed=None, stability=None)
    rows = crystal_rows(bare)
    for name in ("valid", "unique", "novel", "spacegroup_number", "density"):
        pd.testing.assert_series_equal(rows[name], rows[f"{name}_generated"], check_names=False)
    assert rows["novel"].eq(True).sum() == one.verdicts["novel"].sum()
    assert payload(bare, rows, {})[0]["state"] == "sampled"


def test_infinite_energies_and_like_ids_do_no_harm(one):
    stability = pd.concat([one.stability, one.stability.head(2)])
    stability["decomposition_energy"] = np.inf
    rows = crystal_rows(dataclasses.replace(one, stability=stability))
    assert rows["decomposition_energy"].isna().all()
    assert len(rows) == 60
    as_json(payload(one, rows, {})[0])  # no NaN in the JSON


def test_packed_geometry_is_the_tables_to_32_bits(one):
    rows = crystal_rows(one)
    found, geometry = payload(one, rows, {})
    cells = unpacked(geometry, found["geometries"])
    for column, table in (("sampled", one.crystals), ("relaxed", one.relaxed)):
        row_of = {name: row for row, name in enumerate(table.material_ids)}
        for name, place in zip(rows["material_id"], found["columns"][column], strict=True):
            if place < 0:
                continue
            crystal, cell = table[row_of[name]], cells[place]
            np.testing.assert_allclose(cell.lattice, crystal.lattice, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(cell.frac_coords, crystal.frac_coords, atol=1e-6)
            np.testing.assert_array_equal(cell.atomic_numbers, crystal.atomic_numbers)
    assert found["columns"]["sampled"].count(-1) == 3
    assert found["columns"]["relaxed"].count(-1) == 3 + (rows["verdict"] == "relaxation failed").sum()
    assert gzip.decompress(base64.b64decode(packed(geometry))) == geometry
    assert packed(geometry) == packed(geometry)


def unpacked(data: bytes, n: int) -> list[Crystal]:
    """The layout of `payload`'s docstring, read by hand."""
    counts = np.frombuffer(data, "<u2", n)
    lattices = np.frombuffer(data, "<f4", 9 * n, 2 * n).reshape(n, 3, 3)
    coords = np.frombuffer(data, "<f4", 3 * counts.sum(), 38 * n).reshape(-1, 3)
    numbers = np.frombuffer(data, "u1", counts.sum(), 38 * n + 12 * counts.sum())
    ends = np.cumsum(counts)
    return [Crystal("", lattices[i], numbers[e - counts[i] : e], coords[e - counts[i] : e]) for i, e in enumerate(ends)]


def test_elements_and_products_are_told(one):
    found, _ = payload(one, crystal_rows(one), {})
    assert found["elements"] == {
        6: {"symbol": "C", "colour": "#545961", "radius": 0.76, "metal": 0},
        14: {"symbol": "Si", "colour": "#f0c8a0", "radius": 1.11, "metal": 0},
    }
    amounts = [sum(phase[2] for phase in each) for each in found["columns"]["products"] if each]
    assert amounts
    np.testing.assert_allclose(amounts, 1, atol=1e-3)
    assert json.loads(as_json(found))["columns"]["material_id"][0] == crystal_rows(one)["material_id"][0]


def test_partner_is_the_test_crystal_of_lowest_energy(run):
    found = partners(run, {"Si", "SiC", "K2O"})
    assert set(found) == {"Si", "SiC"}
    energies = run.test.column("energy_per_atom")
    formulas = [
        "".join(sorted({z: "Si" if z == 14 else "C" for z in each.atomic_numbers}.values())) for each in run.test
    ]
    silicon = [i for i, formula in enumerate(formulas) if formula == "Si"]
    assert found["Si"].crystal.material_id == run.test[min(silicon, key=lambda i: energies[i])].material_id
    assert found["Si"].spacegroup_number == 227
    assert found["Si"].chosen_by == f"lowest of {len(silicon)} by the dataset’s energy_per_atom"


def test_partner_by_the_energies_of_this_run_where_a_test_set_was_judged(run):
    """The split's own energies are turned round: those of the run must win."""
    test = run.sets["test"]
    crystals = crystal_table.CrystalTable(test.crystals.arrow).with_metadata(split="test")
    turned = run.test.with_column("energy_per_atom", -run.test.column("energy_per_atom"))
    stability = test.stability.assign(material_id=run.test.material_ids)
    judged = dataclasses.replace(test, crystals=crystals, stability=stability)
    partner = partners(dataclasses.replace(run, test=turned, sets={"test": judged}), {"SiC"})["SiC"]
    best = stability[stability["formula"] == "SiC"].nsmallest(1, "e_form_per_atom").iloc[0]
    assert partner.crystal.material_id == best["material_id"]
    assert partner.decomposition_energy == pytest.approx(best["decomposition_energy"])
    assert partner.chosen_by.endswith("formation energy after relaxation in this run")


def test_no_test_split_and_no_energies(run):
    assert partners(dataclasses.replace(run, test=None), {"Si"}) == {}
    bare = crystal_table.CrystalTable(run.test.arrow.drop_columns(["energy_per_atom"]))
    first = partners(dataclasses.replace(run, test=bare, sets={}), {"C"})["C"]
    assert first.chosen_by.startswith("first of")


def test_rows_are_limited_from_the_end(one):
    assert crystal_rows(one, 5)["material_id"].tolist() == crystal_rows(one)["material_id"].tolist()[:5]
    only_rejected = dataclasses.replace(one, crystals=None, relaxed=None, rejected=[Rejected("x", "", "no_atoms", "")])
    assert crystal_rows(only_rejected)["verdict"].tolist() == ["rejected"]


def test_the_viewer_is_the_published_file():
    folder = assets._FOLDER / "static/3dmol"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    checksum = hashlib.sha256((folder / "3Dmol-min.js").read_bytes()).hexdigest()
    assert checksum in readme
    assert "BSD-3-Clause" in (folder / "LICENSE").read_text(encoding="utf-8")
    banner = (folder / "3Dmol-min.js.LICENSE.txt").read_text(encoding="utf-8")
    assert f"3Dmol.js {re.search(r'3dmol v([0-9.]+)', banner)[1]}" in readme
    assert len(assets.viewer_library()) < 250_000


def test_no_script_can_end_its_element():
    assert "</script" not in assets.scripts()
    assert "</style" not in assets.styles()


def test_every_element_of_the_table_has_a_colour():
    """Jmol's colours end with meitnerium, 109; a network draws heavier elements before it has learned better."""
    colours = [element_colour(number) for number in range(1, 119)]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert colours[111] == colours[108]
