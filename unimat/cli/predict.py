"""Predict the crystals of a formula: exchange elements in known crystals, sample a trained model, relax and rank.

Writes crystals.parquet (a set like any other, best first), rejected.parquet (copies and what is no crystal, with the
reason), a CIF file of each crystal in cifs/, and predicted.html, a page to look at, into --out; after relaxation,
initial.parquet holds the crystals before it. Needs no network: AFLOW's prototypes and the model mp_20 are at hand.
"""

import argparse
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat predict KMgF3 --count 10 --out predicted"
SOURCES = ("substitution", "model", "random")
COMPOSITIONS = 10  # of a chemical system


def add_arguments(parser: argparse.ArgumentParser) -> None:
    asked = parser.add_argument_group("what to predict")
    asked.add_argument(
        "formulas",
        nargs="*",
        metavar="FORMULA",
        help="such as LiFePO4; Li4Fe4P4O16 asks for cells of four formula units",
    )
    asked.add_argument("--count", type=int, metavar="N", help="candidates of each formula (default: 10)")
    asked.add_argument(
        "--chemical-system", metavar="SYMBOLS", help="elements to draw new compositions of, e.g. Li-Fe-P-O"
    )
    asked.add_argument(
        "--compositions", type=int, metavar="N", help="number of compositions of --chemical-system (default: 10)"
    )
    made = parser.add_argument_group("where candidates come from")
    made.add_argument(
        "--from",
        dest="sources",
        type=_sources,
        metavar="SOURCES",
        help=f"of {', '.join(SOURCES)}, joined by commas (default: substitution,model)",
    )
    made.add_argument(
        "--templates",
        action="append",
        metavar="NAME",
        help="known crystals: aflow (default), a published dataset, or a table in any readable form; again for more",
    )
    made.add_argument("--pretrained", metavar="NAME", help="model that ships (default: mp_20)")
    made.add_argument("--seed", type=int, metavar="N", help="of samples and random structures (default: 0)")
    judged = parser.add_argument_group("how they are relaxed and judged")
    judged.add_argument("--engine", metavar="NAME", help="force field, or none (default: chgnet where it is installed)")
    judged.add_argument("--fmax", type=float, metavar="N", help="largest force of a relaxed crystal, eV/Å")
    judged.add_argument("--max-steps", type=int, metavar="N", help="of one relaxation")
    judged.add_argument(
        "--reference", metavar="FILE_OR_JSON", help="hull reference: a table of `unimat reference`, or hull settings"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="that index templates (default: 1)")
    add_out_folder(parser, "folder to write (default: %(default)s)", by="predict", default=Path("predicted"))
    add_force(parser)


def _sources(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names or set(names) - set(SOURCES):
        raise argparse.ArgumentTypeError(f"{text!r} is not of {', '.join(SOURCES)}, joined by commas")
    return tuple(dict.fromkeys(names))


def run(args: argparse.Namespace) -> None:
    # Read when numpy and torch are loaded; without it their threads spin on each other's cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from unimat.errors import UserError
    from unimat.materials.search import asked, systems
    from unimat.materials.search.named_libraries import library_named
    from unimat.materials.search.predict import PredictSettings, predict
    from unimat.materials.search.prediction_files import write
    from unimat.settings import load_settings

    settings = load_settings(PredictSettings, overrides(args), "predict")
    if bool(args.formulas) == bool(args.chemical_system):
        raise UserError("give formulas, such as LiFePO4, or --chemical-system, such as Li-Fe-P-O")
    if args.compositions is not None and args.formulas:
        raise UserError("--compositions is how many to draw of a --chemical-system; with formulas, take it out")
    if args.compositions is not None and args.compositions < 1:
        raise UserError(f"--compositions is a number from 1, found {args.compositions}")
    if args.formulas:  # before anything is read
        asked.asked(args.formulas)
    else:
        systems.elements_of(args.chemical_system)
    reference = _reference(args.reference) if args.reference else None
    library = library_named(args.templates or ["aflow"], max(1, args.processes))
    formulas = args.formulas
    if args.chemical_system:
        formulas = systems.compositions_of(
            args.chemical_system, library, args.compositions or COMPOSITIONS, settings.seed
        )
    prediction = predict(formulas, library, settings, reference)
    if args.chemical_system and reference is None:
        logging.getLogger("unimat.predict").warning("compositions are compared by E_d, which needs --reference")
    for note in prediction.notes:
        logging.getLogger("unimat.predict").warning("%s", note)
    write(prediction, args.out, reference.name if reference else None, _command(), args.force)
    _tell(prediction, args.out)


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Settings that flags stand for."""
    names = ("count", "sources", "pretrained", "engine", "fmax", "max_steps", "seed")
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def _reference(given: str) -> Any:
    from unimat.materials.stability.references import reference
    from unimat.materials.stability.references.build import build
    from unimat.materials.stability.settings import HullSettings
    from unimat.settings import load_settings

    path = Path(given)
    if path.is_dir() or path.suffix == ".parquet":
        return reference.read(path / "reference.parquet" if path.is_dir() else path)
    return build(load_settings(HullSettings, given, "reference").reference, {})


def _command() -> str:
    return f"unimat {' '.join(map(shlex.quote, sys.argv[1:]))}"


def _tell(prediction: Any, out: Path) -> None:
    """The table, where things lie, and what to do next."""
    from unimat.materials.search.prediction_text import text

    print(text(prediction))
    page, crystals = out / "predicted.html", out / "crystals.parquet"
    relaxed = "converged" in prediction.crystals.property_names
    then = _next(crystals, relaxed)
    print(f"look at {page}; CIF files: {out / 'cifs'}; table: {crystals}; next: {then}")


def _next(crystals: Path, relaxed: bool) -> str:
    if not relaxed:
        return f"unimat relax --crystals {crystals} --work work --out-file relaxed.parquet"
    return f"unimat hull --relaxed {crystals} --reference reference.parquet --out judged"
