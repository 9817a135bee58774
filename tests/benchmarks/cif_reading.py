"""CIF texts read as pymatgen reads them: MP-20, Perov-5, Carbon-24, CDVAE's crystals, MP of 2025, installed packages.

Published texts are read by both and compared: lattice, species, and an atom of the other within 0.05 Å of each atom.
Of MP of 2025 the source has cells as numbers; pymatgen's CifWriter makes texts of them, of all sites in P 1 or of sites
with operations, and what is read is compared with the structure that was written. A sample by default; `--all` reads
every row, of those with operations 5,000.

Without UNIMAT_DATA_DIR, the folder of published data, only the CIF files of installed packages are read.
"""

import argparse
import collections
import dataclasses
import gzip
import json
import os
import random
import sysconfig
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Figure, finish, say
from joblib import Parallel, delayed
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import angles_of, lengths_of
from unimat.materials.crystals.structures import from_structure
from unimat.materials.datasets.readers.cif import crystal_of_cif

WITHIN = 0.05  # Å; pymatgen moves 0.333 to 1/3
SAMPLE = 200  # rows of each source
SYMMETRIC = 5000  # of the written ones, with --all; finding operations takes most of the time
SYMPREC = 0.01  # Å
CHUNK = 100
Found = tuple[str, str]  # same, rejected or different; and of what


@dataclasses.dataclass(frozen=True)
class Source:
    """Texts to read, and what each is to be: a structure, or None for what pymatgen reads."""

    name: str
    rows: list[tuple[str, str | list]]
    compare: Callable[[str, str | list], Found]


def ours(text: str) -> Crystal | CrystalRejected:
    try:
        return crystal_of_cif(text, "")
    except CrystalRejected as rejection:
        return rejection


def theirs(text: str) -> Crystal | CrystalRejected:
    try:
        return from_structure(CifParser.from_str(text).parse_structures(primitive=False)[0], "")
    except CrystalRejected as rejection:
        return rejection
    except Exception as error:  # pymatgen's parser raises nearly every built-in exception
        return CrystalRejected("unreadable", str(error))


def compared(name: str, crystal: Crystal | CrystalRejected, other: Crystal | CrystalRejected) -> Found:
    if isinstance(crystal, CrystalRejected):
        both = isinstance(other, CrystalRejected)
        return ("same" if both and crystal.reason == other.reason else "rejected"), f"{name}: {crystal}"
    if isinstance(other, CrystalRejected):
        return "different", f"{name}: pymatgen: {other}"
    why = difference(crystal, other)
    return ("different", f"{name}: {why}") if why else ("same", name)


def difference(crystal: Crystal, other: Crystal) -> str:
    """What differs between two crystals in cells of the same edges, an empty text if nothing does."""
    edges = [np.concatenate([lengths_of(each.lattice), angles_of(each.lattice)]) for each in (crystal, other)]
    if np.abs(edges[0] - edges[1]).max() > 1e-4:
        return f"cells {edges[0].round(4)} and {edges[1].round(4)}"
    counts = [collections.Counter(each.atomic_numbers.tolist()) for each in (crystal, other)]
    if counts[0] != counts[1]:
        return f"atoms {dict(counts[0])} and {dict(counts[1])}"
    farthest = max(_farthest(crystal, other, number) for number in counts[0])
    return f"an atom is {farthest:.3f} Å from the nearest of the other" if farthest > WITHIN else ""


def _farthest(crystal: Crystal, other: Crystal, number: int) -> float:
    mine, others = (each.frac_coords[each.atomic_numbers == number] for each in (crystal, other))
    between = mine[:, None] - others
    distances = np.linalg.norm((between - np.round(between)) @ crystal.lattice, axis=2)
    return float(max(distances.min(0).max(), distances.min(1).max()))


def published(name: str, text: str) -> Found:
    return compared(name, ours(text), theirs(text))


def written(name: str, cell: list) -> Found:
    structure = structure_of(cell)
    return compared(name, ours(str(CifWriter(structure))), from_structure(structure, ""))


def written_with_symmetry(name: str, cell: list) -> Found:
    structure = structure_of(cell)
    refined = SpacegroupAnalyzer(structure, SYMPREC).get_refined_structure()  # what CifWriter writes
    return compared(name, ours(str(CifWriter(structure, symprec=SYMPREC))), from_structure(refined, ""))


def structure_of(cell: list) -> Structure:
    edges, species, coords = cell
    return Structure(Lattice.from_parameters(*edges), species, coords)


def chunk_of(rows: list, compare: Callable[[str, str | list], Found]) -> list[Found]:
    warnings.simplefilter("ignore")
    return [compare(name, content) for name, content in rows]


def published_texts(data: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for split in ("test", "val"):
        frame = pd.read_feather(data / f"mp_20/{split}.feather")
        yield f"MP-20 {split}", list(zip(frame["material_id"], frame["cif"], strict=True))
    frame = pd.read_csv(data / "mp_20/train_partial.csv.gz").dropna(subset=["cif"])
    yield "MP-20 train, partial", list(zip(frame["material_id"], frame["cif"], strict=True))
    for folder in ("perov_5", "carbon_24"):
        for split in ("val", "test"):
            frame = pd.read_csv(data / folder / f"{split}.csv")
            yield f"{folder} {split}", list(zip(frame["material_id"].astype(str), frame["cif"], strict=True))
    with zipfile.ZipFile(data / "generated/cdvae/CDVAE_cifs.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".cif")]
        yield "CDVAE, relaxed by DFT", [(name, archive.read(name).decode()) for name in names]


def installed_texts() -> list[tuple[str, str]]:
    folder = Path(sysconfig.get_path("purelib"))
    paths = sorted(path for path in folder.rglob("*.*cif") if not path.name.startswith("bvparm"))
    return [(str(path.relative_to(folder)), path.read_text(encoding="utf-8", errors="replace")) for path in paths]


def cells(data: Path) -> list[tuple[str, list]]:
    with gzip.open(data / "mp_2025/mp_le20.jsonl.gz", "rt") as lines:
        rows = map(json.loads, lines)
        return [(row["id"], [row["cell"], row["species"], row["frac"]]) for row in rows]


def sources(data: Path | None, n: int | None) -> Iterator[Source]:
    draw = random.Random(0)

    def some(rows: list, most: int | None = None) -> list:
        wanted = min(each for each in (n, most, len(rows)) if each is not None)
        return rows if wanted == len(rows) else draw.sample(rows, wanted)

    yield Source("installed packages", some(installed_texts()), published)
    if data is None:
        return
    for name, rows in published_texts(data):
        yield Source(name, some(rows), published)
    rows = cells(data)
    yield Source("MP of 2025 with operations", some(rows, SYMMETRIC), written_with_symmetry)
    yield Source("MP of 2025 in P 1", some(rows), written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=SAMPLE, help=f"rows of each source (default: {SAMPLE})")
    parser.add_argument("--all", action="store_true", help="every row")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    folder = os.environ.get("UNIMAT_DATA_DIR")
    figures = []
    for source in sources(Path(folder) if folder else None, None if args.all else args.n):
        chunks = [source.rows[at : at + CHUNK] for at in range(0, len(source.rows), CHUNK)]
        with Parallel(n_jobs=args.processes) as pool:
            done = pool(delayed(chunk_of)(chunk, source.compare) for chunk in chunks)
        found = [each for chunk in done for each in chunk]
        kinds = collections.Counter(kind for kind, _ in found)
        say(f"{source.name}: {dict(kinds)} of {len(found)}")
        for kind, what in found:
            if kind != "same":
                say(f"  {kind}: {what}")
        n, same = len(found), kinds["same"]
        figures.append(Figure(f"{source.name}: read as pymatgen reads them", same, "texts", n, better="higher"))
        figures.append(Figure(f"{source.name}: rejected", kinds["rejected"], "texts", 0))
    finish("cif_reading", figures)


if __name__ == "__main__":
    main()
