"""Make a library of templates of known crystals, to substitute elements in.

Crystals are brought into primitive cells with their symmetry, and one of each kind stays: the same elements, space
group and site symmetries. `unimat substitute` reads a library at once, and indexes other tables itself.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_out_file

EXAMPLE = "unimat templates known.csv --out-file known_templates.parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("crystals", type=Path, metavar="SET", help="known crystals, in any readable form")
    add_out_file(parser, "PARQUET", "library to write", required=True)
    add_out_file(parser, "PARQUET", "table of the crystals that are no templates to write", "--rejected")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.errors import UserError
    from unimat.materials.datasets.sets import read_set
    from unimat.materials.search.libraries import told
    from unimat.materials.search.templates import index

    log = logging.getLogger("unimat.templates")
    processes = max(1, args.processes)
    table, unread = read_set(args.crystals, processes)
    library, rejected = index(table, processes)
    rejected = [*unread, *rejected]
    counts: dict[str, int] = {}
    for row in rejected:
        counts[row.reason] = counts.get(row.reason, 0) + 1
    n = len(table) + len(unread)
    library = library.with_metadata(made_by="templates", n_crystals=n, rejected=counts)
    if args.rejected:
        crystal_table.write_rejected(rejected, args.rejected)
    if not len(library):
        raise UserError(
            f"{args.crystals}: {told(counts, n)}; give a table with usable ones"
            if n
            else f"{args.crystals} holds no crystals; give known ones"
        )
    crystal_table.write(library, args.out_file)
    left_out = f"; {told(counts, n)}" if counts else ""
    then = f"unimat substitute --templates {args.out_file} --compositions Sr1Ti1O3 --out candidates"
    log.info("%d kinds of %d crystals -> %s%s; next: %s", len(library), n, args.out_file, left_out, then)
