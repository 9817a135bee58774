"""Match rate and error of crystals predicted for given compositions.

Compares samples with the crystals that they should have been (a test split, say) by pymatgen's StructureMatcher, with
CDVAE's tolerances: match rate and RMSE of one sample and of all, with and without the gate of validity, METRe and
cRMSE, each with a bootstrap interval. Writes a summary, and a table with one row per sample of each truth.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from unimat.cli._outputs import add_out_file

EXAMPLE = (
    "unimat match --crystals sets/generated/crystals.parquet --truths dataset/test.parquet --by number --samples 20 "
    "--out-file sets/generated/prediction.json --pairs sets/generated/prediction.parquet"
)

log = logging.getLogger("unimat.match")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="the samples, in any readable form")
    truths = "what they should be, in any readable form"
    parser.add_argument("--truths", required=True, type=Path, metavar="SET", help=truths)
    parser.add_argument(
        "--by",
        choices=("composition", "column", "prefix", "number", "evaluation"),
        default="composition",
        help="how to tell whose sample a crystal is: its reduced composition (the default); a column that names the "
        "truth; ids that begin with the truth's (mp-1234-0); ids whose last number counts all samples, those of the "
        "first truth first (unimat sample); or ids that end in evaluation and row of the truth (DiffCSP's .pt)",
    )
    parser.add_argument("--column", metavar="NAME", help="with --by column: the column that holds the truth's id")
    parser.add_argument("--samples", type=int, metavar="K", help="samples of each truth (default: all that there are)")
    parser.add_argument(
        "--set", default="set", dest="name", metavar="NAME", help="name of the set (default: %(default)s)"
    )
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="settings: a JSON or YAML file, or JSON text")
    add_out_file(parser, "JSON", "summary to write", old=("--out",), required=True)
    add_out_file(parser, "PARQUET", "table to write, a row per sample and truth", "--pairs", required=True)
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="processes to compute in (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    from unimat import parquet
    from unimat.errors import UserError
    from unimat.files import write_json
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.prediction.settings import PredictionSettings
    from unimat.settings import load_settings

    settings = load_settings(PredictionSettings, args.settings, "match")
    named = (args.column,) if args.column else ()
    crystals, truths = crystals_of(args.crystals, args.processes, named), crystals_of(args.truths, args.processes)
    for path, table in ((args.crystals, crystals), (args.truths, truths)):
        if len(table) == 0:
            raise UserError(f"{path} holds no crystals; there is nothing to match")

    from unimat.materials.prediction.evaluate import evaluate
    from unimat.materials.prediction.pairing import samples_of_truths

    samples, n_without = samples_of_truths(crystals, truths, args.by, args.column, args.samples)
    if n_without:
        log.warning("%d of %d crystals are samples of no truth and are left out", n_without, len(crystals))
    prediction = evaluate(args.name, crystals, truths, samples, settings, args.processes)
    parquet.write(prediction.table, args.pairs)
    summary = {**prediction.summary, "by": args.by, "n_of_no_truth": n_without}
    write_json(args.out_file, summary)
    log.info("%s", summary_line(summary))


def summary_line(summary: dict[str, Any]) -> str:
    """One line of counts, e.g. ``set: match rate of 1 sample 41 of 48 (RMSE 0.061), METRe 44 of 48 (cRMSE 0.102)``."""
    parts = [
        f"match rate of {n} {'sample' if n == '1' else 'samples'} {_counted(found['all'], 'rmse', 'RMSE')}"
        for n, found in summary["samples"].items()
    ]
    if summary["metre"]:
        parts.append("METRe " + _counted(summary["metre"], "crmse", "cRMSE"))
    return f"{summary['set']}: {', '.join(parts)}"


def _counted(found: dict[str, Any], key: str, name: str) -> str:
    rate, error = found["match_rate"], found[key]["value"]
    return f"{rate['count']} of {rate['of']}" + ("" if error is None else f" ({name} {error:.3f})")
