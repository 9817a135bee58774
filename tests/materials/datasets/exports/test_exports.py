"""Exports, read by the programs that they are for, or by the code of these that reads them."""

import csv
import json
import logging
import zipfile

import ase.io
import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry
from pymatgen.io.ase import AseAtomsAdaptor

from tests.materials.datasets.exports.test_writers import assert_same, random_table
from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, from_crystals
from unimat.distributions import installed
from unimat.materials.datasets.exports.optimade import entry
from unimat.materials.datasets.exports.writers import write_as
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.datasets.settings import ConvertSettings, PropertyColumn

CHGNET = {"calculator": "CHGNet", "corrections": "MP2020, learned"}


def oxide(material_id="mgo", **properties):
    """Rock-salt MgO, four of each in the cubic cell."""
    coords = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    coords += [[(x + 0.5) % 1, y, z] for x, y, z in coords]
    return Crystal(material_id, np.eye(3) * 4.21, np.array([12] * 4 + [8] * 4), np.array(coords), properties)


def test_a_zip_of_cifs_has_the_same_bytes_each_time(tmp_path):
    table = random_table()
    for name in ("a.zip", "b.zip"):
        write_as(table, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [f"{name}.cif" for name in table.material_ids]
        for name, crystal in zip(archive.namelist(), table, strict=True):
            structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            assert structure.volume == pytest.approx(abs(np.linalg.det(crystal.lattice)))


def test_extxyz_gives_ase_the_total_energy(tmp_path):
    table = from_crystals([oxide(energy_per_atom=-6.0, converged=True), oxide("no energy", energy_per_atom=None)])
    write_as(table, tmp_path / "t.extxyz")
    atoms, without = ase.io.read(tmp_path / "t.extxyz", ":")
    assert atoms.get_potential_energy() == pytest.approx(-48.0)
    assert atoms.info["energy_per_atom"] == -6.0
    assert without.calc is None


def test_tensors_as_cdvaes_crystal_arrays(tmp_path):
    """compute_metrics.py takes evaluation 0 and cuts the atoms by num_atoms; Lattice.from_parameters makes the cell."""
    import torch

    table = random_table()
    write_as(table, tmp_path / "eval_gen.pt")
    data = torch.load(tmp_path / "eval_gen.pt")
    types = {"frac_coords": torch.float32, "lengths": torch.float32, "angles": torch.float32, "num_atoms": torch.int64}
    assert {name: data[name].dtype for name in types} == types
    assert (data["frac_coords"] >= 0).all()
    assert (data["frac_coords"] < 1).all()
    start = 0
    for row, (crystal, n) in enumerate(zip(table, data["num_atoms"][0].tolist(), strict=True)):
        coords = data["frac_coords"][0].narrow(0, start, n).numpy()
        species = data["atom_types"][0].narrow(0, start, n).numpy()
        lattice = Lattice.from_parameters(*(data["lengths"][0][row].tolist() + data["angles"][0][row].tolist()))
        structure = Structure(lattice=lattice, species=species, coords=coords, coords_are_cartesian=False)
        assert_same(crystal, structure.lattice.matrix, structure.atomic_numbers, structure.frac_coords, 1e-6)
        start += n


def test_tensors_come_back_with_ids_and_properties(tmp_path):
    table = random_table()
    write_as(table, tmp_path / "eval_gen.pt")
    back, rejected = read_crystals(
        tmp_path / "eval_gen.pt",
        ConvertSettings(properties={"energy_per_atom": PropertyColumn(), "note": PropertyColumn(kind="string")}),
    )
    assert rejected == []
    assert back.material_ids == table.material_ids
    np.testing.assert_array_equal(back.column("energy_per_atom"), table.column("energy_per_atom"))
    assert back.column("note").tolist() == table.column("note").tolist()


def test_mattergens_evaluator_finds_a_structure_for_each_uncorrected_energy(tmp_path):
    """It reads the extxyz by ASE, the energies by numpy, and corrects them itself: both ends must meet."""
    total = -47.0
    corrected = ComputedEntry("Mg4O4", total, parameters={"run_type": "GGA", "hubbards": {}})
    corrected = MaterialsProject2020Compatibility(check_potcar=False).process_entry(corrected)
    assert corrected.correction < -1
    table = from_crystals(
        [oxide(energy_per_atom=corrected.energy / 8), oxide("failed", energy_per_atom=float("nan"))], energy_type=CHGNET
    )
    rejected = write_as(table, tmp_path / "m", "mattergen")
    assert [(row.material_id, row.reason) for row in rejected] == [("failed", "no_energy")]
    structures = [
        AseAtomsAdaptor.get_structure(atoms) for atoms in ase.io.read(tmp_path / "m/generated_crystals.extxyz", ":")
    ]
    energies = np.load(tmp_path / "m/energies.npy")
    assert len(structures) == len(energies) == 1
    assert structures[0].composition.reduced_formula == "MgO"
    assert energies[0] == pytest.approx(total, abs=1e-6)


def test_mattergen_without_energies_or_with_plain_ones(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "unimat.convert"):
        write_as(from_crystals([oxide()]), tmp_path / "a", "mattergen")
    assert "structures alone" in caplog.text
    names = [path.name for path in (tmp_path / "a").iterdir() if not path.name.startswith(".")]
    assert names == ["generated_crystals.extxyz"]
    plain = from_crystals([oxide(energy_per_atom=-6.0)], energy_type={"corrections": "none"})
    write_as(plain, tmp_path / "b", "mattergen")
    np.testing.assert_array_equal(np.load(tmp_path / "b/energies.npy"), [-48.0])


def test_lemats_csv_gives_structures_as_its_script_reads_them(tmp_path):
    table = random_table()
    table = table.with_column("smact_validity", [False] * len(table))
    write_as(table, tmp_path / "t.csv", "lemat")
    frame = pd.read_csv(tmp_path / "t.csv")
    assert list(frame) == ["material_id", "structure", "energy_per_atom", "note"]
    for crystal, text in zip(table, frame["structure"], strict=True):
        assert text.strip().startswith("{")
        structure = Structure.from_dict(json.loads(text))
        assert_same(crystal, structure.lattice.matrix, structure.atomic_numbers, structure.frac_coords, 1e-12)
        assert structure.charge == 0
        assert structure.pbc == (True, True, True)
    back, _ = read_crystals(tmp_path / "t.csv")
    assert back.material_ids == table.material_ids


def test_an_optimade_entry_of_rock_salt():
    """By hand from the specification."""
    attributes = entry(oxide(energy_per_atom=-6.0, BandGap=float("nan")))["attributes"]
    assert attributes["elements"] == ["Mg", "O"]
    assert attributes["elements_ratios"] == [0.5, 0.5]
    assert attributes["chemical_formula_reduced"] == "MgO"
    assert attributes["chemical_formula_anonymous"] == "AB"
    assert (attributes["nsites"], attributes["nelements"]) == (8, 2)
    assert attributes["cartesian_site_positions"][1] == [2.105, 2.105, 0.0]
    assert attributes["_unimat_energy_per_atom"] == -6.0
    assert attributes["_unimat_bandgap"] is None
    water = Crystal("x", np.eye(3) * 9, np.array([1, 8, 1]), np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]]))
    assert entry(water)["attributes"]["chemical_formula_anonymous"] == "A2B"
    assert entry(water)["attributes"]["chemical_formula_reduced"] == "H2O"


def test_optimade_comes_back_and_its_models_take_it(tmp_path):
    table = random_table()
    write_as(table, tmp_path / "t.json")
    back, rejected = read_crystals(
        tmp_path / "t.json", ConvertSettings(properties={"_unimat_note": PropertyColumn(kind="string")})
    )
    assert rejected == []
    assert back.material_ids == table.material_ids
    assert back.column("_unimat_note").tolist() == table.column("note").tolist()
    for crystal, read in zip(table, back, strict=True):
        assert_same(crystal, read.lattice, read.atomic_numbers, read.frac_coords, 1e-10)
    if installed("optimade"):  # its models check more
        from optimade.models import StructureResponseMany

        StructureResponseMany(**json.loads((tmp_path / "t.json").read_text(encoding="utf-8")))


@pytest.mark.published
@pytest.mark.parametrize("form", ["cdvae", "lemat", "optimade", "mattergen", "extxyz", "cif"])
def test_real_crystals_come_back(form, published_data, tmp_path):
    table, _ = read_crystals(published_data / "mp_20/test.feather")
    table = table.take(np.arange(0, len(table), 100))
    path = tmp_path / {"cdvae": "t.pt", "lemat": "t.csv", "optimade": "t.json", "extxyz": "t.extxyz"}.get(form, "out")
    assert write_as(table, path, form) == []
    back, rejected = read_crystals(path / "generated_crystals.extxyz" if form == "mattergen" else path)
    assert rejected == []
    assert sorted(back.material_ids) == sorted(table.material_ids)
    found = {crystal.material_id: crystal for crystal in back}
    for crystal in table:
        read = found[crystal.material_id]
        assert_same(crystal, read.lattice, read.atomic_numbers, read.frac_coords, 2e-6)


def test_convert_names_what_it_leaves_out(tmp_path, caplog):
    bad = Crystal("broken", np.full((3, 3), np.nan), np.array([6]), np.zeros((1, 3)))
    crystal_table.write(from_crystals([oxide(energy_per_atom=None), bad]), tmp_path / "t.parquet")
    with caplog.at_level(logging.INFO, "unimat.convert"):
        assert main(["convert", str(tmp_path / "t.parquet"), str(tmp_path / "out"), "--to", "mattergen"]) == 0
    assert "broken is left out" in caplog.text
    with (tmp_path / "t.parquet").open("rb"):
        assert main(["convert", str(tmp_path / "t.parquet"), str(tmp_path / "t.csv"), "--to", "lemat"]) == 0
    with (tmp_path / "t.csv").open(encoding="utf-8") as stream:
        assert [row["material_id"] for row in csv.DictReader(stream)] == ["mgo"]
