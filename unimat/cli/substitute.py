"""Candidates for given compositions from known crystals, their elements exchanged, as a set to relax or to compare.

The likeliest first: by how readily the elements take each other's places in known crystals. Writes crystals.parquet,
and into rejected.parquet the candidates that there are none of, with the reason, into --out. Every composition takes
--count numbers, so that `unimat match --by number --samples COUNT` knows whose candidate a crystal is.
"""

import argparse
import collections
import logging
from pathlib import Path
from typing import Any

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat substitute --templates known.parquet --compositions Sr1Ti1O3 Li4Fe4P4O16 --count 20 --out candidates"

SHOWN = 5  # compositions that cannot be read, of which the log tells


def add_arguments(parser: argparse.ArgumentParser) -> None:
    templates = "known crystals: a library of `unimat templates`, a table in any readable form, which is indexed "
    templates += "once, or the word aflow for the AFLOW prototypes; of several, one of each kind"
    parser.add_argument("--templates", nargs="+", metavar="SET", type=Path, help=templates)
    parser.add_argument(
        "--compositions",
        nargs="+",
        metavar="FORMULA_OR_FILE",
        type=str,
        help="formulas of whole cells; a CSV with the column formula and, if wanted, count and truth_id (`unimat "
        "compositions` writes one); a text with a formula in each line; or crystals in any readable form",
    )
    parser.add_argument("--count", type=int, metavar="N", help="candidates of each composition (default: 20)")
    parser.add_argument(
        "--any-units",
        action="store_true",
        default=None,
        help="take cells of any number of formula units alike; else those of the formula come first",
    )
    parser.add_argument(
        "--without-own",
        action="store_true",
        default=None,
        help="leave out the template whose id is the composition's truth_id: for templates that hold the truths",
    )
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="substitution section of the configuration")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    add_out_folder(parser, "folder for crystals.parquet and rejected.parquet", by="substitute", required=True)
    add_force(parser)


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Keys of the section that flags stand for."""
    given = {key: getattr(args, key) for key in ("compositions", "count", "any_units", "without_own")}
    given["templates"] = [str(path) for path in args.templates] if args.templates else None
    return {key: value for key, value in given.items() if value is not None}


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.search.compositions import asked_for
    from unimat.materials.search.libraries import read
    from unimat.materials.search.predictions import predict
    from unimat.materials.search.substitution import Substitution
    from unimat.materials.substitution_settings import SubstitutionSettings
    from unimat.outputs import whole_folder
    from unimat.settings import given, load_settings

    log = logging.getLogger("unimat.substitute")
    values = {**given(args.settings, "substitution"), **overrides(args)}
    settings = load_settings(SubstitutionSettings, values, "substitution")
    asked = asked_for(_words(settings.compositions))
    unreadable = [each.detail for each in asked if each.reason]
    for detail in unreadable[:SHOWN]:
        log.warning("no candidates: %s", detail)
    if len(unreadable) > SHOWN:
        log.warning("and %d more; rejected.parquet lists them", len(unreadable) - SHOWN)
    substitution = Substitution(read(_words(settings.templates), max(1, args.processes)))
    table, rejected = predict(substitution, asked, settings)
    with whole_folder(args.out, "substitute", force=args.force) as new:
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
        crystal_table.write(table.with_metadata(made_by="substitute"), new / "crystals.parquet")
    n_known = sum(name is not None for name in table.column("known")) if len(table) else 0
    log.info(
        "%d of %d candidates of %d compositions from %d templates, %d of them known crystals -> %s",
        len(table), len(table) + len(rejected), len(asked), len(substitution.templates), n_known, args.out,
    )  # fmt: skip
    for reason, count in collections.Counter(row.reason for row in rejected).most_common():
        log.warning("%d candidates are missing: %s", count, reason)


def _words(value: tuple[str, ...] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
