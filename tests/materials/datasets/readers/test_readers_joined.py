"""Structures joined to the table of their properties."""

import csv

import pandas as pd
import pytest

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.joined import joined_records
from unimat.materials.datasets.readers.records import Columns, Record

COLUMNS = Columns("MaterialId", properties=("Energy",))
FRAME = pd.DataFrame(
    {
        "Composition": ["Ac4", "Na1N1", "Si2", "C2", "C4"],
        "MaterialId": ["0098dee9", "1e10", "c", "d", "e"],
        "Reduced Formula": ["Ac", "NaN", "Si", "C", "C"],
        "Energy": [-1.5, None, 0.1 + 0.2, 4.0, 5.0],
    }
)


def structures(*ids):
    return (Record(material_id, f"z.zip/{material_id}.CIF", f"text of {material_id}") for material_id in ids)


def table_file(path, frame=FRAME):
    {".feather": frame.to_feather, ".parquet": frame.to_parquet}.get(
        path.suffix, lambda p: frame.to_csv(p, index=False)
    )(path)
    return path


def outcomes(records):
    return [
        (record.material_id, record.content.reason if isinstance(record.content, CrystalRejected) else record.content)
        for record in records
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.feather", "t.parquet"])
def test_rows_meet_their_structures_whatever_the_order(tmp_path, name):
    path = table_file(tmp_path / name)
    found = list(joined_records(structures("by_id/c", "by_id/1e10", "odd/x", "0098dee9"), path, COLUMNS))
    assert outcomes(found) == [
        ("c", "text of by_id/c"),
        ("1e10", "text of by_id/1e10"),
        ("odd/x", "not_in_table"),
        ("0098dee9", "text of 0098dee9"),
        ("d", "structure_missing"),
        ("e", "structure_missing"),
    ]
    energies = [record.properties.get("Energy") for record in found]
    assert [None if energy is None else float(energy) for energy in energies] == [
        0.30000000000000004, None, None, -1.5, 4.0, 5.0,
    ]  # fmt: skip
    assert found[0].origin == "z.zip/by_id/c.CIF"
    assert found[-1].origin == f"{name}:4"
    assert found[-1].content.detail == "no structure is named e"


def test_whole_ids_go_before_base_names(tmp_path):
    path = table_file(tmp_path / "t.csv", pd.DataFrame({"id": ["x", "a/x"], "Energy": [1, 2]}))
    found = list(joined_records(structures("a/x", "b/x"), path, Columns(properties=("Energy",))))
    assert [(r.material_id, r.content, r.properties["Energy"]) for r in found] == [
        ("a/x", "text of a/x", "2"),
        ("x", "text of b/x", "1"),
    ]


def test_of_doubled_ids_the_first_row_and_the_first_structure_stay(tmp_path):
    frame = pd.DataFrame({"MaterialId": ["a", "b", "a"], "Energy": [1, 2, 3]})
    found = list(joined_records(structures("a", "b", "other/a"), table_file(tmp_path / "t.csv", frame), COLUMNS))
    assert outcomes(found) == [
        ("a", "text of a"),
        ("b", "text of b"),
        ("other/a", "duplicate_id"),
        ("a", "duplicate_id"),
    ]
    assert found[0].properties == {"Energy": "1"}
    assert found[-1].content.detail == "row 0 of t.csv has the same id"


@pytest.mark.parametrize(
    ("key", "names", "n_alone"),
    [("Reduced Formula", ("Ac", "NaN", "C"), 2), ("Composition", ("Ac4", "Na1N1", "C4"), 2)],
)
def test_archives_by_formula(tmp_path, key, names, n_alone):
    path = table_file(tmp_path / "t.csv")
    found = list(joined_records(structures(*(f"by/{name}" for name in names)), path, COLUMNS, key=key))
    last = "d" if key == "Reduced Formula" else "e"
    assert outcomes(found)[:3] == [
        ("0098dee9", f"text of by/{names[0]}"),
        ("1e10", f"text of by/{names[1]}"),
        (last, f"text of by/{names[2]}"),
    ]
    assert [reason for _, reason in outcomes(found)[3:]] == ["structure_missing"] * n_alone
    if key == "Reduced Formula":
        assert found[-1].content.detail == "the archive holds one structure for C, and row 3 of t.csv has it"


def test_rows_without_ids_and_rows_of_another_length(tmp_path):
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["MaterialId", "Energy"], ["", 1], ["a", 1, 2], ["b", 3]])
    found = list(joined_records(structures("a", "b"), tmp_path / "t.csv", COLUMNS))
    assert outcomes(found) == [("a", "unreadable"), ("b", "text of b"), ("t-0", "structure_missing")]


def test_splits_rejections_and_properties_of_structures_go_along(tmp_path):
    path = table_file(tmp_path / "t.csv", pd.DataFrame({"id": ["a", "b"], "split": ["val", None], "Energy": [1, 2]}))
    bad = CrystalRejected("too_large", "x")
    records = iter([Record("a", "o", bad, None, {"more": 1}), Record("b", "o", "text", "test")])
    first, second = joined_records(records, path, Columns(properties=("Energy",)))
    assert (first.content, first.split, first.properties) == (bad, "val", {"more": 1, "Energy": "1"})
    assert (second.split, second.properties) == ("test", {"Energy": "2"})


def test_rows_that_share_the_name_of_no_structure_say_so(tmp_path):
    found = list(joined_records(structures(), table_file(tmp_path / "t.csv"), COLUMNS, key="Reduced Formula"))
    assert {record.content.detail for record in found[-2:]} == {"no structure is named C"}


def test_structures_are_taken_one_at_a_time(tmp_path):
    taken = []

    def some():
        for record in structures("c", "d"):
            taken.append(record.material_id)
            yield record

    found = joined_records(some(), table_file(tmp_path / "t.csv"), COLUMNS)
    assert taken == []
    next(found)
    assert taken == ["c"]


def test_numbers_as_ids_and_tables_without_rows(tmp_path):
    path = table_file(tmp_path / "t.parquet", pd.DataFrame({"id": [7, 8], "Energy": [1.0, 2.0]}))
    assert outcomes(joined_records(structures("8"), path, Columns()))[0] == ("8", "text of 8")
    for name in ("e.csv", "e.parquet"):
        path = table_file(tmp_path / name, FRAME.iloc[:0])
        assert outcomes(joined_records(structures("8"), path, COLUMNS)) == [("8", "not_in_table")]


def test_missing_columns_and_other_files_are_told(tmp_path):
    path = table_file(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"no column 'what' \(key\); its columns: Composition, MaterialId"):
        joined_records(structures(), path, COLUMNS, key="what")
    with pytest.raises(UserError, match=r"no column 'Gap' \(properties\)"):
        joined_records(structures(), path, Columns("MaterialId", properties=("Gap",)))
    with pytest.raises(UserError, match="name it by id_column"):
        joined_records(structures(), table_file(tmp_path / "u.csv", FRAME.drop(columns="MaterialId")), Columns())
    lists = table_file(tmp_path / "t.parquet", pd.DataFrame({"id": [[1], [2]]}))
    with pytest.raises(UserError, match="not readable as a table with ids in 'id'"):
        joined_records(structures(), lists, Columns())
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(UserError, match="is no table that can be read"):
        joined_records(structures(), tmp_path / "t.json", COLUMNS)
