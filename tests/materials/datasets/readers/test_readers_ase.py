"""ASE's extxyz files and databases, against ASE."""

import sqlite3

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk

from tests.materials.datasets.readers.test_readers import assert_both, read
from tests.materials.datasets.readers.test_readers_bad_input import reasons, told
from unimat.distributions import installed
from unimat.errors import UserError
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.records import Columns


def test_extxyz_agrees_with_ase(tmp_path):
    atoms = [bulk("NaCl", "rocksalt", a=5.64, cubic=True), bulk("Si", cubic=True, a=5.43)]
    atoms[0].positions += 7.0
    for name, each in zip(("nacl", "si"), atoms, strict=True):
        each.info["material_id"] = name
    ase.io.write(tmp_path / "s.extxyz", atoms)
    crystals = read(tmp_path / "s.extxyz")
    assert_both(crystals)
    positions = crystals["nacl"].frac_coords @ crystals["nacl"].lattice
    np.testing.assert_allclose(positions, atoms[0].positions, atol=1e-7)


@pytest.fixture
def database(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as connection:
        for index in range(1203):
            atoms = bulk("NaCl", "rocksalt", a=5 + index / 1000, cubic=True)
            named = {"material_id": f"m{index}", "split": "test"} if index else {}
            connection.write(atoms, key_value_pairs={"gap": index / 7, **named}, data={"large": "x" * 100})
        connection.delete([700])
    return tmp_path / "a.db"


def test_ase_database(database):
    records = list(records_of(database, Columns(properties=("gap", "energy"))))
    assert len(records) == 1202
    assert [record.material_id for record in records[:2]] == ["a-1", "m1"]
    assert [record.split for record in records[:2]] == [None, "test"]
    assert records[-1].properties == {"gap": 1202 / 7, "energy": None}
    np.testing.assert_allclose(records[-1].content.lattice, np.eye(3) * 6.202)
    np.testing.assert_allclose(
        records[5].content.frac_coords, bulk("NaCl", "rocksalt", a=5, cubic=True).get_scaled_positions()
    )
    assert records[0].content.atomic_numbers.tolist() == [11, 17] * 4


def test_ase_database_of_another_kind_names_its_package(tmp_path):
    (tmp_path / "a.aselmdb").write_bytes(b"lmdb")
    if not installed("ase-db-backends"):
        with pytest.raises(UserError, match="pip install ase-db-backends"):
            list(records_of(tmp_path / "a.aselmdb"))


def test_broken_databases_are_told(tmp_path):
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\x00" + bytes(100))
    assert "not readable as an ASE database" in told(tmp_path / "a.db")
    (tmp_path / "b.db").write_text("no database")
    assert "is no SQLite database" in told(tmp_path / "b.db")
    assert (tmp_path / "b.db").read_text() == "no database"
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = (tmp_path / "c.db").read_bytes()
    assert "but not one of ASE" in told(tmp_path / "c.db")
    assert (tmp_path / "c.db").read_bytes() == before


def test_broken_frames_are_rejected_and_broken_counts_are_told(tmp_path):
    good = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 material_id={}\nSi 0 0 0\n'
    path = tmp_path / "a.extxyz"
    path.write_text(good.format("007") + good.format("d").replace("Si", "D") + good.format("n").replace("3 0 0", "nan"))
    with path.open("a") as stream:
        stream.write("1\nno lattice\nSi 0 0 0\n\n" + good.format('"a b"'))
    found = reasons(path)
    assert list(found) == ["007", "d", "n", "a-3", "a b"]
    assert found["007"] == found["a b"] == 1
    assert found["d"] == "not_an_element"
    path.write_text(good.format("x") + "what\n")
    assert "expected a number of atoms, found 'what'" in told(path)
    path.write_text(good.format("x") + "2\ncomment\nSi 0 0 0\n")
    assert "ends within a frame of 2 atoms" in told(path)
