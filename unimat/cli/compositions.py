"""Write the formulas of a table's crystals, one row for each crystal in the table's order, to generate samples for.

The CSV is what `unimat sample --compositions` reads. Samples of its rows are told apart by their number afterwards:
`unimat match --by number` finds whose sample a crystal is.
"""

import argparse
import io
import logging
from pathlib import Path

from unimat.cli._outputs import add_out_file

EXAMPLE = "unimat compositions --crystals sets/test/crystals.parquet --out-file sets/predicted/compositions.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="crystals, in any readable form")
    add_out_file(
        parser, "CSV", "columns formula and truth_id", old=("--out",), columns=("formula", "truth_id"), required=True
    )


def run(args: argparse.Namespace) -> None:
    from unimat import csv_cells
    from unimat.checked_csv import write_beside
    from unimat.errors import UserError
    from unimat.materials.crystals.compositions import cell_formulas
    from unimat.materials.datasets.sets import crystals_of

    table = crystals_of(args.crystals)
    if not len(table):
        raise UserError(f"{args.crystals} holds no crystals; there are no compositions to sample for")

    formulas = cell_formulas(table)
    text = io.StringIO(newline="")
    csv_cells.write_rows(text, ["formula", "truth_id"], zip(formulas, table.material_ids, strict=True))
    write_beside(args.out_file, text.getvalue())
    different = len(set(formulas))
    logging.getLogger("unimat.compositions").info(
        "%d formulas, %d different -> %s", len(formulas), different, args.out_file
    )
