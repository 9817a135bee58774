"""Ingestion from files to tables: what is accepted, and what is refused and why."""

import os

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from tests.materials.datasets.ingest.ingest_helpers import BAD, GOOD
from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets import accept
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.datasets.readers.records import Record
from unimat.materials.datasets.settings import IngestSettings
from unimat.settings import load_settings


def test_every_row_is_accepted_or_rejected_with_its_reason(source, ingested):
    result = ingested(source, max_atoms=3, elements=["Na", "Cl", "Si", "O", "C"])
    rejected = {row.material_id: row.reason for row in result.rejected}
    assert rejected == {name: reason for name, (_, reason) in BAD.items()} | {"good-1": "duplicate_id"}
    accepted = [name for table in result.tables.values() for name in table.material_ids]
    assert sorted(accepted) == sorted(GOOD)
    assert sum(result.n_read.values()) == len(GOOD) + len(BAD) + 1
    assert result.rejected[0].source == "mine.csv:2"
    assert "0.08" in next(row.detail for row in result.rejected if row.material_id == "overlap")  # 0.02 of 4 Å


def test_properties_units_and_descriptions_are_carried(source, ingested):
    gap = {"band_gap": {"column": "gap", "unit": "eV", "description": "measured"}}
    result = ingested(source, properties=gap, split={"kind": "fractions", "fractions": [1, 0, 0]})
    table = result.tables["train"]
    values = dict(zip(table.material_ids, table.column("band_gap"), strict=True))
    assert values["good-1"] == 5.0
    assert np.isnan(values["good-2"])
    assert table.unit("band_gap") == "eV"
    assert table.arrow.schema.field("band_gap").metadata[b"description"] == b"measured"
    assert result.tables["test"].property_names == ["band_gap"]
    assert len(result.tables["test"]) == 0


@pytest.mark.parametrize(
    ("values", "kind", "outcome"),
    [
        (["about 5", 1.0], "float", "'about 5', expected a number"),
        (["inf", 1.0], "float", "expected a finite number"),
        (["3.5", 1.0], "int", "'3.5', expected a whole number"),
        (["", 1.0], "float", None),
        ([" None ", 1.0], "float", None),
        (["225.0", 1.0], "int", 225),
        ([" 1e-3", 1.0], "float", 0.001),
    ],
)
def test_text_where_a_number_is_due_rejects_the_row_and_an_empty_cell_is_missing(
    tmp_path, ingested, values, kind, outcome
):
    frame = pd.DataFrame({"material_id": list(GOOD), "cif": list(GOOD.values()), "gap": values})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    shares = {"fractions": [1, 0, 0]}
    result = ingested(tmp_path / "mine.csv", properties={"gap": {"kind": kind}}, split=shares)
    if isinstance(outcome, str):
        assert [(row.material_id, row.reason) for row in result.rejected] == [("good-1", "bad_value")]
        assert outcome in result.rejected[0].detail
    else:
        assert result.tables["train"].arrow.column("gap").to_pylist() == [outcome, 1]


@pytest.mark.parametrize("reduction", ["niggli", "none"])
def test_the_crystal_stays_the_same(source, reduction, ingested):
    result = ingested(source, reduction=reduction, split={"fractions": [1, 0, 0]})
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-5, stol=1e-4, angle_tol=1e-3)
    for crystal in result.tables["train"]:
        if crystal.material_id in GOOD:
            expected = Structure.from_str(GOOD[crystal.material_id], fmt="cif")
            assert matcher.fit(to_structure(crystal), expected)


def test_nothing_usable_is_told_with_the_reasons(source, ingested):
    with pytest.raises(
        UserError, match=r"none of 11 rows can be used \(.*outside_grid.*\); look at the first, mine.csv:0"
    ):
        ingested(source, elements=["He"])
    pd.DataFrame({"material_id": [], "cif": []}).to_csv(source, index=False)
    with pytest.raises(UserError, match="no rows were read"):
        ingested(source)


def test_worker_processes_change_nothing(source, monkeypatch, tmp_path, ingested):
    alone = ingested(source, n_processes=1)
    monkeypatch.setattr(accept, "MIN_FOR_PROCESSES", 2)
    monkeypatch.setattr(accept, "CHUNK", 3)
    together = ingested(source, n_processes=2, out="together")
    assert together.rejected == alone.rejected
    for split, table in alone.tables.items():
        assert together.tables[split].arrow.equals(table.arrow, check_metadata=True)


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_worker_that_dies_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(accept, "MIN_FOR_PROCESSES", 2)
    monkeypatch.setattr(accept, "CHUNK", 1)
    records = [Record(f"{i}", "here", Deadly()) for i in range(3)]
    with pytest.raises(UserError, match="a worker process died"):
        list(accept.chunks_of(records, accept.Checks(), n_processes=2))


def test_one_crystal_that_spoils_the_work_on_all_is_the_only_one_rejected(monkeypatch):
    real = accept.reduced

    def choosy(crystals, *arguments):
        if any(each.material_id == "1" for each in crystals):
            raise ValueError("not this one")
        return real(crystals, *arguments)

    monkeypatch.setattr(accept, "reduced", choosy)
    cubes = [Crystal(f"{i}", np.eye(3) * 4.0, np.array([6]), np.zeros((1, 3))) for i in range(3)]
    odd = [
        Crystal("nan", np.full((3, 3), np.nan), np.array([6]), np.zeros((1, 3))),
        Crystal("huge", np.eye(3) * 1e300, np.array([6]), np.zeros((1, 3))),
        Crystal("left", np.diag([4.0, 4.0, -4.0]), np.array([6]), np.full((1, 3), 1e16)),
    ]
    records = [Record(each.material_id, "here", each) for each in (*cubes, *odd)]
    found = accept.accepted(records, accept.Checks(0.5, reduction="niggli"))
    assert [isinstance(each, Crystal) for each in found[:3]] == [True, False, True]
    assert (found[1].reason, found[1].detail) == ("unreadable", "ValueError: not this one")
    assert [getattr(each, "reason", "usable") for each in found[3:]] == [
        "degenerate_lattice",
        "degenerate_lattice",
        "usable",
    ]


def test_a_crystal_that_a_library_gives_up_on_is_one_rejected_row(source, monkeypatch, ingested):
    def gives_up(*arguments):
        raise OverflowError("too large")

    monkeypatch.setattr(accept, "reduced", gives_up)
    with pytest.raises(UserError, match="none of 11 rows can be used"):
        ingested(source, n_processes=1)
    with pytest.raises(UserError, match="OverflowError: too large"):
        ingested(source, n_processes=1, limit=1)


def test_limit_takes_the_first_rows(source, ingested):
    result = ingested(source, limit=2)
    assert sum(result.n_read.values()) == 2
    assert result.rejected == []


def test_same_input_gives_the_same_bytes(source, tmp_path, ingested):
    for name in ("a", "b"):
        ingested(source, out=name)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"train.parquet", "val.parquet", "test.parquet", "rejected.parquet"}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_conversion_keeps_crystals_that_metrics_will_judge(source):
    table, rejected = read_crystals(source)
    assert "overlap" in table.material_ids
    assert {row.material_id for row in rejected} >= {"partial", "words", "nothing", "deuterium"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "custom"}, "'custom' needs source"),
        ({"name": "mp_20", "source": "x.csv"}, "source is for dataset 'custom' only"),
        ({"name": "custom", "source": {"validation": "x"}}, "splits are train, val, test, found validation"),
        ({"split": {"fractions": [0.5, 0.2, 0.2]}}, "must be shares that sum to 1"),
        ({"split": {"keep_val": 0}}, "keep_val must be at least 1 crystal, found 0"),
        ({"split": {"keep_val": 9, "group_by": "chemical_system"}}, "keep_val would part the groups"),
        ({"max_atoms": 0}, "max_atoms must be at least 1"),
        ({"min_distance": -1.0}, "min_distance must not be negative"),
        ({"reduction": "standard"}, "'standard' is not one of 'niggli', 'primitive', 'conventional', 'none'"),
        ({"symmetry_tolerance": 0.0}, "symmetry_tolerance must be above 0"),
        ({"name": "mp_20", "table": "x.csv"}, "table is for dataset 'custom' only"),
        ({"max_atom": 20}, "unknown key 'max_atom'"),
    ],
)
def test_wrong_settings_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        load_settings(IngestSettings, settings, "dataset")
