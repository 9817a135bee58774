"""Splits, those of the source and those drawn, and the order of crystals in them."""

import numpy as np
import pandas as pd
import pytest

from tests.materials.datasets.ingest.ingest_helpers import GOOD
from unimat import crystal_table
from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.datasets import accept


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
