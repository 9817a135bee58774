"""Build the hull reference that stabilities are judged against.

Either the converged crystals of a set that was relaxed by the same engine, or the Materials Project's published hull
with the MP2020 corrections applied.
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = (
    """unimat reference --settings '{"reference": {"kind": "set", "set": "phases"}}' """
    "--relaxed sets/phases/relaxed.parquet --out hull"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", help="hull settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--relaxed", type=Path, help="relaxed crystal table, for a reference of kind `set`")
    parser.add_argument("--out", required=True, type=Path, help="folder for reference.parquet and reference.json")


def run(args: argparse.Namespace) -> None:
    from unimat.errors import UserError
    from unimat.files import write_json
    from unimat.materials import reference
    from unimat.materials.stability_settings import HullSettings
    from unimat.settings import load_settings

    chosen = load_settings(HullSettings, args.settings, "hull").reference
    if chosen.kind == "set":
        if args.relaxed is None:
            raise UserError("a reference of kind 'set' needs --relaxed, the relaxed table of that set")
        from unimat import crystal_table

        built = reference.from_relaxed(crystal_table.read(args.relaxed), chosen.set)
    else:
        from unimat.materials.materials_project import load_reference

        if chosen.path is None:
            raise UserError("hull.reference.path is missing: the Materials Project summary published with GNoME (CSV)")
        built = load_reference(reference.find_file(chosen.path))
    reference.write(built, args.out / "reference.parquet")
    about = {key: getattr(built, key) for key in ("name", "source", "licence", "energy_type")}
    elements = sorted(element.symbol for element in built.elements)
    write_json(args.out / "reference.json", {**about, "n_entries": len(built.entries), "elements": elements})
    logging.getLogger("unimat.reference").info(
        "hull reference %r: %d phases of %d elements -> %s", built.name, len(built.entries), len(elements), args.out
    )
