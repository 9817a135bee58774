"""Crystals of more text than any has: rejected without being read whole."""

import gzip
import json
import struct
import tracemalloc
import zipfile

import pandas as pd
import pytest

from tests.materials.datasets.readers.test_readers_bad_input import CIF, reasons, zip_of
from unimat.materials.datasets.readers import opening


@pytest.fixture
def small_limit(monkeypatch):
    for module in ("opening", "zips", "entries", "csv_table", "arrow_table", "extxyz", "json_files"):
        monkeypatch.setattr(f"unimat.materials.datasets.readers.{module}.MAX_TEXT", 5000)


LARGE = CIF + "# no end of comment\n" * 1000


def test_crystals_larger_than_the_limit_are_rejected(tmp_path, small_limit):
    (tmp_path / "folder").mkdir()
    for name, text in (("large.cif", LARGE), ("small.cif", CIF)):
        (tmp_path / "folder" / name).write_text(text)
    (tmp_path / "folder" / "packed.cif.gz").write_bytes(gzip.compress(LARGE.encode()))
    assert reasons(tmp_path / "folder") == {"large": "too_large", "packed": "too_large", "small": 8}
    assert reasons(tmp_path / "folder" / "large.cif") == {"large": "too_large"}
    zip_of(tmp_path / "a.zip", **{"large.cif": LARGE, "small.cif": CIF})
    assert reasons(tmp_path / "a.zip") == {"large": "too_large", "small": 8}
    json_texts = {"large": LARGE, "small": CIF}
    (tmp_path / "a.json").write_text(json.dumps(json_texts))
    assert reasons(tmp_path / "a.json") == {"large": "too_large", "small": 8}


@pytest.mark.parametrize("form", ["csv", "one_line.csv", "quotes.csv", "parquet", "feather"])
def test_cells_larger_than_the_limit_are_rejected(tmp_path, small_limit, form):
    large = {"one_line.csv": "\\n" * 10_000, "quotes.csv": CIF + '# "quoted" " text"\n' * 300}.get(form, LARGE)
    frame = pd.DataFrame({"material_id": ["a", "b", "c"], "cif": [CIF, large, CIF], "gap": [1, 2, 3]})
    path = tmp_path / f"t.{form}"
    {"parquet": frame.to_parquet, "feather": frame.to_feather}.get(form, frame.to_csv)(path)
    assert reasons(path) == {"a": 8, "b": "too_large", "c": 8}


def test_lines_of_json_and_frames_larger_than_the_limit_are_rejected(tmp_path, small_limit):
    rows = [{"material_id": name, "cif": text} for name, text in (("a", CIF), ("b", LARGE), ("c", CIF))]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert list(reasons(tmp_path / "a.jsonl").values()) == [8, "too_large", 8]
    frame = '{}\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\n{}'
    (tmp_path / "a.extxyz").write_text("".join(frame.format(n, "Si 0 0 0\n" * n) for n in (1, 1000, 1)))
    assert reasons(tmp_path / "a.extxyz") == {"a-0": 1, "a-1": "too_large", "a-2": 1}


def test_a_file_of_a_hundred_megabytes_and_a_bomb_need_little_memory(tmp_path):
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "huge.cif").open("wb") as stream:
        stream.truncate(100_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.cif", bytes(100_000_000))
    (tmp_path / "bomb.cif.gz").write_bytes(gzip.compress(bytes(100_000_000), 1))
    with (tmp_path / "huge.csv").open("w") as stream:
        stream.write('material_id,cif\nhuge,"')
        stream.writelines("0" * 99 + "\n" for _ in range(1_000_000))
        stream.write(f'"\nsmall,"{CIF.replace(chr(34), 2 * chr(34))}"\n')
    tracemalloc.start()
    try:
        for path in ("folder", "bomb.zip", "bomb.cif.gz"):
            assert list(reasons(tmp_path / path).values()) == ["too_large"]
        assert tracemalloc.get_traced_memory()[1] < 3 * opening.MAX_TEXT
    finally:
        tracemalloc.stop()
    assert reasons(tmp_path / "huge.csv") == {"huge": "too_large", "small": 8}


def test_a_member_that_lies_about_its_size_is_cut_at_the_limit(tmp_path, small_limit):
    path = tmp_path / "a.zip"
    zip_of(path, **{"a.cif": LARGE})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(data)
    assert reasons(path) == {"a": "unreadable"}  # the checksum of what little is read does not fit
