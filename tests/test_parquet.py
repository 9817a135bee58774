"""Every flipped byte of a sealed Parquet file is told, and the file stays one that others can read."""

import contextlib
import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimat import parquet
from unimat.errors import UserError

TABLE = pa.table({"id": ["a", "b", "c"], "x": [0.25, -1.0, 3.5]}).replace_schema_metadata({"unimat": '{"note": 1}'})


@pytest.fixture
def path(tmp_path):
    parquet.write(TABLE, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_other_programs_read_a_sealed_file(path):
    assert pq.read_table(path, page_checksum_verification=True).equals(TABLE, check_metadata=True)
    assert pd.read_parquet(path).equals(TABLE.to_pandas())


def test_the_seal_is_the_sha_256_of_all_other_bytes(path):
    content = path.read_bytes()
    before, after = content.split(b"unimat-sha256=")
    assert hashlib.sha256(before + after[64:]).hexdigest() == after[:64].decode()
    pq.write_table(TABLE, path.with_name("plain.parquet"), compression="zstd", write_page_checksum=True)
    assert before + after[64:] == path.with_name("plain.parquet").read_bytes()


def test_no_flipped_byte_gives_another_table(path):
    content = path.read_bytes()
    mark = content.index(b"unimat-sha256=")
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        if 0 <= at - mark < len(b"unimat-sha256="):  # a file without a seal
            assert parquet.read(path).equals(TABLE, check_metadata=True)
            continue
        with pytest.raises(UserError, match=r"t.parquet is not .*; delete it and make it again"):
            parquet.read(path)


def test_no_cut_gives_another_table(path):
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"t.parquet is not .*; delete it and make it again"):
            parquet.read(path)


def test_flipped_pages_of_a_file_without_a_seal_are_told(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": np.arange(1000.0)}), path, compression="none", write_page_checksum=True)
    assert parquet.read(path).num_rows == 1000
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="not readable as Parquet"):
        parquet.read(path)


def test_a_file_of_another_program_is_read(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    assert parquet.read(tmp_path / "t.parquet").equals(TABLE)
    assert parquet.n_rows(tmp_path / "t.parquet") == 3


def test_a_folder_named_as_a_column_adds_none(tmp_path):
    parquet.write(TABLE, tmp_path / "run=1/t.parquet")
    assert parquet.read(tmp_path / "run=1/t.parquet").column_names == ["id", "x"]


def test_other_columns_and_kinds_are_told(path, tmp_path):
    assert parquet.read_frame(path, {"id": "text", "x": "number"})["x"].tolist() == [0.25, -1.0, 3.5]
    with pytest.raises(UserError, match="no column 'y'"):
        parquet.read(path, ["y"])
    with pytest.raises(UserError, match="column 'x' is double, not a text"):
        parquet.read_frame(path, {"x": "text"})
    with pytest.raises(UserError, match="is a folder"):
        parquet.read(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        parquet.read(tmp_path / "none.parquet")


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path):
    with contextlib.suppress(RuntimeError), parquet.writing(tmp_path / "t.parquet", TABLE.schema) as file:
        file.write_table(TABLE)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
