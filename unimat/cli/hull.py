"""Formation energy, decomposition energy and energy above the hull of a relaxed set.

Counts stable (E_d < 0) and metastable crystals, and those that are unique in the set and match no known crystal,
against one or several references; the first one's verdicts are what the report and comparisons show. Writes
stability.parquet (one row per crystal), stability.json (counts with their denominators),
stability_by_reference.parquet (one row per crystal and reference) and verdict_flips.parquet (crystals on which two
references disagree, and why).
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder, add_work

EXAMPLE = (
    "unimat hull --relaxed sets/mine/relaxed.parquet --reference hull/reference.parquet "
    "--known dataset/train.parquet --set mine --out sets/mine"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--relaxed", required=True, type=Path, metavar="SET", help="relaxed set, or any with --energies"
    )
    parser.add_argument(
        "--reference",
        required=True,
        action="append",
        type=Path,
        metavar="PARQUET",
        help="hull reference (`unimat reference`); again for each further one",
    )
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        type=Path,
        metavar="TABLE",
        help="known crystals, in any readable form, for novelty; again for each further set",
    )
    parser.add_argument(
        "--energies",
        metavar="FILE_OR_JSON",
        help="column of a set's own energies and what they are: keys column, unit (eV/atom or eV for the cell), "
        "functional, corrections, calculator",
    )
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="hull settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--set", default="set", metavar="NAME", help="name of the set")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="processes that look for space groups and compare crystals (default: 1)",
    )
    add_work(parser, "folder that keeps which crystals are the same", "--cache", by="metrics --cache")
    add_out_folder(parser, "folder for the four files", by="hull", required=True)
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat import parquet
    from unimat.files import write_json
    from unimat.materials.datasets.sets import EnergySettings, crystals_of, with_energies
    from unimat.materials.stability import hull
    from unimat.materials.stability import summary as stability_summary
    from unimat.materials.stability.novelty import novelty
    from unimat.materials.stability.references import reference
    from unimat.materials.stability.settings import HullSettings
    from unimat.materials.stability.verdict_flips import verdict_flips
    from unimat.outputs import whole_folder
    from unimat.settings import load_settings

    settings = load_settings(HullSettings, args.settings, "hull")
    energies = load_settings(EnergySettings, args.energies, "--energies") if args.energies else None
    named = (energies.column,) if energies else ()
    table = with_energies(crystals_of(args.relaxed, args.processes, named), args.relaxed, energies)
    hulls = hull.hulls_of([reference.read(path) for path in args.reference])
    known = {str(path): crystals_of(path, args.processes) for path in args.known}
    frames = hull.stability_tables(table, hulls, settings, args.processes)
    known_ones = novelty(list(frames.values()), table, known, settings, processes=args.processes, cache=args.cache)
    frames = {name: known_ones.added_to(frame) for name, frame in frames.items()}
    flips = verdict_flips(frames, hulls)
    summary = stability_summary.summary_of_all(frames, args.set, table, hulls, flips, settings) | {
        "novelty": known_ones.summary
    }
    with whole_folder(args.out, "hull", last="stability.json", force=args.force) as new:
        parquet.write_frame(next(iter(frames.values())), new / "stability.parquet")
        parquet.write_frame(hull.by_reference(frames), new / "stability_by_reference.parquet")
        parquet.write_frame(flips, new / "verdict_flips.parquet")
        write_json(new / "stability.json", summary)
    for each in summary["references"]:
        logging.getLogger("unimat.hull").info(
            "%s: %d stable and %d metastable of %d against %r",
            args.set, each["stable"]["count"], each["metastable"]["count"], summary["n_generated"], each["reference"],
        )  # fmt: skip
