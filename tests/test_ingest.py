"""Ingestion from files to tables: what is accepted, what is refused and why, and the splits."""

import dataclasses
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from unimat import crystal_table
from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials import accept
from unimat.materials.datasets import SILICON_CARBON
from unimat.materials.fetch import fetch_dataset
from unimat.materials.ingest import ingest, read_crystals
from unimat.materials.ingest_settings import IngestSettings
from unimat.materials.readers.records import Record
from unimat.materials.sources import plan_of
from unimat.materials.structures import to_structure
from unimat.settings import load_settings


def cif(species, coords, a=4.0):
    return str(CifWriter(Structure(Lattice.orthorhombic(a, a + 0.5, a + 1.0), species, coords)))


GOOD = {
    "good-1": cif(["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "good-2": cif(["Si", "O", "O"], [[0, 0, 0], [0.3, 0.3, 0.3], [0.6, 0.6, 0.6]]),
}
BAD = {
    "partial": (cif([{"Na": 0.5}], [[0, 0, 0]]), "partial_occupancy"),
    "overlap": (cif(["C", "C"], [[0, 0, 0], [0.02, 0, 0]]), "overlapping_atoms"),
    "own image": (cif(["C"], [[0, 0, 0]], a=0.4), "overlapping_atoms"),
    "deuterium": (cif(["H"], [[0, 0, 0]]).replace("  H  H0", "  D  D0"), "not_an_element"),
    "uranium": (cif(["U"], [[0, 0, 0]]), "outside_grid"),
    "large": (cif(["Na"] * 4, [[x, x, x] for x in (0, 0.25, 0.5, 0.75)]), "too_many_atoms"),
    "words": ("this is no crystal", "unreadable"),
    "nothing": (None, "unreadable"),
}


@pytest.fixture
def source(tmp_path):
    ids = [*GOOD, *BAD, "good-1"]
    texts = [*GOOD.values(), *(text for text, _ in BAD.values()), GOOD["good-1"]]
    gaps = [5.0, *[None] * (len(ids) - 1)]
    pd.DataFrame({"material_id": ids, "cif": texts, "gap": gaps}).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


@dataclasses.dataclass
class Result:
    """What ingestion wrote, read back."""

    tables: dict
    rejected: list
    n_read: dict
    split_method: str


def ingest_into(folder, settings, files=None, n_processes=1):
    found = ingest(plan_of(settings, files), settings, folder, n_processes)
    tables = {split: crystal_table.read(path) for split, path in found.tables.items()}
    assert {split: len(table) for split, table in tables.items()} == found.n
    assert crystal_table.read_rejected(folder / "rejected.parquet") == found.rejected
    return Result(tables, found.rejected, found.n_read, found.split_method)


@pytest.fixture
def ingested(tmp_path):
    def run(source, n_processes=1, out="out", **changes):
        given = source if isinstance(source, dict) else str(source)
        settings = load_settings(IngestSettings, {"name": "custom", "source": given, **changes})
        return ingest_into(tmp_path / out, settings, None, n_processes)

    return run


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
    with pytest.raises(UserError, match="a worker process was killed"):
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


def test_splits_of_the_source_are_kept(tmp_path, ingested):
    paths = {}
    for split, (name, text) in zip(("train", "test"), GOOD.items(), strict=True):
        paths[split] = str(tmp_path / f"{split}.csv")
        pd.DataFrame({"material_id": [name], "cif": [text]}).to_csv(paths[split], index=False)
    result = ingested(paths)
    assert {split: table.material_ids for split, table in result.tables.items()} == {
        "train": ["good-1"],
        "val": [],
        "test": ["good-2"],
    }
    assert result.split_method == "given by the source"
    assert result.tables["test"].metadata["split"] == "test"


def test_val_joins_the_training_split_but_for_a_few_and_the_card_is_told(tmp_path, ingested):
    paths, text = {}, GOOD["good-1"]
    for split, n in {"train": 2, "val": 5, "test": 3}.items():
        paths[split] = str(tmp_path / f"{split}.csv")
        pd.DataFrame({"material_id": [f"{split}-{i}" for i in range(n)], "cif": text}).to_csv(paths[split], index=False)
    result = ingested(paths, split={"keep_val": 1})
    assert {split: len(table) for split, table in result.tables.items()} == {"train": 6, "val": 1, "test": 3}
    assert result.tables["test"].material_ids == ["test-0", "test-1", "test-2"]
    assert {name.split("-")[0] for name in result.tables["train"].material_ids} == {"train", "val"}
    assert "then 4 of 5 crystals of val put into train (drawn by seed 0) and 1 left; test as it" in result.split_method
    with pytest.raises(UserError, match=r"split\.keep_val keeps 5 crystals, and val has 5; give a smaller number"):
        ingested(paths, split={"keep_val": 5}, out="other")


def test_asking_for_a_given_split_that_is_not_there_is_told(source, ingested):
    with pytest.raises(UserError, match="4 of 4 crystals have no split of their own; give a source for each split"):
        ingested(source, split={"kind": "given"})


def test_crystals_of_one_formula_stay_together(tmp_path, ingested):
    crystals = []
    for index in range(60):
        n, kind = 1 + index % 2, index % 10
        coords = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])[:n]
        crystals.append(Crystal(f"{index}", np.eye(3) * (4 + 0.01 * index), np.full(n, 20 + kind), coords))
    crystal_table.write(from_crystals(crystals), tmp_path / "t.parquet")
    split = {"kind": "fractions", "fractions": [0.5, 0.3, 0.2], "group_by": "reduced_formula"}
    result = ingested(tmp_path / "t.parquet", split=split)
    kinds = {name: set(table.flat_atomic_numbers.tolist()) for name, table in result.tables.items()}
    assert {name: len(values) for name, values in kinds.items()} == {"train": 5, "val": 3, "test": 2}
    assert len(kinds["train"] | kinds["val"] | kinds["test"]) == 10


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


def test_a_given_split_without_rows_is_told_and_leaves_nothing(tmp_path, ingested):
    paths = {split: str(tmp_path / f"{split}.csv") for split in ("train", "val")}
    pd.DataFrame({"material_id": list(GOOD), "cif": list(GOOD.values())}).to_csv(paths["train"], index=False)
    pd.DataFrame({"material_id": [], "cif": []}).to_csv(paths["val"], index=False)
    with pytest.raises(UserError, match=r"the val split has no usable crystal \(0 rows were read for it\)"):
        ingested(paths)
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "val.csv"}


def test_many_crystals_stream_through_in_order(tmp_path, ingested, monkeypatch):
    monkeypatch.setattr(accept, "CHUNK", 7)
    crystals = [
        Crystal(f"{i}", np.eye(3) * (3 + i / 50), np.array([6]), np.zeros((1, 3)), {"i": i}) for i in range(100)
    ]
    crystal_table.write(from_crystals(crystals), tmp_path / "t.parquet")
    result = ingested(tmp_path / "t.parquet")
    assert {split: len(table) for split, table in result.tables.items()} == {"train": 60, "val": 20, "test": 20}
    for table in result.tables.values():
        numbers = table.column("i").tolist()
        assert numbers == sorted(numbers)
        assert [round((crystal.lattice[0, 0] - 3) * 50) for crystal in table] == numbers


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


def test_published_datasets_need_their_files_and_unknown_ones_are_told(tmp_path):
    with pytest.raises(UserError, match="--files is missing; give the folder that `unimat fetch --dataset mp_20`"):
        plan_of(IngestSettings(name="mp_20"), None)
    with pytest.raises(UserError, match="run `unimat fetch --dataset mp_20"):
        plan_of(IngestSettings(name="mp_20"), tmp_path)
    with pytest.raises(UserError, match="dataset 'mp_30' is not known"):
        plan_of(IngestSettings(name="mp_30"), None)


def test_the_embedded_dataset_is_ingested_without_files(tmp_path):
    result = ingest_into(tmp_path, IngestSettings(limit=20))
    tables = list(result.tables.values())
    assert sum(map(len, tables)) == 20
    assert result.rejected == []
    assert {6, 14} >= set(np.concatenate([table.flat_atomic_numbers for table in tables]).tolist())
    assert tables[0].unit("energy_per_atom") == "eV/atom"
    assert tables[0].metadata["energy_type"]["calculator"].startswith("CHGNet")
    assert tables[0].metadata["name"] == SILICON_CARBON.name


def test_structures_of_a_split_come_from_one_form_and_energies_from_another(tmp_path):
    """As a mirror of Carbon-24 has it: train as POSCAR text without energies, val and test as CSV."""
    folder = tmp_path / "res"
    folder.mkdir()
    poscar = "C\\n1.0\\n3 0 0\\n0 3 0\\n0 0 3\\nC\\n1\\ndirect\\n0 0 0\\n"
    content = {split: {f"{split}-1": poscar} for split in ("train", "val", "test")}
    with zipfile.ZipFile(folder / "carbon24_energy_per_atom.json.zip", "w") as archive:
        archive.writestr("c.json", json.dumps(content))
    entries = [{"name": "carbon24_energy_per_atom.json.zip", "splits": ["train"]}]
    for split in ("val", "test"):
        row = {"material_id": [f"{split}-2"], "cif": [cif(["C"], [[0, 0, 0]])], "energy_per_atom": [-154.5]}
        pd.DataFrame(row).to_csv(folder / f"{split}.csv", index=False)
        entries.append({"name": f"{split}.csv", "splits": [split]})
    manifest = {"dataset": "carbon_24", "complete": False, "files": entries}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = ingest_into(tmp_path / "out", IngestSettings(name="carbon_24"), folder)
    ids = {split: table.material_ids for split, table in result.tables.items()}
    assert ids == {"train": ["train-1"], "val": ["val-2"], "test": ["test-2"]}
    assert np.isnan(result.tables["train"].column("energy_per_atom")).all()
    assert result.tables["val"].column("energy_per_atom").tolist() == [-154.5]
    assert result.tables["val"].unit("energy_per_atom") == "eV/atom"
    assert result.tables["train"].metadata["complete"] is False


@pytest.mark.published
@pytest.mark.parametrize("name", ["carbon_24", "perov_5", "mp_20"])
def test_published_rows_are_accepted(published_data, tmp_path, name):
    from unimat.materials.datasets import dataset_named

    fetch_dataset(dataset_named(name), tmp_path, published_data)
    result = ingest_into(tmp_path / "out", IngestSettings(name=name, limit=40), tmp_path)
    assert {split: len(table) for split, table in result.tables.items()} == {"train": 40, "val": 40, "test": 40}
    assert result.rejected == []


@pytest.mark.published
@pytest.mark.slow
def test_all_of_carbon_24_is_accepted(published_data, tmp_path):
    from unimat.materials.datasets import CARBON_24

    fetch_dataset(CARBON_24, tmp_path, published_data)
    result = ingest_into(tmp_path / "out", IngestSettings(name="carbon_24"), tmp_path)
    assert {split: len(table) for split, table in result.tables.items()} == CARBON_24.n_rows
    assert result.rejected == []
