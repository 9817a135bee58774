"""Build the hull reference that stabilities are judged against.

It is made of the converged crystals of a set that the same engine relaxed; of the summaries published with GNoME, its
own and the Materials Project's; of entries of the Materials Project's API; of a JSON of pymatgen's entries; of a table
of your own; or of several of these together. Writes reference.parquet (one row per phase) and reference.json (counts,
checksums, what was shifted and left out).
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

OF_RUNS = ("references/**", "by_set/**")  # where the workflow puts further references

EXAMPLE = (
    """unimat reference --settings '{"reference": {"kind": "set", "set": "phases"}}' """
    "--relaxed sets/phases/relaxed.parquet --out hull"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="hull settings: JSON text, or a JSON or YAML file")
    parser.add_argument(
        "--relaxed",
        action="append",
        default=[],
        metavar="[SET=]FILE",
        help="relaxed crystal table, for a reference of kind `set`; once for each such set of a combined reference",
    )
    processes = "processes that correct energies (default: 2)"
    parser.add_argument("--processes", type=int, default=2, metavar="N", help=processes)
    add_out_folder(
        parser, "folder for reference.parquet and reference.json", by="reference", beside=OF_RUNS, required=True
    )
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json
    from unimat.materials.stability.references import reference
    from unimat.materials.stability.references.build import build, summary
    from unimat.materials.stability.references.lost import in_words
    from unimat.materials.stability.settings import HullSettings
    from unimat.outputs import whole_folder
    from unimat.settings import load_settings

    chosen = load_settings(HullSettings, args.settings, "hull").reference
    relaxed = dict(_named(text, chosen.set) for text in args.relaxed)
    built = build(chosen, relaxed, args.processes)
    about = summary(built)
    with whole_folder(args.out, "reference", last="reference.json", force=args.force) as new:
        reference.write(built, new / "reference.parquet")
        write_json(new / "reference.json", about)
    log = logging.getLogger("unimat.reference")
    if systems := about["lost_systems"]:
        log.warning(
            "%d phases are lost, see `lost` in reference.json; they may change verdicts on %s",
            sum(systems.values()), in_words(systems),
        )  # fmt: skip
    log.info(
        "hull reference %r: %d phases of %d elements, %d shifted, %d left out -> %s",
        built.name, len(built.entries), len(about["elements"]), about["n_shifted"], about["n_dropped"], args.out,
    )  # fmt: skip


def _named(text: str, single: str) -> tuple[str, Path]:
    """Name of the set and its file; a file alone is that of the `single` set."""
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals and not Path(text).exists() else (single, Path(text))
