"""A small run folder with every file of a finished run, for the tests of the report.

Energies are made up; what other stages compute from them is computed by those stages.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Lattice, Structure

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.files import write_json, write_text
from unimat.materials.comparison import compare
from unimat.materials.comparison.pairs import all_pairs
from unimat.materials.crystals.intervals import rate
from unimat.materials.crystals.structures import from_structure
from unimat.materials.metrics.distributions import distances, properties
from unimat.materials.relax import gather
from unimat.materials.stability import hull
from unimat.materials.stability import summary as stability_summary
from unimat.materials.stability.references import reference
from unimat.materials.stability.settings import CompareSettings, HullSettings

ENERGY_TYPE = {
    "calculator": "CHGNet 0.3.0",
    "functional": "PBE",
    "corrections": "MP2020, as learned",
    "quantity": "total energy",
}
ELEMENT_ENERGY = {"C": -9.1, "Si": -5.4}  # eV/atom, made up
N_GENERATED = 60
AVERAGE_DISTANCES = {"amsd_recall": 0.08, "amcd_recall": 0.4, "amsd_precision": 0.11, "amcd_precision": 0.6}


def prototypes() -> dict[str, tuple[Structure, float]]:
    """Structure and formation energy (eV/atom) of each."""
    hexagonal = [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.375], [2 / 3, 1 / 3, 0.875]]
    graphite = [[0, 0, 0.25], [0, 0, 0.75], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]
    zincblende = [[0, 0, 0], [0.25, 0.25, 0.25]]
    primitive = Lattice.from_parameters(3.08, 3.08, 3.08, 60, 60, 60)
    return {
        "diamond": (Structure(Lattice.from_parameters(*[2.52] * 3, *[60] * 3), ["C", "C"], zincblende), 0.02),
        "graphite": (Structure(Lattice.hexagonal(2.46, 6.7), ["C"] * 4, graphite), 0.0),
        "silicon": (Structure(Lattice.from_parameters(*[3.87] * 3, *[60] * 3), ["Si", "Si"], zincblende), 0.0),
        "3C-SiC": (Structure(primitive, ["Si", "C"], zincblende), -0.30),
        "2H-SiC": (Structure(Lattice.hexagonal(3.08, 5.05), ["Si", "Si", "C", "C"], hexagonal), -0.295),
        "Si3C": (Structure(Lattice.cubic(4.2), ["Si", "Si", "Si", "C"], _cubic()), 0.35),
        "SiC3": (Structure(Lattice.cubic(3.9), ["C", "C", "C", "Si"], _cubic()), 0.42),
        "rock salt": (Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.1), ["Si", "C"], [[0] * 3, [0.5] * 3]), 0.4),
    }


def _cubic() -> list[list[float]]:
    return [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0]]


def crystals(n: int, seed: int, prefix: str, strain: float, above: float) -> list[Crystal]:
    """`n` strained prototypes with `energy_per_atom`, `above` eV/atom above their prototype on average."""
    rng = np.random.default_rng(seed)
    found, kinds = [], list(prototypes().values())
    for index in range(n):
        structure, e_form = kinds[index % len(kinds)]
        scaled = structure.copy()
        scaled.scale_lattice(structure.volume * (1 + strain * rng.standard_normal()) ** 3)
        scaled.perturb(0.02 * strain)
        energy = e_form + rng.exponential(above) if index >= len(kinds) or above > 0.05 else e_form
        total = energy + float(np.mean([ELEMENT_ENERGY[site.specie.symbol] for site in structure]))
        found.append(from_structure(scaled, f"{prefix}-{index:04d}", energy_per_atom=total))
    return found


def write_run(folder: Path) -> Path:
    """Write the whole run under `folder` and return it."""
    write_dataset(folder)
    write_model(folder)
    known = hull_reference(folder)
    for name, n, seed, above in (("generated", 57, 1, 0.12), ("test", 40, 2, 0.03)):
        write_set(folder, name, crystals(n, seed, name[:3], 0.02, above), known)
    summaries, frames = [], []
    for name in ("generated", "test"):
        frames.append(pd.read_parquet(folder / f"sets/{name}/stability.parquet"))
        summaries.append(name)
    pairs = all_pairs(*frames)
    (folder / "compare").mkdir()
    pairs.table().to_parquet(folder / "compare/generated_vs_test.parquet", index=False)
    numbers = {"a": "generated", "b": "test", "reference": "reference"}
    numbers.update(compare.comparison(pairs, CompareSettings(bootstrap=200)))
    write_json(folder / "compare/generated_vs_test.json", numbers)
    return folder


def write_dataset(folder: Path) -> None:
    for split, n, seed in (("train", 120, 3), ("val", 40, 4), ("test", 40, 2)):
        table = crystal_table.from_crystals(crystals(n, seed, split, 0.02, 0.03), energy_type=ENERGY_TYPE)
        crystal_table.write(table, folder / f"dataset/{split}.parquet")
    refused = [Rejected(f"raw-{i}", "cif", "overlapping_atoms", "0.31 Å") for i in range(3)]
    refused.append(Rejected("raw-9", "cif", "unreadable", "no cell"))
    crystal_table.write_rejected(refused, folder / "dataset/rejected.parquet")
    card = {
        "name": "silicon_carbon",
        "title": "Silicon & carbon <demo>",
        "licence": "CC0-1.0",
        "source": "random search",
        "citation": None,
        "rows_read": 204,
    }
    write_json(folder / "dataset/card.json", card)
    write_text(folder / "dataset/card.html", "<!doctype html><title>card</title>")


def write_model(folder: Path) -> None:
    encoding = {"grid_rows": [1, 2], "grid_columns": [13], "slots": 8, "coordinates": "fractional"}
    write_json(folder / "encoded/encoding.json", encoding)
    crystal_table.write_rejected([], folder / "encoded/rejected.parquet")
    rng = np.random.default_rng(0)
    step = np.arange(10, 3001, 10)
    loss = 0.9 * np.exp(-step / 500) + 0.12 + 0.02 * rng.standard_normal(len(step))
    history = pd.DataFrame({"step": step, "loss": loss, "loss_coords": 0.8 * loss, "loss_lattice": 0.2 * loss})
    history["val_loss"] = np.where(step % 200 == 0, 0.9 * np.exp(-step / 550) + 0.14, np.nan)
    write_text(folder / "model/history.csv", history.to_csv(index=False))
    training = {
        "steps": 3000,
        "n_parameters": 412345,
        "settings": {"model": {"network": "unet", "channels": 32}, "train": {"seed": 0, "batch_size": 64}},
        "versions": {"jax": "0.10.2", "flax": "0.12.8"},
        "speed": {"steps_per_second": 17.0},
    }
    write_json(folder / "model/training.json", training)


def hull_reference(folder: Path) -> reference.Reference:
    table = relaxed(crystals(48, 5, "ref", 0.02, 0.04), metadata={})
    found = reference.from_relaxed(table, "reference")
    reference.write(found, folder / "hull/reference.parquet")
    write_json(folder / "hull/reference.json", {"name": found.name, "n_entries": len(found.entries)})
    return found


def relaxed(rows: list[Crystal], metadata: dict[str, object]) -> CrystalTable:
    """The rows as a relaxation leaves them: every 11th not converged, every 19th failed."""
    table = crystal_table.from_crystals(rows, energy_type=ENERGY_TYPE, relax={"engine": "chgnet"}, **metadata)
    n = len(rows)
    failed = np.arange(n) % 19 == 18
    converged = ~failed & (np.arange(n) % 11 != 10)
    energies = np.where(failed, np.nan, table.column("energy_per_atom"))
    table = table.with_column("energy_per_atom", energies, "eV/atom").with_column("converged", converged)
    table = table.with_column("n_steps", np.where(converged, 30 + np.arange(n), 300))
    return table.with_column("failure", [f"exploded: cell of row {i}" if bad else None for i, bad in enumerate(failed)])


def write_set(folder: Path, name: str, rows: list[Crystal], phases: reference.Reference) -> None:
    generated = name == "generated"
    place = folder / "sets" / name
    metadata: dict[str, object] = {"name": name, **({"n_requested": N_GENERATED} if generated else {})}
    table = crystal_table.from_crystals(rows, **metadata)
    crystal_table.write(table, place / "crystals.parquet")
    refused = [Rejected(f"gen-9{i}", "sample", "no_atoms", "empty") for i in range(3)] if generated else []
    crystal_table.write_rejected(refused, place / "rejected.parquet")
    if generated:
        border = {"count": 12, "of": 960, "rate": 12 / 960}
        sampling = {
            "n_requested": N_GENERATED,
            "near_null_border": border,
            "settings": {"n": 60, "steps": 128, "seed": 7, "compositions": "wanted.csv", "guidance": 2.0},
            "obeyed": {
                "same_composition": {"count": 33, "of": N_GENERATED, "rate": 33 / N_GENERATED},
                "same_elements": {"count": 57, "of": N_GENERATED, "rate": 57 / N_GENERATED},
                "by_composition": {
                    "Si4C4": {"of": 40, "same_composition": 31, "same_elements": 38},
                    "Si2": {"of": 20, "same_composition": 2, "same_elements": 19},
                },
            },
        }
        write_json(place / "sampling.json", sampling)
        write_metrics(folder, place, name, table)
    after = relaxed(rows, metadata)
    crystal_table.write(after, place / "relaxed.parquet")
    write_json(place / "relaxed.json", gather.relaxation_summary(after, name))
    frame = hull.stability_table(after, phases, HullSettings())
    near = frame["decomposition_energy"] < 0.1
    frame["unique"] = pd.Series(pd.NA, frame.index, "boolean").mask(near, ~frame["formula"].duplicated())
    frame["novel"] = pd.Series(pd.NA, frame.index, "boolean").mask(near, frame.index.to_numpy() % 3 == 0)
    frame.to_parquet(place / "stability.parquet", index=False)
    write_json(place / "stability.json", stability_summary.summary(frame, name, after, phases, HullSettings()))


def write_metrics(folder: Path, place: Path, name: str, table: CrystalTable) -> None:
    n = len(table)
    found = properties(table)
    frame = pd.DataFrame({"material_id": table.material_ids, **found})
    frame["composition_valid"] = np.arange(n) % 10 != 8
    frame["valid"] = frame["composition_valid"]
    frame["unique"] = np.arange(n) % 6 != 4
    frame["novel"] = np.arange(n) % 2 == 0
    frame.to_parquet(place / "verdicts.parquet", index=False)
    valid = frame["valid"].to_numpy()
    both = valid & frame["unique"].to_numpy() & frame["novel"].to_numpy()
    counts = {"structure_valid": 55, "composition_valid": 57, "valid": 52, "valid_unique_and_novel": int(both.sum())}
    test = properties(crystal_table.read(folder / "dataset/test.parquet"))
    mode = {
        "rates": {key: rate(k, N_GENERATED) for key, k in counts.items()},
        "coverage": {
            "cov_recall": rate(37, 40),
            "cov_precision": rate(49, N_GENERATED),
            **{key: {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 40}
               for key, value in AVERAGE_DISTANCES.items()},
        },
        "distributions": distances({key: each[valid] for key, each in found.items()}, test),
    }  # fmt: skip
    strict = mode | {"rates": mode["rates"] | {"valid": rate(44, N_GENERATED)}}
    size = {"first": 5, "last": 8, "n_generated": 40, "n_reference": 21, "unique": rate(33, 40)}
    verdict = {"valid": rate(38, 40), "cov_precision": rate(36, 40), "cov_recall": rate(20, 21)}
    metrics = {
        "set": name, "n_generated": N_GENERATED, "n_crystals": n, "cdvae": mode, "strict": strict,
        "rates": {key: rate(k, N_GENERATED) for key, k in {"unique": 48, "novel": 30, "unique_and_novel": 27}.items()},
        "differences": [{"number": "rates.valid", "cdvae": 52 / 60, "strict": 44 / 60, "why": "strict looks twice"}],
        "by": {"n_atoms": [size | {"cdvae": verdict, "strict": verdict | {"valid": rate(31, 40)}}]},
        "fingerprints": {"cutoffs": {"structure": 0.2, "composition": 4.0}},
        "notes": ["carbon-only crystals pass the composition rule"],
        "settings": {"min_distance": 0.5, "oxidation_states": "smact14", "strict_oxidation_states": "smact_default"},
        "versions": {"smact": "4.0.2", "pymatgen": "2026.10.24"},
    }  # fmt: skip
    write_json(place / "metrics.json", metrics)
