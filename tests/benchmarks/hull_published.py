"""Energies above the hull against published ones: DiffCSP's crystals by CHGNet, CDVAE's by DFT.

DiffCSP_mp_20_NO_RELAX.ehull.csv.gz has CHGNet's energies above a Materials Project hull of the first 1,000 crystals of
DiffCSP_mp_20.pt as generated; CDVAE.csv has E_d of crystals that CDVAE generated and DFT relaxed, whose CIF files lie
beside it. Both are judged here by CHGNet single points, as the files have them, against mp_materials_summary.csv with
MP2020 corrections. DiffCSP_mp_20.ehull.csv.gz has the energies after relaxation by CHGNet: --relax N relaxes the first
N here too (some 3 s each on one core, kept in --cache).

Needs UNIMAT_DATA_DIR. docs/stability.md says where the differences come from.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Figure, finish, say
from pymatgen.core import Composition

from unimat.crystal_table import Crystal
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.metrics.energies import energies
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard
from unimat.materials.stability.decomposition import Hulls
from unimat.materials.stability.references.build import build
from unimat.materials.stability.settings import ReferenceSettings

HULL = "hull/mp_materials_summary.csv"
DIFFCSP = "generated/diffcsp_mp_20/DiffCSP_mp_20"
CDVAE = "generated/cdvae/CDVAE"


def hulls(processes: int) -> Hulls:
    return Hulls(build(ReferenceSettings(kind="materials_project", path=HULL), {}, processes))


def diffcsp(folder: Path, n: int) -> tuple[list[Crystal], np.ndarray]:
    """The first `n` crystals as generated, and their published energies relative to the hull, eV/atom."""
    table, _ = read_crystals(folder / f"{DIFFCSP}.pt", None, 1)
    published = pd.read_csv(folder / f"{DIFFCSP}_NO_RELAX.ehull.csv.gz").set_index("str_ind")["corrected_chgnet_ehull"]
    return list(table.take(range(n))), published.reindex(range(n)).to_numpy(float)


def relaxed(folder: Path, n: int, cache: str | None) -> tuple[list[Crystal], np.ndarray, np.ndarray]:
    """The first `n` of DiffCSP's crystals relaxed by CHGNet, with energies, eV/atom, and the published ones' E_d."""
    table, _ = read_crystals(folder / f"{DIFFCSP}.pt", None, 1)
    settings = RelaxSettings(optimizer="FIRE", fmax=0.1)
    with tempfile.TemporaryDirectory() as temporary:
        done = relax_shard(table.take(range(n)), settings, Path(cache or temporary) / "relax")
    published = pd.read_csv(folder / f"{DIFFCSP}.ehull.csv.gz").set_index("str_ind")["corrected_chgnet_ehull"]
    values = np.where(done.column("converged"), done.column("energy_per_atom"), np.nan).astype(float)
    return list(done), values, published.reindex(range(n)).to_numpy(float)


def cdvae(folder: Path, n: int) -> tuple[list[Crystal], np.ndarray]:
    """Crystals as DFT relaxed them, and their published E_d: of formulas and space groups that occur once, by id."""
    table, _ = read_crystals(folder / f"{CDVAE}_cifs.zip", None, 1)
    rows = pd.read_csv(folder / f"{CDVAE}.csv")
    names = [
        (Composition(formula).reduced_formula, int(group))
        for formula, group in zip(rows["Chemical Formula"], rows["Space Group Number"], strict=True)
    ]
    once = {name: energy for name, energy in zip(names, rows["Ed (eV/atom)"], strict=True) if names.count(name) == 1}
    crystals, published = [], []
    for crystal in table:
        formula, group = crystal.material_id.split("/")[-1].rsplit("_", 1)
        energy = once.get((Composition(formula).reduced_formula, int(group)))
        if energy is not None and len(crystals) < n:
            crystals.append(crystal)
            published.append(energy)
    return crystals, np.array(published)


def judged(crystals: list[Crystal], values: np.ndarray, known: Hulls) -> np.ndarray:
    """E_d of energies by CHGNet, eV/atom; NaN where the reference lacks an element."""
    atoms = [np.unique(crystal.atomic_numbers, return_counts=True) for crystal in crystals]
    rows = [row for row, (numbers, _) in enumerate(atoms) if not known.missing(numbers) and np.isfinite(values[row])]
    verdicts = known.verdicts([(atoms[row][0].tolist(), atoms[row][1].tolist()) for row in rows], values[rows].tolist())
    found = np.full(len(crystals), np.nan)
    found[rows] = [verdict["decomposition_energy"] for verdict in verdicts]
    return found


def agreement(name: str, ours: np.ndarray, published: np.ndarray) -> list[Figure]:
    both = np.isfinite(ours) & np.isfinite(published)
    ours, published = ours[both], published[both]
    difference = ours - published
    say(f"{name}: 5, 25, 50, 75, 95 % of the differences: {np.quantile(difference, [0.05, 0.25, 0.5, 0.75, 0.95])}")
    return [
        Figure(f"{name}: crystals compared", len(ours), "crystals"),
        Figure(f"{name}: median difference, ours minus published", float(np.median(difference)), "eV/atom"),
        Figure(f"{name}: median absolute difference", float(np.median(np.abs(difference))), "eV/atom"),
        Figure(f"{name}: mean absolute difference", float(np.abs(difference).mean()), "eV/atom"),
        Figure(f"{name}: rank correlation", float(pd.Series(ours).corr(pd.Series(published), "spearman")), "1"),
        Figure(f"{name}: E_d < 0 here", int((ours < 0).sum()), "crystals", baseline=int((published < 0).sum())),
        Figure(f"{name}: same sign of E_d", float(((ours < 0) == (published < 0)).mean()), "1"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crystals", type=int, default=1000, help="of each set, at most (default: 1000)")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--cache", help="folder that keeps the energies")
    parser.add_argument("--relax", type=int, default=0, metavar="N", help="relax so many of DiffCSP's (default: none)")
    args = parser.parse_args()
    folder = Path(os.environ["UNIMAT_DATA_DIR"]) if "UNIMAT_DATA_DIR" in os.environ else None
    if folder is None:
        parser.error("set UNIMAT_DATA_DIR to the folder of published data")
    known, figures = hulls(args.processes), []
    for name, read in (("DiffCSP", diffcsp), ("CDVAE", cdvae)):
        crystals, published = read(folder, args.crystals)
        values = energies(crystals, "chgnet", args.processes, args.cache).values
        figures += agreement(name, judged(crystals, values, known), published)
    if args.relax:
        crystals, values, published = relaxed(folder, args.relax, args.cache)
        figures += agreement("DiffCSP, relaxed", judged(crystals, values, known), published)
    finish("hull_published", figures)


if __name__ == "__main__":
    main()
