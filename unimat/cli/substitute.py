"""Crystals from known ones, their elements exchanged: candidates for given compositions, or crystals of new ones.

With --compositions, the likeliest candidates come first: by how readily the elements take each other's places in known
crystals. Every composition takes --count numbers, so that `unimat match --by number --samples COUNT` knows whose
candidate a crystal is. Without, --count crystals of new compositions are drawn, likely exchanges more often. Writes
crystals.parquet, and into rejected.parquet the crystals that there are none of, with the reason, into --out.
"""

import argparse
import collections
import logging
from typing import TYPE_CHECKING, Any

from unimat.cli._outputs import add_force, add_out_folder

if TYPE_CHECKING:
    from unimat.crystal_table import CrystalTable, Rejected
    from unimat.materials.search.settings import SubstitutionSettings

    Made = tuple[CrystalTable, list[Rejected], str]

EXAMPLE = "unimat substitute --templates known.parquet --compositions Sr1Ti1O3 Li4Fe4P4O16 --count 20 --out candidates"

SHOWN = 5  # compositions that cannot be read, of which the log tells


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--templates",
        nargs="+",
        metavar="NAME",
        help="known crystals: aflow for the AFLOW prototypes; a published dataset, which is fetched once; a library of "
        "`unimat templates`; or a table in any readable form, which is indexed once. Of several, one of each kind",
    )
    parser.add_argument(
        "--compositions",
        nargs="+",
        metavar="FORMULA_OR_FILE",
        type=str,
        help="formulas of whole cells; a CSV with the column formula and, if wanted, count and truth_id (`unimat "
        "compositions` writes one); a text with a formula in each line; or crystals in any readable form",
    )
    parser.add_argument(
        "--count",
        type=int,
        metavar="N",
        help="candidates of each composition (default: 20); without --compositions, crystals of new compositions",
    )
    parser.add_argument(
        "--known",
        nargs="+",
        metavar="NAME",
        type=str,
        help="crystals whose compositions are not new, named as templates are",
    )
    parser.add_argument(
        "--chemical-system", metavar="SYMBOLS", help="elements of new compositions, all and no others, e.g. Li-Fe-P-O"
    )
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


def overrides(args: argparse.Namespace, section: dict[str, Any]) -> dict[str, Any]:
    """Keys of the section that flags stand for."""
    keys = ("compositions", "count", "any_units", "without_own", "known", "chemical_system")
    given = {key: getattr(args, key) for key in keys}
    given["templates"] = args.templates
    if not (args.compositions or section.get("compositions")):
        given["n"] = given.pop("count")
    return {key: value for key, value in given.items() if value is not None}


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.search.settings import SubstitutionSettings
    from unimat.outputs import whole_folder
    from unimat.settings import given, load_settings

    log = logging.getLogger("unimat.substitute")
    section = given(args.settings, "substitution")
    settings = load_settings(SubstitutionSettings, {**section, **overrides(args, section)}, "substitution")
    make = _candidates if settings.n is None else _new_compositions
    table, rejected, what = make(settings, max(1, args.processes), log)
    with whole_folder(args.out, "substitute", force=args.force) as new:
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
        crystal_table.write(table.with_metadata(made_by="substitute"), new / "crystals.parquet")
    log.info("%d of %d %s -> %s", len(table), len(table) + len(rejected), what, args.out)
    for reason, count in collections.Counter(row.reason for row in rejected).most_common():
        log.warning("%d crystals are missing: %s", count, reason)


def _candidates(settings: "SubstitutionSettings", processes: int, log: logging.Logger) -> "Made":
    from unimat.materials.search.candidates import predict
    from unimat.materials.search.compositions import asked_for
    from unimat.materials.search.named_libraries import library_named
    from unimat.materials.search.substitution import Substitution

    asked = asked_for(_words(settings.compositions))
    unreadable = [each.detail for each in asked if each.reason]
    for detail in unreadable[:SHOWN]:
        log.warning("no candidates: %s", detail)
    if len(unreadable) > SHOWN:
        log.warning("and %d more; rejected.parquet lists them", len(unreadable) - SHOWN)
    templates = library_named(_words(settings.templates), processes)
    table, rejected = predict(Substitution(templates), asked, settings)
    n_known = sum(name is not None for name in table.column("known")) if len(table) else 0
    of = f"candidates of {len(asked)} compositions from {len(templates)} templates, {n_known} of them known crystals"
    return table, rejected, of


def _new_compositions(settings: "SubstitutionSettings", processes: int, log: logging.Logger) -> "Made":
    from unimat.materials.search.discovery import Discovery
    from unimat.materials.search.named_libraries import crystals_named, library_named

    templates = library_named(_words(settings.templates), processes)
    known = crystals_named(_words(settings.known), processes)
    table, rejected = Discovery(templates, settings, known).crystals()
    return table, rejected, f"crystals of new compositions from {len(templates)} templates"


def _words(value: tuple[str, ...] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
