"""Crystal tables: what is written comes back, with units and metadata."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unimat import crystal_table
from unimat.crystal_table import Crystal, Rejected, concatenate, from_crystals
from unimat.errors import UserError

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@st.composite
def crystals(draw):
    n = draw(st.integers(1, 5))
    return Crystal(
        draw(st.text(max_size=8)),
        np.array(draw(st.lists(FINITE, min_size=9, max_size=9))).reshape(3, 3),
        np.array(draw(st.lists(st.integers(1, 118), min_size=n, max_size=n))),
        np.array(draw(st.lists(FINITE, min_size=3 * n, max_size=3 * n))).reshape(n, 3),
        {"band_gap": draw(st.none() | FINITE), "note": draw(st.none() | st.text(max_size=5))},
    )


def silicon(material_id="si", **properties):
    lattice = np.array([[0.0, 2.7, 2.7], [2.7, 0.0, 2.7], [2.7, 2.7, 0.0]])
    return Crystal(material_id, lattice, np.array([14, 14]), np.array([[0, 0, 0], [0.25, 0.25, 0.25]]), properties)


def carbon(material_id="c", **properties):
    return Crystal(material_id, np.diag([2.5, 2.5, 6.7]), np.array([6]), np.array([[0.1, 0.2, 0.3]]), properties)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(crystals(), max_size=6, unique_by=lambda crystal: crystal.material_id))
def test_every_bit_comes_back(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "t.parquet"
    crystal_table.write(from_crystals(rows, {"band_gap": "eV"}), path)
    table = crystal_table.read(path)
    assert len(table) == len(rows)
    for row, back in zip(rows, table, strict=True):
        assert back.material_id == row.material_id
        for name in ("lattice", "atomic_numbers", "frac_coords"):
            np.testing.assert_array_equal(getattr(back, name), getattr(row, name))
        assert dict(back.properties) == dict(row.properties)


def test_flat_arrays_and_offsets():
    table = from_crystals([silicon(), carbon()])
    np.testing.assert_array_equal(table.atom_offsets, [0, 2, 3])
    np.testing.assert_array_equal(table.n_atoms, [2, 1])
    np.testing.assert_array_equal(table.flat_atomic_numbers, [14, 14, 6])
    np.testing.assert_array_equal(table.flat_frac_coords, [[0, 0, 0], [0.25, 0.25, 0.25], [0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(table.lattices[1], np.diag([2.5, 2.5, 6.7]))


def test_flat_arrays_of_a_taken_part_are_that_part():
    table = from_crystals([silicon(), carbon(), silicon("si-2")]).take([1, 2])
    np.testing.assert_array_equal(table.flat_atomic_numbers, [6, 14, 14])
    np.testing.assert_array_equal(table.take(np.array([False, True])).n_atoms, [2])


def test_units_descriptions_and_metadata_come_back(tmp_path):
    made = from_crystals([silicon(band_gap=1.1)], {"band_gap": "eV"}, {"band_gap": "indirect"}, licence="CC0", n=3)
    crystal_table.write(made, tmp_path / "t.parquet")
    table = crystal_table.read(tmp_path / "t.parquet")
    assert table.unit("band_gap") == "eV"
    assert table.arrow.schema.field("band_gap").metadata[b"description"] == b"indirect"
    assert table.arrow.schema.field("lattice").metadata[b"unit"].decode() == "Å"
    assert table.metadata == {"format": 1, "licence": "CC0", "n": 3}
    assert table.with_metadata(n=4).metadata["n"] == 4
    assert table.metadata["n"] == 3


def test_columns_are_added_and_replaced_and_nulls_are_nan():
    table = from_crystals([silicon(), carbon()]).with_column("fmax", [0.1, None], "eV/Å")
    np.testing.assert_array_equal(table.column("fmax"), [0.1, np.nan])
    replaced = table.with_column("fmax", [1.0, 2.0], "eV/Å")
    assert replaced.property_names == ["fmax"]
    np.testing.assert_array_equal(replaced.column("fmax"), [1.0, 2.0])
    with pytest.raises(UserError, match="no column 'energy'; its property columns: fmax"):
        table.column("energy")


def test_columns_missing_in_one_table_are_null_there():
    joined = concatenate([from_crystals([silicon(a=1.0)], name="first"), from_crystals([carbon(b="x")], name="second")])
    assert [dict(crystal.properties) for crystal in joined] == [{"a": 1.0, "b": None}, {"a": None, "b": "x"}]
    assert joined.metadata["name"] == "first"


def test_duplicate_ids_are_refused_by_name():
    with pytest.raises(UserError, match="material_id 'si' occurs twice"):
        from_crystals([silicon(), carbon(), silicon()])
    with pytest.raises(UserError, match="material_id 'c' occurs twice"):
        concatenate([from_crystals([carbon()]), from_crystals([silicon(), carbon()])])


def test_same_table_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        crystal_table.write(from_crystals([silicon(x=1.0), carbon()], source="here"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_truncated_and_foreign_parquet_are_told(tmp_path):
    path = tmp_path / "t.parquet"
    crystal_table.write(from_crystals([silicon()]), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"t\.parquet is not readable as Parquet"):
        crystal_table.read(path)
    pq.write_table(pa.table({"cif": ["data_"]}), path)
    with pytest.raises(UserError, match="is no crystal table: column 'material_id' is missing"):
        crystal_table.read(path)


def test_empty_table_and_rejected_rows_come_back(tmp_path):
    crystal_table.write(from_crystals([]), tmp_path / "empty.parquet")
    assert len(crystal_table.read(tmp_path / "empty.parquet")) == 0
    assert crystal_table.read(tmp_path / "empty.parquet").flat_frac_coords.shape == (0, 3)
    rows = [Rejected("x", "a.csv:3", "unreadable", "no cell"), Rejected("y", "a.csv:4", "no_atoms", "")]
    for expected in (rows, []):
        crystal_table.write_rejected(expected, tmp_path / "rejected.parquet")
        assert crystal_table.read_rejected(tmp_path / "rejected.parquet") == expected
