"""Alex-MP-20, as the authors of MatterGen publish it."""

from unimat.materials.datasets.published.description import Dataset, PublishedFile, column

# Kept by Git LFS, so the raw address would give a pointer of three lines; this one gives the file. The checksum is the
# one of that pointer, and fixes the bytes although the address names a branch.
ARCHIVE = "https://media.githubusercontent.com/media/microsoft/mattergen/main/data-release/alex-mp/alex_mp_20.zip"
SHA256 = "6688e652e45fac4ac8b016dbc4a3280afde9ba687bdacfd8c676775ed19b6228"

ALEX_MP_20 = Dataset(
    name="alex_mp_20",
    title="Alex-MP-20: Alexandria and Materials Project crystals of up to 20 atoms, within 0.1 eV/atom of the hull",
    licence="CC BY 4.0 (Alexandria, Materials Project)",
    citation=(
        "J. Schmidt et al., Materials Cloud Archive 2022.126 (2022); A. Jain et al., APL Mater. 1, 011002 (2013); "
        "C. Zeni et al., A generative model for inorganic materials design, Nature 639, 624 (2025)"
    ),
    homepage="https://github.com/microsoft/mattergen/tree/main/data-release/alex-mp",
    files=tuple(
        PublishedFile(f"{split}.csv", split, ARCHIVE, split, sha256=SHA256, member=f"alex_mp_20/{split}.csv")
        for split in ("train", "val")
    ),
    properties={
        "e_above_hull": column("energy_above_hull", "eV/atom", "energy above the hull of Alexandria and MP"),
        "band_gap": column("dft_band_gap", "eV", "band gap, PBE"),
        "magnetic_density": column("dft_mag_density", "1/Å^3", "magnetic moment per volume, Bohr magnetons"),
        "bulk_modulus": column("dft_bulk_modulus", "GPa", "bulk modulus, DFT"),
        "bulk_modulus_ml": column("ml_bulk_modulus", "GPa", "bulk modulus, predicted by a network"),
        "hhi_score": column("hhi_score", "", "Herfindahl-Hirschman index of the elements' supply"),
        "spacegroup_symbol": column("space_group", "", "Hermann-Mauguin symbol given by the source", "string"),
        "reduced_formula": column("reduced_formula", "", "reduced formula as the source writes it", "string"),
    },
)
