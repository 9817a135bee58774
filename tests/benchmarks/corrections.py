"""MP2020 corrections by crystal and by formula, and the Materials Project's summary beside MP-20's own columns.

Crystals of MP-20 (validation and test split, and what there is of the training split) that hold oxygen or sulfur go
through a reference of `kind: entries` with `apply_mp2020`; the baseline is pymatgen's class on the same entries. Then
the formula alone decides, as it must for a summary. Last, formation energies and gaps of mp_materials_summary.csv are
held against `formation_energy_per_atom` and `e_above_hull` of MP-20. Where mp_2025/mp_le20.jsonl.gz is there, it tells
which corrections of the summary a crystal would have made otherwise.

Needs UNIMAT_DATA_DIR. docs/stability.md has the figures.
"""

import argparse
import gzip
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Figure, finish, say
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry

from unimat.materials.crystals import corrections as mp
from unimat.materials.crystals.formulas import of_composition
from unimat.materials.stability.decomposition import Hulls
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings

HULL = "hull/mp_materials_summary.csv"
OTHER = 1e-6  # eV/atom; more is another correction
FAR = 0.02  # eV/atom


def mp_20(folder: Path) -> pd.DataFrame:
    splits = [pd.read_feather(folder / f"mp_20/{name}.feather") for name in ("val", "test")]
    return pd.concat([*splits, pd.read_csv(folder / "mp_20/train_partial.csv.gz")], ignore_index=True)


def entries_of(rows: pd.DataFrame) -> Iterator[ComputedStructureEntry]:
    """Entries without corrections, at -5 eV/atom, of the compounds of oxygen or sulfur."""
    for material_id, cif in zip(rows["material_id"], rows["cif"], strict=True):
        if not isinstance(cif, str):
            continue
        structure = Structure.from_str(cif, fmt="cif")
        symbols = {element.symbol for element in structure.composition}
        if len(symbols) > 1 and symbols & {"O", "S"}:
            about = mp.uncorrected_entry(structure.composition, 0.0, material_id).parameters
            yield ComputedStructureEntry(structure, -5.0 * len(structure), parameters=about, entry_id=material_id)


def by_crystal(rows: pd.DataFrame, processes: int) -> list[Figure]:
    entries = list(entries_of(rows))
    compatibility = MaterialsProject2020Compatibility(check_potcar=False)
    right = {
        entry.entry_id: compatibility.process_entry(entry, inplace=False, on_error="raise").energy_per_atom
        for entry in entries
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "entries.json"
        path.write_text(json.dumps([entry.as_dict() for entry in entries]))
        settings = ReferenceSettings(kind="entries", path=str(path), apply_mp2020=True, corrections="none")
        table = build(settings, {}, processes).entries.table
    ours = dict(zip(table["entry_id"].to_pylist(), table["energy_per_atom"].to_pylist(), strict=True))
    flat = [(entry.composition.formula.replace(" ", ""), entry.entry_id, entry.energy) for entry in entries]
    corrected = [correction for correction, _ in mp.corrections(flat, processes)]
    guessed = {
        entry.entry_id: (entry.energy + correction) / len(entry.structure)
        for entry, correction in zip(entries, corrected, strict=True)
    }
    off = {name: abs(energy - right[name]) for name, energy in guessed.items()}
    wrong = {name: value for name, value in off.items() if value > OTHER}
    sulfur = {entry.entry_id for entry in entries if "S" in entry.composition}
    return [
        Figure("crystals with O or S", len(right), "crystals"),
        Figure("of these in the reference", len(ours), "crystals", len(right), better="higher"),
        Figure(
            "largest difference to pymatgen, by crystal", max(abs(ours[k] - right[k]) for k in right), "eV/atom", 1e-9
        ),
        Figure("another correction by formula", len(wrong), "crystals"),
        Figure("of these with sulfur", len(wrong.keys() & sulfur), "crystals"),
        Figure("mean difference of these", float(np.mean(list(wrong.values()))), "eV/atom"),
        Figure("largest difference of these", max(wrong.values()), "eV/atom"),
    ]


def pure_energies(reference: Reference) -> dict[str, float]:
    """Lowest energy of each element, eV/atom."""
    found: dict[str, float] = {}
    for entry in reference.entries:
        if entry.is_element:
            symbol = entry.composition.elements[0].symbol
            found[symbol] = min(found.get(symbol, np.inf), entry.energy_per_atom)
    return found


def elemental(composition: Composition, pure: dict[str, float]) -> float:
    """Energy of the elements in these proportions, eV/atom."""
    return sum(pure[each.symbol] * composition.get_atomic_fraction(each) for each in composition)


def of_the_summary(reference: Reference, rows: pd.DataFrame) -> list[Figure]:
    pure = pure_energies(reference)
    theirs = rows.set_index("material_id")["formation_energy_per_atom"]
    differences = np.array(
        [
            abs(entry.energy_per_atom - elemental(entry.composition, pure) - theirs[entry.name])
            for entry in reference.entries
            if entry.name in theirs.index and all(element.symbol in pure for element in entry.composition)
        ]
    )
    rows = rows[
        rows["pretty_formula"].map(lambda each: isinstance(each, str))
    ]  # some cells of the training part are empty
    compositions = rows["pretty_formula"].map(Composition)
    formulas = {Composition(text).reduced_formula for text in reference.entries.table["formula"].to_pylist()}
    on_hull = rows["e_above_hull"] <= 0
    lacking = on_hull & ~compositions.map(lambda each: each.reduced_formula).isin(formulas)
    known = lacking & compositions.map(lambda each: all(element.symbol in pure for element in each))
    of_known = compositions[known].tolist()
    energies = [
        energy + elemental(each, pure)
        for each, energy in zip(of_known, rows["formation_energy_per_atom"][known], strict=True)
    ]
    verdicts = Hulls(reference).verdicts([of_composition(each) for each in of_known], energies)
    below = {
        each.reduced_formula: verdict["decomposition_energy"] for each, verdict in zip(of_known, verdicts, strict=True)
    }
    guessed = reference.details["guessed_from_formula"]
    return [
        Figure("summary: entries whose oxide type is guessed", guessed["oxide_type"], "entries"),
        Figure("summary: entries whose sulfide type is guessed", guessed["sulfide_type"], "entries"),
        Figure("ids in both", len(differences), "crystals"),
        Figure("median difference of formation energies", float(np.median(differences)), "eV/atom"),
        Figure("mean difference of formation energies", float(differences.mean()), "eV/atom"),
        Figure(f"formation energies off by more than {FAR}", int((differences > FAR).sum()), "crystals"),
        Figure("MP-20 on its hull", int(on_hull.sum()), "crystals"),
        Figure("of these with a formula that the summary lacks", int(lacking.sum()), "crystals"),
        Figure("of these with known elements alone", int(known.sum()), "crystals"),
        Figure("median E_d of these against the summary", float(np.median(list(below.values()))), "eV/atom"),
        Figure("E_d of MgO against the summary", below["MgO"], "eV/atom"),
    ]


def by_crystal_of_the_summary(reference: Reference, path: Path) -> list[Figure]:
    columns = reference.entries.table.select(["entry_id", "formula", "correction_per_atom"]).to_pylist()
    wanted = {row["entry_id"]: row for row in columns}
    compared, others, kinds = 0, 0, Counter[str]()
    with gzip.open(path, "rt") as lines:
        for row in map(json.loads, lines):
            found = wanted.get(row["id"])
            if found is None or len(set(row["species"])) < 2 or not {"O", "S"} & set(row["species"]):
                continue
            crystal = Structure(Lattice.from_parameters(*row["cell"]), row["species"], row["frac"])
            if crystal.composition.reduced_formula != Composition(found["formula"]).reduced_formula:
                continue
            types = mp.anion_types(crystal)
            entry = mp.uncorrected_entry(crystal.composition, 0.0, row["id"], types)
            compared += 1
            if abs(mp.correction_of(entry)[0] / len(crystal) - found["correction_per_atom"]) > OTHER:
                others += 1
                kinds["sulfate" if types.get("sulfide_type") == "sulfate" else types.get("oxide_type", "other")] += 1
    say(f"other corrections: {dict(kinds)}")
    return [
        Figure("summary: entries compared with a crystal", compared, "entries"),
        Figure("another correction by crystal", others, "entries"),
        Figure("of these sulfates", kinds["sulfate"], "entries"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, help="rows of MP-20, at most (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    args = parser.parse_args()
    if "UNIMAT_DATA_DIR" not in os.environ:
        parser.error("set UNIMAT_DATA_DIR to the folder of published data")
    folder = Path(os.environ["UNIMAT_DATA_DIR"])
    warnings.simplefilter("ignore")  # one for each entry whose oxidation states are guessed
    rows = mp_20(folder)
    figures = by_crystal(rows.head(args.n) if args.n else rows, args.processes)
    reference = build(ReferenceSettings(kind="materials_project", path=HULL), {}, args.processes)
    figures += of_the_summary(reference, rows)
    others = folder / "mp_2025/mp_le20.jsonl.gz"
    if others.is_file():
        figures += by_crystal_of_the_summary(reference, others)
    finish("corrections", figures)


if __name__ == "__main__":
    main()
