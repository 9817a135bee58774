"""Files that are not what they should be: one clear line for a file, a row to reject for a crystal."""

import bz2
import csv
import gzip
import logging
import lzma
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from unimat.errors import REJECTION_REASONS, CrystalRejected, UserError
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.texts import crystal_of

ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CIF = str(CifWriter(ROCK_SALT))
PAGE = b"\n<!DOCTYPE html>\n<html><body>404: Not Found</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
NAMES = ["a.csv", "a.json", "a.jsonl", "a.zip", "a.cif", "a.parquet", "a.feather", "a.extxyz", "a.db", "POSCAR", "a.pt"]


def reasons(path, **columns):
    """Id to the reason of its rejection; to the number of atoms if there is none."""
    found = {record.material_id: outcome(record) for record in records_of(path, Columns(**columns))}
    details = [each.detail for each in found.values() if isinstance(each, CrystalRejected)]
    assert not any("\n" in detail for detail in details)
    assert {each.reason for each in found.values() if isinstance(each, CrystalRejected)} <= set(REJECTION_REASONS)
    return {name: getattr(each, "reason", each) for name, each in found.items()}


def outcome(record):
    try:
        return len(crystal_of(record).atomic_numbers)
    except CrystalRejected as rejection:
        return rejection


def told(path, **columns):
    """The one line that tells of a file which cannot be read."""
    with pytest.raises(UserError) as error:
        list(records_of(path, Columns(**columns)))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_web_pages_pointers_and_empty_files_are_told_apart(tmp_path, name):
    path = tmp_path / name
    for content, message in (
        (PAGE, "is a web page, not data"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "is a web page, not data"),
        (POINTER, "is a Git LFS pointer"),
        (b"", "is empty; get it again"),
    ):
        path.write_bytes(content)
        assert message in told(path)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.cif", "a.extxyz"])
def test_utf_16_is_told(tmp_path, name):
    (tmp_path / name).write_bytes("material_id,cif\n".encode("utf-16"))
    assert "is UTF-16 text; save it as UTF-8" in told(tmp_path / name)


def test_compression_that_the_name_does_not_say_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"material_id,cif\n"))
    assert "is compressed (gzip)" in told(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(b"material_id,cif\n")
    assert "Not a gzipped file" in told(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(PAGE))
    assert "is a web page" in told(tmp_path / "a.csv.gz")


def table_file(path, n=300):
    frame = pd.DataFrame({"material_id": [f"m{i}" for i in range(n)], "cif": [CIF + f"# {i}" for i in range(n)]})
    if path.suffix == ".feather":
        frame.to_feather(path, compression="uncompressed")
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif ".json" in path.suffixes:
        frame.to_json(path, orient="records")
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in frame.itertuples(index=False):
                archive.writestr(f"{name}.cif", text)
    else:
        frame.to_csv(path, index=False)


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.feather", "t.parquet", "t.json", "t.json.gz", "t.zip"]
)
def test_truncated_files_are_told(tmp_path, name):
    path = tmp_path / name
    table_file(path)
    assert len(reasons(path)) == 300
    data = path.read_bytes()
    for share in (0.3, 0.7):
        path.write_bytes(data[: int(share * len(data))])
        message = told(path)
        assert "get it again" in message


def test_a_csv_file_that_ends_within_a_quote_is_told(tmp_path):
    (tmp_path / "t.csv").write_text(f'material_id,cif\nx,"{CIF[:200]}')
    assert "unexpected end of data" in told(tmp_path / "t.csv")


def test_text_instead_of_csv(tmp_path):
    (tmp_path / "t.csv").write_text("Dear colleague,\nthe data are on my desk.\n")
    assert "no structure column among Dear colleague" in told(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(bytes(range(1, 256)) * 100)
    assert len(told(tmp_path / "t.csv")) < 2000
    (tmp_path / "t.csv").write_text("\n\n")
    assert "has no header" in told(tmp_path / "t.csv")


def test_header_without_rows_holds_no_crystals(tmp_path):
    (tmp_path / "t.csv").write_text("material_id,cif\n")
    assert list(records_of(tmp_path / "t.csv")) == []
    pd.DataFrame({"material_id": [], "cif": []}).to_parquet(tmp_path / "t.parquet")
    assert list(records_of(tmp_path / "t.parquet")) == []
    pd.DataFrame({"material_id": [], "cif": []}).to_feather(tmp_path / "t.feather")
    assert list(records_of(tmp_path / "t.feather")) == []


def test_columns_that_are_missing_or_there_twice(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("material_id,cif,gap,gap\n")
    assert "has 2 columns 'gap'; leave one" in told(path, properties=("gap",))
    assert "no column 'energy' (properties); its columns: material_id, cif, gap, gap" in told(
        path, properties=("energy",)
    )
    assert list(records_of(path)) == []
    path.write_text("material_id,cif,cif\n")
    assert "has 2 columns 'cif'" in told(path)


def test_rows_of_another_length_are_rejected(tmp_path):
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["material_id", "cif"], ["a", CIF], ["b", CIF, "oops"], ["c"], [], ["d", CIF]])
    assert reasons(tmp_path / "t.csv") == {"a": 8, "b": "unreadable", "c": "unreadable", "d": 8}


def test_bytes_that_are_no_utf_8_do_not_matter_in_an_authors_name(tmp_path, caplog):
    latin = CIF.replace("# generated", "# by Jürgen Müller, generated").encode("latin-1")
    (tmp_path / "a.cif").write_bytes(latin)
    assert reasons(tmp_path / "a.cif") == {"a": 8}
    (tmp_path / "t.csv").write_bytes(b'material_id,cif\nx,"' + latin.replace(b'"', b'""') + b'"\n')
    with caplog.at_level(logging.WARNING):
        assert reasons(tmp_path / "t.csv") == {"x": 8}
    assert "is not all UTF-8" in caplog.text
    (tmp_path / "b.cif").write_bytes(b"\xef\xbb\xbf" + CIF.encode())
    assert reasons(tmp_path / "b.cif") == {"b": 8}


def test_ids_and_numbers_stay_as_they_are_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('material_id,cif,e\n007,x,0.1000000000000000055511151231257827\n1e5,x,nan\nNaN,x,""\n')
    records = list(records_of(path, Columns(properties=("e",))))
    assert [record.material_id for record in records] == ["007", "1e5", "NaN"]
    assert [record.properties["e"] for record in records] == ["0.1000000000000000055511151231257827", "nan", None]
    table = np.random.default_rng(0).uniform(-1e3, 1e3, 200)
    pd.DataFrame({"material_id": range(200), "cif": "x", "e": table}).to_csv(path, index=False)
    assert [float(record.properties["e"]) for record in records_of(path, Columns(properties=("e",)))] == table.tolist()


def zip_of(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)


@pytest.mark.parametrize("name", ["/etc/a.cif", "../a.cif", "a/../../b.cif", "C:\\a.cif", "..\\a.cif", "../readme.md"])
def test_members_whose_paths_lead_out_are_refused(tmp_path, name):
    zip_of(tmp_path / "a.zip", **{"good.cif": CIF, name: CIF})
    assert "leads out of it" in told(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_bad_members_are_rows_to_reject(tmp_path):
    path = tmp_path / "a.zip"
    zip_of(path, **{"a.cif": CIF, "crc.cif": CIF, "html.cif": PAGE, "locked.cif": CIF, "empty.cif": "", "z.cif": CIF})
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        data[infos["crc.cif"].header_offset + 30 + len("crc.cif") + 40] ^= 0xFF
    at = data.index(b"locked.cif", archive.start_dir)
    data[at - 46 + 8] |= 1  # flags of the member in the list of members: encrypted
    path.write_bytes(data)
    found = reasons(path)
    assert found == {
        "a": 8,
        "crc": "unreadable",
        "empty": "unreadable",
        "html": "unreadable",
        "locked": "unreadable",
        "z": 8,
    }


def test_several_members_of_one_name_are_all_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.cif", CIF)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.cif", "other")
    assert [record.content for record in records_of(tmp_path / "a.zip")] == [CIF, "other"]


def test_files_that_cannot_be_opened_are_rows_to_reject(tmp_path):
    (tmp_path / "good.cif").write_text(CIF)
    (tmp_path / "gone.cif").symlink_to(tmp_path / "nowhere")
    (tmp_path / "bad.cif.gz").write_bytes(b"no gzip")
    (tmp_path / "cut.cif.bz2").write_bytes(bz2.compress(CIF.encode())[:-9])
    (tmp_path / "cut.cif.xz").write_bytes(lzma.compress(CIF.encode())[:-9])
    os.mkfifo(tmp_path / "pipe.cif")
    assert reasons(tmp_path) == {"bad": "unreadable", "cut": "unreadable", "gone": "unreadable", "good": 8}


def test_tables_of_crystals_with_a_broken_row(tmp_path):
    frame = pd.DataFrame(
        {
            "material_id": ["a", "b", "c"],
            "lattice": [np.eye(3).ravel() * 4, None, np.eye(3).ravel() * 4],
            "atomic_numbers": [[11], [11], [11, 17]],
            "frac_coords": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    assert reasons(tmp_path / "t.parquet") == {"a": 1, "b": "unreadable", "c": "unreadable"}
