"""The registry of datasets, and the plans that ingestion makes of them."""

import re

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Structure

from unimat.errors import UserError
from unimat.materials.datasets.fetching.fetch import fetch_dataset
from unimat.materials.datasets.known import DATASETS, MP_20, Dataset, PublishedFile, dataset_named
from unimat.materials.datasets.readers.tables import table_at
from unimat.materials.datasets.settings import SPLITS, IngestSettings
from unimat.materials.datasets.sources import plan_of

CDVAE = ("carbon_24", "perov_5", "mp_20")
# What stands in a file but is no property.
NO_PROPERTIES = {"", "material_id", "cif", "pressure", "formula", "__index_level_0__"}


@pytest.mark.parametrize("name", CDVAE)
def test_datasets_of_cdvae_have_a_checked_file_for_each_split(name):
    dataset = dataset_named(name)
    assert [file.split for file in dataset.files] == list(SPLITS)
    for file in dataset.files:
        # An address of a commit, not of a branch, whose content may change.
        assert re.fullmatch(rf"https://raw\.githubusercontent\.com/.+/[0-9a-f]{{40}}/data/{name}/{file.name}", file.url)
        assert re.fullmatch("[0-9a-f]{40}", file.blob_id)
    assert set(dataset.n_rows) == set(SPLITS)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_every_dataset_says_whose_it_is_and_what_its_columns_are(dataset):
    assert dataset.licence
    assert dataset.citation
    assert len(set(dataset.keys)) == len(dataset.files)
    for name, column in dataset.properties.items():
        assert re.fullmatch("[a-z][a-z0-9_]*", name)
        assert column.description
        assert column.unit or column.kind != "float" or name == "hhi_score"
    names = [column.column for column in dataset.properties.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "dataset", [each for each in DATASETS.values() if not each.embedded], ids=lambda each: each.name
)
def test_addresses_are_https_and_a_branch_has_a_checksum(dataset):
    for file in dataset.files:
        assert file.url.startswith("https://")
        assert file.has_checksum or dataset.name == "gnome"  # whose publisher gives none
        assert "/main/" not in file.url or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_numbers_of_rows_are_those_of_the_papers():
    # CDVAE (arXiv 2110.06197), section 5: 18,928, 10,153 and 45,231 crystals, split 60 : 20 : 20; the files of
    # MP-20 hold two fewer.
    totals = {name: sum(dataset.n_rows.values()) for name, dataset in DATASETS.items() if dataset.n_rows}
    assert totals == {"carbon_24": 10_153, "perov_5": 18_928, "mp_20": 45_229}
    for name in totals:
        assert DATASETS[name].n_rows["train"] / totals[name] == pytest.approx(0.6, abs=1e-3)


def test_energies_say_what_they_are():
    for dataset in DATASETS.values():
        if dataset.energy_type is not None:
            assert set(dataset.energy_type) == {"calculator", "functional", "corrections", "quantity"}
            assert dataset.properties[dataset.energy_type["quantity"]].unit == "eV/atom"


def test_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(UserError, match=r"'mp_30' is not known; choose from silicon_carbon, carbon_24, .*, gnome, or"):
        dataset_named("mp_30")


@pytest.mark.published
@pytest.mark.parametrize(("name", "file"), [("mp_20", "val.feather"), ("perov_5", "val.csv"), ("carbon_24", "val.csv")])
def test_every_column_of_the_published_files_is_kept(published_data, name, file):
    kept = {column.column for column in dataset_named(name).properties.values()}
    # pressure is the Feather file's own, as is its formula; the one of Perov-5 is kept.
    assert set(table_at(published_data / name / file).header) - NO_PROPERTIES <= kept
    assert kept <= set(table_at(published_data / name / file).header)


@pytest.mark.published
@pytest.mark.slow
def test_heats_of_perov_5_are_per_atom(published_data):
    # Between structures of one composition the reference states cancel. Per cell the slope would be near 5.
    from chgnet.model import CHGNet

    chgnet = CHGNet.load(verbose=False, use_device="cpu")
    frame = pd.read_csv(published_data / "perov_5" / "val.csv")
    frame["composition"] = [Composition(formula).formula for formula in frame.formula]
    pairs = [rows.iloc[:2] for _, rows in frame.groupby("composition") if len(rows) > 1][:20]
    heats = np.array([rows.heat_ref.to_list() for rows in pairs])
    structures = [Structure.from_str(text, fmt="cif") for rows in pairs for text in rows.cif]
    energies = np.array([float(each["e"]) for each in chgnet.predict_structure(structures, task="e")]).reshape(-1, 2)
    slope = np.polyfit(*(np.diff(each).ravel() for each in (energies, heats)), 1)[0]
    assert slope == pytest.approx(1, abs=0.2)


NACL = """data_NaCl
_cell_length_a 3.99
_cell_length_b 3.99
_cell_length_c 3.99
_cell_angle_alpha 60
_cell_angle_beta 60
_cell_angle_gamma 60
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na 0 0 0
Cl 0.5 0.5 0.5
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A dataset of which one file lacks a column, fetched into a folder."""
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    monkeypatch.setitem(DATASETS, "toy", make_toy())
    for split, header in (("train", "material_id,cif,band_gap,e_above_hull"), ("val", "material_id,cif,band_gap")):
        values = "1.5,inf" if split == "train" else "1.25"
        (tmp_path / f"{split}.csv").write_text(f'{header}\n{split}-1,"{NACL}",{values}\n', encoding="utf-8")
    files = {split: tmp_path / f"{split}.csv" for split in ("train", "val")}
    fetch_dataset(DATASETS["toy"], tmp_path / "files", files=files)
    return tmp_path / "files"


def make_toy():
    files = tuple(PublishedFile(f"{split}.csv", split, "http://127.0.0.1:9/x", split) for split in ("train", "val"))
    properties = {name: MP_20.properties[name] for name in ("band_gap", "e_above_hull")}
    return Dataset("toy", "Toy", "CC0", "nobody", "", files, properties=properties, missing=frozenset({"inf"}))


def test_a_column_that_a_file_lacks_is_null_and_told(toy, caplog):
    plan = plan_of(IngestSettings("toy"), toy)
    assert [source.lacks for source in plan.sources] == [frozenset(), {"e_above_hull"}]
    assert "val.csv has no column 'e_above_hull': null in the crystal table" in caplog.text
    records = list(plan.records())
    assert [record.split for record in records] == ["train", "val"]
    assert float(records[0].properties["band_gap"]) == 1.5
    assert records[0].properties["e_above_hull"] is None  # inf stands for nothing
    assert "e_above_hull" not in records[1].properties


def test_a_plan_knows_the_columns_of_its_tables(toy):
    table = plan_of(IngestSettings("toy"), toy).empty_table(split="train")
    assert len(table) == 0
    assert table.property_names == ["band_gap", "e_above_hull"]
    assert (table.unit("e_above_hull"), table.metadata["split"], table.metadata["licence"]) == (
        "eV/atom",
        "train",
        "CC0",
    )
