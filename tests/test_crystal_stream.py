import contextlib

import numpy as np
import pytest

from unimat import crystal_stream, crystal_table
from unimat.crystal_table import Crystal
from unimat.errors import UserError


def table(n, start=0):
    crystals = [
        Crystal(f"c-{i}", np.eye(3) * (4 + i), np.array([11, 17]), np.array([[0.0] * 3, [0.5] * 3]), {"gap": i / 2})
        for i in range(start, start + n)
    ]
    return crystal_table.from_crystals(crystals, units={"gap": "eV"}, source="here")


def test_batches_give_all_rows_in_order_with_units_and_metadata(tmp_path):
    path = tmp_path / "t.parquet"
    crystal_table.write(table(10), path)
    parts = list(crystal_stream.batches(path, rows=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert [i for part in parts for i in part.material_ids] == [f"c-{i}" for i in range(10)]
    assert parts[2].unit("gap") == "eV"
    assert parts[2].metadata["source"] == "here"
    np.testing.assert_array_equal(parts[1][0].lattice, np.eye(3) * 8)


def test_written_in_parts_equals_written_at_once(tmp_path):
    with crystal_stream.writing(tmp_path / "parts.parquet", table(0).with_column("gap", np.zeros(0), "eV")) as writer:
        writer.write(table(3))
        writer.write(table(0).with_column("gap", np.zeros(0), "eV"))
        writer.write(table(4, start=3))
    assert writer.n_rows == 7
    crystal_table.write(table(7), tmp_path / "once.parquet")
    parts, once = (crystal_table.read(tmp_path / f"{name}.parquet") for name in ("parts", "once"))
    assert parts.arrow.to_pydict() == once.arrow.to_pydict()
    assert crystal_stream.n_rows(tmp_path / "parts.parquet") == 7


def test_a_broken_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.parquet"
    crystal_table.write(table(2), path)
    with contextlib.suppress(RuntimeError), crystal_stream.writing(path, table(1)) as writer:
        writer.write(table(5))
        raise RuntimeError
    assert len(crystal_table.read(path)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["t.parquet"]


def test_of_an_empty_table_the_columns_remain(tmp_path):
    path = tmp_path / "t.parquet"
    with crystal_stream.writing(path, table(1)):
        pass
    assert list(crystal_stream.batches(path)) == []
    assert crystal_stream.empty_like(path).property_names == ["gap"]


@pytest.mark.parametrize("content", [b"", b"PAR1 not really"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.parquet is not readable as Parquet"):
        list(crystal_stream.batches(path))
