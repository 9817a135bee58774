"""The registry of datasets."""

import re

import pytest

from unimat.errors import UserError
from unimat.materials.datasets import DATASETS, dataset_named
from unimat.materials.ingest_settings import SPLITS


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if not dataset.embedded])
def test_published_datasets_have_a_checked_file_for_each_split(name):
    dataset = dataset_named(name)
    assert [file.split for file in dataset.files] == list(SPLITS)
    for file in dataset.files:
        # An address of a commit, not of a branch, whose content may change.
        assert re.fullmatch(rf"https://raw\.githubusercontent\.com/.+/[0-9a-f]{{40}}/data/{name}/{file.name}", file.url)
        assert re.fullmatch("[0-9a-f]{40}", file.blob_id)
    assert dataset.licence
    assert dataset.citation
    assert set(dataset.n_rows) == set(SPLITS)


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
    with pytest.raises(UserError, match="'mp_30' is not known; choose from silicon_carbon, carbon_24, perov_5, mp_20"):
        dataset_named("mp_30")
