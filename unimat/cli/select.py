"""Choose rows of a crystal table: a seeded draw, or the lowest of each composition, or the one after the other.

Writes crystals.parquet and an empty rejected.parquet into --out: a set. Rows keep their ids.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat select --crystals dataset/test.parquet --take 200 --seed 0 --out sets/test"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="set to choose from, in any form")
    add_out_folder(parser, "folder for crystals.parquet and rejected.parquet", by="select", required=True)
    add_force(parser)
    parser.add_argument("--take", type=int, metavar="N", help="draw N rows without replacement (all if fewer)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (default: 0)")
    parser.add_argument("--lowest-per-composition", type=int, metavar="K", help="keep the K lowest of each formula")
    parser.add_argument("--rank-by", metavar="COLUMN", help="what is to be low, e.g. energy_per_atom")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.errors import UserError
    from unimat.materials.datasets.sets import read_set
    from unimat.materials.screening.select import lowest_per_composition, take_rows
    from unimat.outputs import whole_folder

    for flag, value in (("--take", args.take), ("--lowest-per-composition", args.lowest_per_composition)):
        if value is not None and value < 1:
            raise UserError(f"{flag} {value}: give a number of at least 1")
    if (args.lowest_per_composition is None) != (args.rank_by is None):
        raise UserError("--lowest-per-composition and --rank-by go together; give both or neither")
    log = logging.getLogger("unimat.select")
    table, rejected = read_set(args.crystals, properties=(args.rank_by,) if args.rank_by else ())
    chosen = table
    if args.lowest_per_composition is not None:
        chosen = lowest_per_composition(chosen, args.lowest_per_composition, args.rank_by)
    if args.take is not None:
        if args.take > len(chosen):
            log.warning("--take %d: there are only %d rows, all are taken", args.take, len(chosen))
        chosen = take_rows(chosen, args.take, args.seed)
    # What was chosen is the whole of this set, whatever its source was made from.
    with whole_folder(args.out, "select", force=args.force) as new:
        crystal_table.write(chosen.with_metadata(n_requested=len(chosen), made_by="select"), new / "crystals.parquet")
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
    log.info("%d of %d crystals -> %s", len(chosen), len(table), args.out)
