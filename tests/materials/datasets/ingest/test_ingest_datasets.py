"""Ingestion of the datasets that have a name."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from tests.materials.datasets.ingest.ingest_helpers import cif, ingest_into
from unimat.errors import UserError
from unimat.materials.datasets.fetching.fetch import fetch_dataset
from unimat.materials.datasets.known import SILICON_CARBON
from unimat.materials.datasets.settings import IngestSettings
from unimat.materials.datasets.sources import plan_of


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
    from unimat.materials.datasets.known import dataset_named

    fetch_dataset(dataset_named(name), tmp_path, published_data)
    result = ingest_into(tmp_path / "out", IngestSettings(name=name, limit=40), tmp_path)
    assert {split: len(table) for split, table in result.tables.items()} == {"train": 40, "val": 40, "test": 40}
    assert result.rejected == []


@pytest.mark.published
@pytest.mark.slow
def test_all_of_carbon_24_is_accepted(published_data, tmp_path):
    from unimat.materials.datasets.known import CARBON_24

    fetch_dataset(CARBON_24, tmp_path, published_data)
    result = ingest_into(tmp_path / "out", IngestSettings(name="carbon_24"), tmp_path)
    assert {split: len(table) for split, table in result.tables.items()} == CARBON_24.n_rows
    assert result.rejected == []
