"""A set in any form is the same set to every command that takes one."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.io.cif import CifWriter

from tests.report.report_run import hull_reference, prototypes
from unimat import crystal_table
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json
from unimat.materials.crystals.structures import from_structure
from unimat.materials.datasets.sets import EnergySettings, crystals_of, read_set, set_name, with_energies

NAMES = ("diamond", "silicon", "3C-SiC", "2H-SiC")
FORMULAS = {"diamond": "C2", "silicon": "Si2", "3C-SiC": "C1Si1", "2H-SiC": "C2Si2"}
FORMS = ("parquet", "folder", "zip", "extxyz", "csv", "cif_parquet", "jsonl", "pt", "set_folder", "cif")


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> dict[str, Path]:
    """Four crystals, written in each form; one CIF holds the first of them."""
    folder = tmp_path_factory.mktemp("forms")
    structures = {name: prototypes()[name][0] for name in NAMES}
    table = crystal_table.from_crystals([from_structure(each, name) for name, each in structures.items()])
    texts = {name: str(CifWriter(each)) for name, each in structures.items()}
    crystal_table.write(table, folder / "table/mine.parquet")
    crystal_table.write(table, folder / "run/sets/mine/crystals.parquet")
    (folder / "cifs").mkdir()
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        for name, text in texts.items():
            (folder / f"cifs/{name}.cif").write_text(text)
            archive.writestr(f"{name}.cif", text)
    frame = pd.DataFrame({"material_id": list(texts), "cif": list(texts.values())})
    frame.to_csv(folder / "mine.csv", index=False)
    frame.to_parquet(folder / "with_cifs.parquet", index=False)
    frame.to_json(folder / "mine.jsonl", orient="records", lines=True)
    for target in ("mine.extxyz", "mine.pt"):
        assert main(["convert", str(folder / "cifs"), str(folder / target)]) == 0
    return {
        "parquet": folder / "table/mine.parquet",
        "folder": folder / "cifs",
        "zip": folder / "mine.zip",
        "extxyz": folder / "mine.extxyz",
        "csv": folder / "mine.csv",
        "cif_parquet": folder / "with_cifs.parquet",
        "jsonl": folder / "mine.jsonl",
        "pt": folder / "mine.pt",
        "set_folder": folder / "run/sets/mine",
        "cif": folder / "cifs/diamond.cif",
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hull")
    hull_reference(folder)
    return folder / "hull/reference.parquet"


def said(capsys, *words) -> str:
    """The one line that a refused command says."""
    assert main([str(word) for word in words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    return line


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_crystals(forms, form):
    table, rejected = read_set(forms[form])
    wanted = crystal_table.read(forms["parquet"])
    n = 1 if form == "cif" else 4
    assert rejected == []
    assert len(table) == n
    order = {tuple(np.sort(each.atomic_numbers)): each for each in table}
    for each in list(wanted)[:n]:
        found = order[tuple(np.sort(each.atomic_numbers))]
        assert abs(np.linalg.det(found.lattice)) == pytest.approx(abs(np.linalg.det(each.lattice)), rel=1e-4)


def commands(path: Path, forms: dict[str, Path], reference: Path, out: Path) -> dict[str, list[object]]:
    """A call of every command and flag that takes a set."""
    table = forms["parquet"]
    quick = '{"resamples": 0, "cutoffs": "carbon_24"}'
    match = ["--out-file", out / "m.json", "--pairs", out / "m.parquet"]
    emt = (
        '{"engine": "ase", "max_steps": 1, "force_field": {"calculator": "ase.calculators.emt.EMT", "functional": "x",'
    )
    emt += ' "corrections": "none"}}'
    hull = ["hull", "--relaxed", forms["relaxed"], "--reference", reference, "--out", out / "hull"]
    judge = ["--settings", quick, "--out-file", out / "metrics.json"]
    return {
        "select": ["select", "--crystals", path, "--take", 1, "--out", out / "selected"],
        "compositions": ["compositions", "--crystals", path, "--out-file", out / "c.csv"],
        "relax": [
            "relax",
            "--crystals",
            path,
            "--settings",
            emt,
            "--work",
            out / "w",
            "--out",
            out / "relaxed.parquet",
        ],
        "estimate": ["estimate", "--crystals", path, "--relax", '{"engine": "vasp"}'],
        "match --crystals": ["match", "--crystals", path, "--truths", table, *match],
        "match --truths": ["match", "--crystals", table, "--truths", path, *match],
        "metrics --crystals": ["metrics", "--crystals", path, "--reference", table, *judge],
        "metrics --reference": ["metrics", "--crystals", table, "--reference", path, *judge],
        "metrics --known": ["metrics", "--crystals", table, "--reference", table, "--known", path, *judge],
        "encode": ["encode", "--train", path, "--val", path, "--test", path, "--out", out / "encoded"],
        "convert": ["convert", path, out / "converted.parquet"],
        "flows": ["flows", "--crystals", path, "--settings", '{"engine": "vasp"}', "--out", out / "flows"],
        "hull --known": [*hull, "--known", path],
    }


KINDS = (
    "relax",
    "estimate",
    "flows",
    "select",
    "compositions",
    "match --crystals",
    "match --truths",
    "metrics --crystals",
    "metrics --reference",
    "metrics --known",
    "encode",
    "convert",
    "hull --known",
)


@pytest.fixture(scope="module")
def relaxed(forms, tmp_path_factory) -> Path:
    """The four crystals with energies, as a relaxation leaves them."""
    table = crystal_table.read(forms["parquet"])
    energies = [-9.08, -5.4, -7.55, -7.545]
    about = {"calculator": "CHGNet 0.3.0", "functional": "PBE", "corrections": "MP2020, as learned",
             "quantity": "total energy"}  # fmt: skip
    table = table.with_column("energy_per_atom", np.array(energies), "eV/atom").with_column("converged", [True] * 4)
    path = tmp_path_factory.mktemp("relaxed") / "relaxed.parquet"
    crystal_table.write(table.with_metadata(energy_type=about), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_every_command_takes_every_form(forms, reference, relaxed, tmp_path, form, kind):
    if form == "set_folder" and kind == "convert":
        pytest.skip("a folder of tables is nothing to convert")
    words = commands(forms[form], forms | {"relaxed": relaxed}, reference, tmp_path)[kind]
    assert main([str(word) for word in words]) == 0
    n = 1 if form == "cif" else 4
    if kind == "compositions":
        rows = pd.read_csv(tmp_path / "c.csv", comment="#")
        wanted = list(FORMULAS.values())[:n]
        assert sorted(rows["formula"]) == sorted(wanted)
    if kind == "metrics --crystals":
        assert read_json(tmp_path / "metrics.json")["n_generated"] == n
    if kind == "hull --known":
        stability = pd.read_parquet(tmp_path / "hull/stability.parquet")
        assert stability["novel"].tolist() == [False] + [form == "cif"] * 3


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("parquet", "set_folder")])
def test_a_set_without_energies_is_told_to_be_relaxed(forms, reference, tmp_path, capsys, form):
    line = said(capsys, "hull", "--relaxed", forms[form], "--reference", reference, "--out", tmp_path / "hull")
    assert f"{forms[form]} holds no energies" in line
    assert f"relax it first (`unimat relax --crystals {forms[form]} ...`)" in line
    assert "None" not in line
    assert "delete" not in line


def test_energies_of_a_csv_are_judged_once_somebody_says_what_they_are(forms, relaxed, reference, tmp_path, capsys):
    """Per cell in the file; the same decomposition energies as of the table."""
    frame = pd.read_csv(forms["csv"])
    table = crystal_table.read(relaxed)
    frame["total"] = table.column("energy_per_atom") * table.n_atoms
    frame.to_csv(tmp_path / "own.csv", index=False)
    own = ["hull", "--relaxed", tmp_path / "own.csv", "--reference", reference, "--out", tmp_path / "own"]
    energies = '{"column": "total", "unit": "eV", "functional": "PBE", "corrections": "MP2020"}'
    assert main([str(word) for word in [*own, "--energies", energies]]) == 0
    assert main(["hull", "--relaxed", str(relaxed), "--reference", str(reference), "--out", str(tmp_path / "a")]) == 0
    found, wanted = (pd.read_parquet(tmp_path / name / "stability.parquet") for name in ("own", "a"))
    np.testing.assert_allclose(found["decomposition_energy"], wanted["decomposition_energy"], atol=1e-9)
    assert "functional is missing" in said(capsys, *own, "--energies", '{"column": "total"}')
    other = said(capsys, *own, "--energies", '{"column": "total", "unit": "eV", "functional": "r2SCAN"}')
    assert "functional 'r2SCAN'" in other


def test_rows_that_are_no_crystals_stay_in_the_denominator(forms, tmp_path, caplog):
    folder = tmp_path / "cifs"
    shutil.copytree(forms["folder"], folder)
    (folder / "broken.cif").write_text("data_x\nno cell\n")
    table = crystals_of(folder)
    assert (len(table), table.metadata["n_requested"]) == (4, 5)
    assert "1 of 5 rows" in caplog.text
    assert "broken" in caplog.text
    assert main(["select", "--crystals", str(folder), "--out", str(tmp_path / "some")]) == 0
    assert [row.material_id for row in crystal_table.read_rejected(tmp_path / "some/rejected.parquet")] == ["broken"]


def test_a_table_that_names_no_convergence_counts_every_energy(forms, caplog):
    table = crystal_table.read(forms["parquet"]).with_column("energy_per_atom", np.array([1.0, 2.0, np.nan, 4.0]))
    with pytest.raises(UserError, match="does not say what its energies are"):
        with_energies(table, "x.parquet")
    found = with_energies(table.with_metadata(energy_type={"functional": "PBE"}), "x.parquet")
    assert found.column("converged").tolist() == [True, True, False, True]
    assert "does not say which relaxations converged" in caplog.text


def test_energies_per_cell_are_divided_by_their_atoms(forms):
    table = crystal_table.read(forms["parquet"]).with_column("total", np.array([8.0, 8.0, 8.0, 8.0]))
    found = with_energies(table, "x", EnergySettings("total", "eV", "PBE"))
    assert found.column("energy_per_atom").tolist() == [4.0, 4.0, 4.0, 2.0]
    assert found.metadata["energy_type"]["functional"] == "PBE"


def test_a_set_is_called_by_its_place(tmp_path):
    assert set_name("results/demo/sets/generated/crystals.parquet") == "generated"
    assert set_name(tmp_path / "mine.zip") == "mine"
    assert set_name(tmp_path / "my_cifs") == "my_cifs"


def test_parquet_that_is_nothing_of_the_kind_is_named(tmp_path, capsys):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "x.parquet")
    line = said(capsys, "select", "--crystals", tmp_path / "x.parquet", "--out", tmp_path / "out")
    assert "is no crystal table" in line
