"""Carbon-24, Perov-5 and MP-20, as the authors of CDVAE publish them."""

from unimat.materials.datasets.published.description import Dataset, OtherForm, PublishedFile, column
from unimat.materials.datasets.settings import SPLITS

# One commit of the CDVAE repository, so that an address means the same bytes for ever.
COMMIT = "f857f598d6f6cca5dc1ea0582d228f12dcc2c2ea"
DATA = f"https://raw.githubusercontent.com/txie-93/cdvae/{COMMIT}/data"
_CDVAE = "T. Xie et al., Crystal Diffusion Variational Autoencoder, arXiv:2110.06197 (2021)"


def _files(folder: str, train: str, val: str, test: str) -> tuple[PublishedFile, ...]:
    return tuple(
        PublishedFile(f"{split}.csv", split, f"{DATA}/{folder}/{split}.csv", split, blob_id)
        for split, blob_id in zip(SPLITS, (train, val, test), strict=True)
    )


def _homepage(folder: str) -> str:
    return f"https://github.com/txie-93/cdvae/tree/{COMMIT}/data/{folder}"


CARBON_24 = Dataset(
    name="carbon_24",
    title="Carbon-24: carbon crystals of 6 to 24 atoms from random search at 10 GPa",
    licence="MIT (CDVAE repository)",
    citation=f"C. J. Pickard, AIRSS data for carbon at 10GPa, Materials Cloud 2020.0026/v1 (2020); {_CDVAE}",
    homepage=_homepage("carbon_24"),
    mirror_folders=("data/carbon_24",),
    files=_files(
        "carbon_24",
        "5e7ae970fbad8ddc46b6963e8cd6e425f11783a6",
        "b3e29b927883642426ca1d9632d00359b412742b",
        "9beca843fde489de1fe288b32f9e3ff710d42803",
    ),
    other_forms=(
        OtherForm("carbon24_energy_per_atom.json.zip", SPLITS, True, "structures only, as POSCAR text: no energies"),
    ),
    properties={"energy_per_atom": column("energy_per_atom", "eV/atom", "energy of the random search's DFT")},
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
    homepage=_homepage("perov_5"),
    mirror_folders=("data/perov_5",),
    files=_files(
        "perov_5",
        "0769074b5d51d293b765c4371b8f55c468c9c9f2",
        "4a2c8dde98347dd0e01fa83dcf3982c2abe98f9f",
        "d3c5d5af4b27a2a139149f2bb73c8a3dba9d8ac1",
    ),
    other_forms=(
        OtherForm("perov5_heat_ref.json.zip", SPLITS, True, "structures only, as POSCAR text: no heats of formation"),
    ),
    properties={
        # Per atom, though matminer says of the same numbers "of the entire 5-atom cell": between two structures of one
        # composition the reference cancels, and over 120 such pairs of the val and test splits heat_ref differs by
        # 0.92 times CHGNet's energy per atom (r = 0.992); per cell it would be 4.6 times. Steps of heat_all are 0.02.
        "heat_ref": column("heat_ref", "eV/atom", "heat of formation against the publisher's reference states"),
        "heat_all": column("heat_all", "eV/atom", "heat of formation against the publisher's pool of all phases"),
        "dir_gap": column("dir_gap", "eV", "direct band gap"),
        "ind_gap": column("ind_gap", "eV", "indirect band gap"),
        "formula": column("formula", "", "formula as the source writes it, A site first", "string"),
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
    homepage=_homepage("mp_20"),
    mirror_folders=("data/mp_20",),
    files=_files(
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
        "formation_energy_per_atom": column(
            "formation_energy_per_atom", "eV/atom", "formation energy from the elements, Materials Project"
        ),
        "e_above_hull": column("e_above_hull", "eV/atom", "energy above the Materials Project's hull of its time"),
        "band_gap": column("band_gap", "eV", "band gap, PBE"),
        "spacegroup_number": column("spacegroup.number", "", "space group number given by the source", "int"),
        "reduced_formula": column("pretty_formula", "", "reduced formula as the source writes it", "string"),
        "elements": column("elements", "", "elements as the source lists them", "string"),
    },
    energy_type={
        "calculator": "VASP",
        "functional": "PBE and PBE+U, mixed as by the Materials Project",
        "corrections": "the Materials Project's of its time",
        "quantity": "formation_energy_per_atom",
    },
    n_rows={"train": 27136, "val": 9047, "test": 9046},
)
