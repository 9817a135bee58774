"""Published datasets: where their files are, what the columns mean, whose they are."""

import dataclasses
from typing import Any

from unimat.errors import UserError
from unimat.materials.ingest_settings import SPLITS, PropertyColumn

# One commit of the CDVAE repository, so that an address means the same bytes for ever.
CDVAE_COMMIT = "f857f598d6f6cca5dc1ea0582d228f12dcc2c2ea"
CDVAE_DATA = f"https://raw.githubusercontent.com/txie-93/cdvae/{CDVAE_COMMIT}/data"


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher serves it.

    Attributes:
        split: which split its rows are.
        blob_id: git blob id, the checksum.
    """

    name: str
    split: str
    url: str
    blob_id: str


@dataclasses.dataclass(frozen=True)
class OtherForm:
    """A file that a local mirror may hold in place of a published one.

    Attributes:
        splits: the splits that it holds.
        complete: whether it has every row of them.
        note: how it differs from the publisher's file.
    """

    name: str
    splits: tuple[str, ...]
    complete: bool
    note: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset that `unimat fetch` and `unimat ingest` know by name.

    Attributes:
        files: published files; none for the embedded dataset.
        other_forms: files that a mirror may hold in their place, best first.
        properties: property columns by the name they get in crystal tables.
        energy_type: what made the energies; goes into the table's metadata.
        n_rows: number of rows of each split, as published.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    files: tuple[PublishedFile, ...] = ()
    other_forms: tuple[OtherForm, ...] = ()
    id_column: str = "material_id"
    structure_column: str = "cif"
    properties: dict[str, PropertyColumn] = dataclasses.field(default_factory=dict)
    energy_type: dict[str, str] | None = None
    n_rows: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        return not self.files


def dataset_named(name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in DATASETS:
        raise UserError(f"dataset {name!r} is not known; choose from {', '.join(DATASETS)}, or custom with a source")
    return DATASETS[name]


def _cdvae_files(folder: str, train: str, val: str, test: str) -> tuple[PublishedFile, ...]:
    return tuple(
        PublishedFile(f"{split}.csv", split, f"{CDVAE_DATA}/{folder}/{split}.csv", blob_id)
        for split, blob_id in zip(SPLITS, (train, val, test), strict=True)
    )


def _column(column: str, unit: str, description: str, kind: Any = "float") -> PropertyColumn:
    return PropertyColumn(unit=unit, column=column, description=description, kind=kind)


_CDVAE = "T. Xie et al., Crystal Diffusion Variational Autoencoder, arXiv:2110.06197 (2021)"

CARBON_24 = Dataset(
    name="carbon_24",
    title="Carbon-24: carbon crystals of 6 to 24 atoms from random search at 10 GPa",
    licence="MIT (CDVAE repository)",
    citation=f"C. J. Pickard, AIRSS data for carbon at 10GPa, Materials Cloud 2020.0026/v1 (2020); {_CDVAE}",
    homepage=f"https://github.com/txie-93/cdvae/tree/{CDVAE_COMMIT}/data/carbon_24",
    files=_cdvae_files(
        "carbon_24",
        "5e7ae970fbad8ddc46b6963e8cd6e425f11783a6",
        "b3e29b927883642426ca1d9632d00359b412742b",
        "9beca843fde489de1fe288b32f9e3ff710d42803",
    ),
    other_forms=(
        OtherForm("carbon24_energy_per_atom.json.zip", SPLITS, True, "structures only, as POSCAR text: no energies"),
    ),
    properties={"energy_per_atom": _column("energy_per_atom", "eV/atom", "energy of the random search's DFT")},
    energy_type={
        "calculator": "the publisher's DFT (AIRSS, 10 GPa)",
        "functional": "see citation",
        "corrections": "none",
        "quantity": "energy_per_atom",
    },
    n_rows={"train": 6091, "val": 2032, "test": 2030},
)

PEROV_5 = Dataset(
    name="perov_5",
    title="Perov-5: ABX3 perovskites of 5 atoms and 56 elements",
    licence="MIT (CDVAE repository)",
    citation="I. E. Castelli et al., Energy Environ. Sci. 5, 5814 (2012) and Energy Environ. Sci. 5, 9034 (2012); "
    + _CDVAE,
    homepage=f"https://github.com/txie-93/cdvae/tree/{CDVAE_COMMIT}/data/perov_5",
    files=_cdvae_files(
        "perov_5",
        "0769074b5d51d293b765c4371b8f55c468c9c9f2",
        "4a2c8dde98347dd0e01fa83dcf3982c2abe98f9f",
        "d3c5d5af4b27a2a139149f2bb73c8a3dba9d8ac1",
    ),
    other_forms=(
        OtherForm("perov5_heat_ref.json.zip", SPLITS, True, "structures only, as POSCAR text: no heats of formation"),
    ),
    properties={
        # Per atom: heat_all comes in steps of 0.02, a fifth of 0.1 eV, and LaAlO3 has -0.1, as from its oxides.
        "heat_ref": _column("heat_ref", "eV/atom", "heat of formation against the publisher's reference states"),
        "heat_all": _column("heat_all", "eV/atom", "heat of formation against the publisher's pool of all phases"),
        "dir_gap": _column("dir_gap", "eV", "direct band gap"),
        "ind_gap": _column("ind_gap", "eV", "indirect band gap"),
    },
    energy_type={
        "calculator": "GPAW",
        "functional": "RPBE",  # Castelli et al. 2012
        "corrections": "none",
        "quantity": "heat_ref",
    },
    n_rows={"train": 11356, "val": 3787, "test": 3785},
)

MP_20 = Dataset(
    name="mp_20",
    title="MP-20: Materials Project crystals of 1 to 20 atoms and 89 elements",
    licence="CC BY 4.0 (Materials Project)",
    citation=f"A. Jain et al., The Materials Project, APL Mater. 1, 011002 (2013); {_CDVAE}",
    homepage=f"https://github.com/txie-93/cdvae/tree/{CDVAE_COMMIT}/data/mp_20",
    files=_cdvae_files(
        "mp_20",
        "b1c9d498565ac2fd8d075a51ff2ef5e51ba6c21f",
        "7efe4d7ebeb4f460ceaad35e5326c42111d9c9a1",
        "5dc643041df53f5ce4970a79930ad262b4f07acd",
    ),
    other_forms=(
        OtherForm("val.feather", ("val",), True, "the same rows as a Feather table"),
        OtherForm("test.feather", ("test",), True, "the same rows as a Feather table"),
        OtherForm("train_partial.csv.gz", ("train",), False, "some of the rows only, some cells empty"),
    ),
    properties={
        "formation_energy_per_atom": _column(
            "formation_energy_per_atom", "eV/atom", "formation energy from the elements, Materials Project"
        ),
        "e_above_hull": _column("e_above_hull", "eV/atom", "energy above the Materials Project's hull of its time"),
        "band_gap": _column("band_gap", "eV", "band gap, PBE"),
        "spacegroup_number": _column("spacegroup.number", "", "space group number given by the source", "int"),
    },
    energy_type={
        "calculator": "VASP",
        "functional": "PBE and PBE+U, mixed as by the Materials Project",
        "corrections": "the Materials Project's of its time",
        "quantity": "formation_energy_per_atom",
    },
    n_rows={"train": 27136, "val": 9047, "test": 9046},
)

SILICON_CARBON = Dataset(
    name="silicon_carbon",
    title="Silicon-carbon: C, Si and Si-C crystals of up to 8 atoms, embedded in unimat",
    licence="Apache-2.0",
    citation="made for unimat by random symmetric search and relaxation with CHGNet",
    homepage="",
)

DATASETS = {dataset.name: dataset for dataset in (SILICON_CARBON, CARBON_24, PEROV_5, MP_20)}
