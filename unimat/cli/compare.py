"""Per-composition energies of two judged sets: Equations 3 and 4 of the paper.

All pairs of crystals with the same reduced composition; mean difference in formation energy (A minus B) and the share
of pairs in which A lies lower, each with a bootstrap confidence interval over compositions. The same of the lowest
crystals of each composition, and how many compositions have a structure whose relaxation converged.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_out_file

EXAMPLE = (
    "unimat compare --a sets/generated --b sets/test --out-file compare/generated_vs_test.json "
    "--pairs compare/generated_vs_test.parquet"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    a = "folder of set A, with stability.parquet and .json"
    parser.add_argument("--a", required=True, type=Path, metavar="DIR", help=a)
    parser.add_argument("--b", required=True, type=Path, metavar="DIR", help="folder of set B")
    parser.add_argument(
        "--settings", metavar="FILE_OR_JSON", help="compare settings: JSON text, or a JSON or YAML file"
    )
    add_out_file(parser, "JSON", "the comparison's numbers", old=("--out-json",), required=True)
    add_out_file(parser, "PARQUET", "table of pairs", "--pairs", old=("--out-pairs",), required=True)


def run(args: argparse.Namespace) -> None:
    from unimat import parquet
    from unimat.files import write_json
    from unimat.materials.comparison.compare import comparison, no_common_composition, refuse_different_references
    from unimat.materials.comparison.convergence import convergence
    from unimat.materials.comparison.pairs import all_pairs
    from unimat.materials.stability.judged import FORMATION_ENERGIES, read_stability, read_summary
    from unimat.materials.stability.settings import CompareSettings
    from unimat.settings import load_settings

    settings = load_settings(CompareSettings, args.settings, "compare")
    summaries = [read_summary(folder / "stability.json") for folder in (args.a, args.b)]
    refuse_different_references(*summaries)
    frames = [read_stability(folder / "stability.parquet", FORMATION_ENERGIES) for folder in (args.a, args.b)]
    pairs = all_pairs(*frames)
    table = pairs.table(settings.max_pairs, settings.seed)
    parquet.write_frame(table, args.pairs)
    numbers = {
        "a": summaries[0]["set"],
        "b": summaries[1]["set"],
        "reference": summaries[0]["reference"],
        **comparison(pairs, settings),
        "n_pairs_in_table": len(table),
        "convergence": convergence(frames[0], frames[1], settings),
    }
    if why := no_common_composition(frames[0], frames[1], (numbers["a"], numbers["b"])):
        logging.getLogger("unimat.compare").warning(why)
    write_json(args.out_file, numbers)
    logging.getLogger("unimat.compare").info(
        "%s against %s: %d pairs of %d compositions", numbers["a"], numbers["b"], len(pairs), numbers["n_compositions"]
    )
