"""Writers, read back by pymatgen and ASE and by our own readers."""

import ase.io
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.lattices import lattice_matrix
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.datasets.exports.writers import FORMATS, file_names, write_as
from unimat.materials.datasets.ingest import read_crystals


def random_table(seed=0, n_crystals=3):
    generator = np.random.default_rng(seed)
    crystals = []
    for index in range(n_crystals):
        n = int(generator.integers(1, 7))
        lattice = lattice_matrix(generator.uniform(4, 9, 3), generator.uniform(60, 110, 3))
        numbers = generator.choice([6, 8, 14, 26, 92], n)
        properties = {"energy_per_atom": float(generator.normal()) if index else None, "note": f'with "{index}" \\ a'}
        crystals.append(Crystal(f"mp-{index}", lattice, numbers, generator.uniform(-0.2, 1.2, (n, 3)), properties))
    return from_crystals(crystals, {"energy_per_atom": "eV/atom"})


def assert_same(crystal, lattice, numbers, coords, tolerance):
    assert list(numbers) == list(crystal.atomic_numbers)
    # Some writers turn the crystal in space; lengths and angles stay, so does the metric.
    np.testing.assert_allclose(lattice @ lattice.T, crystal.lattice @ crystal.lattice.T, atol=100 * tolerance)
    difference = np.asarray(coords) - crystal.frac_coords
    np.testing.assert_allclose(difference - np.round(difference), 0, atol=tolerance)


def _sorted(crystal):
    order = np.lexsort([*(crystal.frac_coords % 1).round(8).T, crystal.atomic_numbers])
    return Crystal(crystal.material_id, crystal.lattice, crystal.atomic_numbers[order], crystal.frac_coords[order])


def test_cifs_and_poscars_read_by_pymatgen(tmp_path):
    table = random_table()
    for form, suffix in (("cif", "cif"), ("poscar", "vasp")):
        write_as(table, tmp_path / form, form)
        for crystal in table:
            structure = Structure.from_file(tmp_path / form / f"{crystal.material_id}.{suffix}")
            # pymatgen's CIF parser sorts the atoms, so both are sorted here.
            ours, theirs = (_sorted(from_structure(each, "x")) for each in (to_structure(crystal), structure))
            assert_same(ours, theirs.lattice, theirs.atomic_numbers, theirs.frac_coords, 1e-10)


def test_extxyz_read_by_ase(tmp_path):
    table = random_table()
    write_as(table, tmp_path / "t.extxyz")
    for crystal, atoms in zip(table, ase.io.read(tmp_path / "t.extxyz", ":"), strict=True):
        assert_same(crystal, atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(wrap=False), 1e-12)
        assert atoms.info["material_id"] == crystal.material_id
        assert atoms.info.get("energy_per_atom") == crystal.properties["energy_per_atom"]
        assert atoms.info["note"] == crystal.properties["note"]
        assert atoms.pbc.all()


def test_csv_read_by_pandas(tmp_path):
    table = random_table()
    write_as(table, tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", float_precision="round_trip")
    assert list(frame) == ["material_id", "energy_per_atom", "note", "cif"]
    np.testing.assert_array_equal(frame["energy_per_atom"], table.column("energy_per_atom"))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), form=st.sampled_from(sorted(FORMATS)))
def test_every_form_comes_back_through_our_readers(seed, form, tmp_path_factory):
    table = random_table(seed)
    names = {"cif": "cifs", "poscar": "poscars", "cdvae": "t.pt", "lemat": "t.csv", "optimade": "t.json"}
    path = tmp_path_factory.mktemp("forms") / names.get(form, f"t.{form}")
    table = table.take(np.array(form != "mattergen") | np.isfinite(table.column("energy_per_atom")))
    write_as(table, path, form)
    back, rejected = read_crystals(path / "generated_crystals.extxyz" if form == "mattergen" else path)
    assert rejected == []
    assert back.material_ids == table.material_ids
    for crystal, read in zip(table, back, strict=True):
        tolerance = 1e-6 if form == "cdvae" else 1e-10  # CDVAE's own tensors are float32
        assert_same(crystal, read.lattice, read.atomic_numbers, read.frac_coords, tolerance)


def test_a_table_comes_back_with_columns_units_and_metadata(tmp_path):
    table = random_table().with_metadata(energy_type={"calculator": "CHGNet"}, n_requested=7)
    write_as(table, tmp_path / "t.parquet")
    back, _ = read_crystals(tmp_path / "t.parquet")
    assert back.unit("energy_per_atom") == "eV/atom"
    assert back.metadata["energy_type"] == {"calculator": "CHGNet"}
    assert back.metadata["n_requested"] == 7
    np.testing.assert_array_equal(back.column("energy_per_atom"), table.column("energy_per_atom"))


def test_ids_that_no_file_system_takes_get_names_it_does():
    assert file_names(["a/b", "x y", "..", "C-24"], ".cif") == ["a_b.cif", "x_y.cif", "_.cif", "C-24.cif"]
    with pytest.raises(UserError, match="ids 'a/b' and 'a_b' give one file name"):
        file_names(["a/b", "a_b"], ".cif")
    with pytest.raises(UserError, match="ids 'SI' and 'si' give one file name"):
        file_names(["SI", "si"], ".cif")


def test_an_unknown_form_is_told_and_nothing_is_left(tmp_path):
    with pytest.raises(UserError, match=r"t\.res: write as what\? name it one of \.cifs, \.zip, \.parquet"):
        write_as(random_table(), tmp_path / "t.res")
    two = from_crystals([Crystal(name, np.eye(3) * 3, np.array([6]), np.zeros((1, 3))) for name in ("a/b", "a_b")])
    with pytest.raises(UserError, match="give one file name"):
        write_as(two, tmp_path / "cifs", "cif")
    assert list(tmp_path.iterdir()) == []
