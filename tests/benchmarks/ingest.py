"""Ingestion of MP-20's test split, against pymatgen's CIF reader and its reduced structures.

Ours reads a Feather file of CIF texts and ends with a crystal table on disk, checks, properties and splits included;
pymatgen's has the texts in memory and ends with structures in memory. They run on one core in turns of 3,000
crystals, so that what else the machine does falls on both alike, and are timed in CPU seconds. Then every row is
compared: species, lattice parameters, and the crystal by StructureMatcher, against pymatgen's reduced structure.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Figure, finish, peak_memory_mib, say
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser
from tqdm import tqdm

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.materials.crystals.lattices import angles_of, lengths_of
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import ingest
from unimat.materials.datasets.settings import IngestSettings, PropertyColumn, SplitSettings
from unimat.materials.datasets.sources import plan_of

TARGET_SPEED_UP = 8.0
TARGET_PARAMETERS = 1e-4  # Å and degrees
TURN = 3000  # crystals


def ours(source: Path, folder: Path) -> Path:
    """Crystal table of the rows of a Feather file, in their order."""
    settings = IngestSettings(
        name="custom",
        source=str(source),
        properties={"band_gap": PropertyColumn("eV"), "formation_energy_per_atom": PropertyColumn("eV/atom")},
        split=SplitSettings("fractions", (1.0, 0.0, 0.0)),
    )
    found = ingest(plan_of(settings, None), settings, folder / "out")
    assert not found.rejected, found.rejected[0]
    return found.tables["train"]


def theirs(texts: list[str]) -> list[Structure]:
    structures = [CifParser.from_str(text).parse_structures(primitive=False)[0] for text in texts]
    return [structure.get_reduced_structure() for structure in structures]


def differences(crystal: Crystal, structure: Structure, matcher: StructureMatcher) -> tuple[float, bool, bool]:
    """Largest difference of a lattice parameter, whether species are the same, and whether the crystals are."""
    parameters = np.concatenate([lengths_of(crystal.lattice), angles_of(crystal.lattice)])
    off = float(np.abs(parameters - structure.lattice.parameters).max())
    species = sorted(crystal.atomic_numbers.tolist()) == sorted(structure.atomic_numbers)
    return off, species, matcher.fit(to_structure(crystal), structure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, help="first so many rows only")
    parser.add_argument("--no-compare", action="store_true", help="time only; the comparison takes some minutes")
    args = parser.parse_args()
    folder = os.environ.get("UNIMAT_DATA_DIR")
    if not folder:
        sys.exit("set UNIMAT_DATA_DIR to a folder that holds mp_20/test.feather")
    warnings.simplefilter("ignore")  # pymatgen's, of every rounded coordinate
    frame = pd.read_feather(Path(folder) / "mp_20/test.feather")[: args.n]
    # Niggli-reduced cells on either side; volumes and angles as they are.
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-3, stol=0.01, angle_tol=0.1)
    seconds = {"unimat": 0.0, "pymatgen": 0.0}
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "part.feather"
        frame[:50].to_feather(source)
        ours(source, Path(scratch))  # imports and caches
        theirs(frame["cif"][:50].tolist())
        for start in tqdm(range(0, len(frame), TURN), desc="turns"):
            part = frame[start : start + TURN].reset_index(drop=True)
            part.to_feather(source)
            began = time.process_time()
            table = ours(source, Path(scratch))
            seconds["unimat"] += time.process_time() - began
            began = time.process_time()
            structures = theirs(part["cif"].tolist())
            seconds["pymatgen"] += time.process_time() - began
            if not args.no_compare:
                rows = zip(crystal_table.read(table), structures, strict=True)
                found += [differences(*row, matcher) for row in rows]
    rate = {name: len(frame) / value for name, value in seconds.items()}
    speed_up = rate["unimat"] / rate["pymatgen"]
    say(f"{speed_up:.2f} times pymatgen's throughput")
    figures = [
        Figure(
            "ingested", rate["unimat"], "crystals/CPU s", TARGET_SPEED_UP * rate["pymatgen"], rate["pymatgen"], "higher"
        ),
        Figure("throughput against pymatgen's", speed_up, "ratio", TARGET_SPEED_UP, better="higher"),
    ]
    if found:
        off, species, same = (np.array(each) for each in zip(*found, strict=True))
        figures += [
            Figure("largest difference of a lattice parameter", float(off.max()), "Å or degrees", TARGET_PARAMETERS),
            Figure("rows with the same species", int(species.sum()), "of the rows", len(frame), better="higher"),
            Figure("rows that are the same crystal", int(same.sum()), "of the rows", len(frame), better="higher"),
        ]
    finish(
        "ingest", [*figures, Figure("rows", len(frame), "crystals"), Figure("peak memory", peak_memory_mib(), "MiB")]
    )


if __name__ == "__main__":
    main()
