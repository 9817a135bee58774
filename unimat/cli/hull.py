"""Formation energy, decomposition energy and energy above the hull of a relaxed set.

Counts stable (E_d < 0) and metastable crystals, and those that are unique in the set and match no known crystal.
Writes stability.parquet (one row per crystal) and stability.json (counts with their denominators).
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = (
    "unimat hull --relaxed sets/mine/relaxed.parquet --reference hull/reference.parquet "
    "--known dataset/train.parquet --set mine --out sets/mine"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--relaxed", required=True, type=Path, help="relaxed crystal table of the set")
    parser.add_argument("--reference", required=True, type=Path, help="hull reference (`unimat reference`)")
    parser.add_argument("--known", type=Path, help="crystal table of known crystals, for novelty")
    parser.add_argument("--settings", help="hull settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--set", default="set", help="name of the set")
    parser.add_argument("--out", required=True, type=Path, help="folder for stability.parquet and stability.json")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.files import write_json, written_whole
    from unimat.materials import hull, novelty, reference
    from unimat.materials.stability_settings import HullSettings
    from unimat.settings import load_settings

    settings = load_settings(HullSettings, args.settings, "hull")
    table, phases = crystal_table.read(args.relaxed), reference.read(args.reference)
    frame = hull.stability_table(table, phases, settings)
    known = crystal_table.read(args.known) if args.known else None
    frame = novelty.with_novelty(frame, table, known, settings)
    with written_whole(args.out / "stability.parquet") as unfinished:
        frame.to_parquet(unfinished, index=False)
    counts = hull.summary(frame, args.set, table, phases, settings)
    write_json(args.out / "stability.json", counts)
    logging.getLogger("unimat.hull").info(
        "%s: %d stable and %d metastable of %d against %r",
        args.set, counts["stable"]["count"], counts["metastable"]["count"], counts["n_generated"], phases.name,
    )  # fmt: skip
