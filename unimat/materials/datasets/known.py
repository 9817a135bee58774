"""The datasets that are known by name."""

from unimat.errors import UserError
from unimat.materials.datasets.published.alex_mp_20 import ALEX_MP_20
from unimat.materials.datasets.published.cdvae import CARBON_24, MP_20, PEROV_5
from unimat.materials.datasets.published.description import Dataset, OtherForm, PublishedFile
from unimat.materials.datasets.published.gnome import GNOME

__all__ = [
    "ALEX_MP_20",
    "CARBON_24",
    "DATASETS",
    "GNOME",
    "MP_20",
    "PEROV_5",
    "SILICON_CARBON",
    "Dataset",
    "OtherForm",
    "PublishedFile",
    "dataset_named",
]

SILICON_CARBON = Dataset(
    name="silicon_carbon",
    title="Silicon-carbon: C, Si and Si-C crystals of up to 8 atoms, embedded in unimat",
    licence="Apache-2.0",
    citation="made for unimat by random symmetric search and relaxation with CHGNet",
    homepage="",
)

DATASETS = {dataset.name: dataset for dataset in (SILICON_CARBON, CARBON_24, PEROV_5, MP_20, ALEX_MP_20, GNOME)}


def dataset_named(name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in DATASETS:
        raise UserError(f"dataset {name!r} is not known; choose from {', '.join(DATASETS)}, or custom with a source")
    return DATASETS[name]
