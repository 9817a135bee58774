"""Turn crystals of any readable form into a crystal table, or a crystal table into files for other programs.

Crystals that cannot be used, or that the form cannot hold, are counted, and listed with reasons in --rejected (default:
beside a crystal table that is written, rejected.parquet for crystals.parquet and NAME_rejected.parquet for another
NAME). The structures are kept as they are: no reduction, and no check beyond what makes a crystal.
"""

import argparse
import logging
from collections import Counter
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_file, refuse_inputs
from unimat.errors import UserError
from unimat.files import file_to_write, kept_name
from unimat.outputs import folder_to_write, refuse_foreign
from unimat.own_files import is_own
from unimat.owned import columns_of

EXAMPLE = "unimat convert my_cifs/ sets/mine/crystals.parquet"
FORMS = ("parquet", "cif", "poscar", "extxyz", "csv", "cdvae", "mattergen", "lemat", "optimade")
NAMED = 10  # unusable crystals that the log names where no table lists them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="file or folder of crystals, of any readable form")
    parser.add_argument(
        "out", metavar="OUT", help=".parquet, .extxyz, .csv, .pt, .json or .zip file, or folder of CIF files"
    )
    parser.add_argument("--to", choices=FORMS, help="form, if not by OUT's name")
    settings = "names of columns: JSON text, or a JSON or YAML file"
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    add_out_file(parser, "PARQUET", "rejected table to write", "--rejected")
    add_force(parser)


def check(args: argparse.Namespace) -> None:
    """Raise UserError if OUT, a file or a folder by its form, would replace what this command did not write."""
    from unimat.materials.datasets.exports.writers import form_of, makes_folder

    form = args.to or form_of(args.out)
    if not makes_folder(args.out, form):
        refuse_inputs(file_to_write(args.out), "OUT", [args.source])
        _refuse_file(args, form)
        _refuse_list(args, listed_in(args, form))
        return
    out, source = folder_to_write(args.out).resolve(), args.source.resolve()
    if out == source or source.is_relative_to(out) or (source.is_dir() and out.is_relative_to(source)):
        raise UserError(
            f"OUT {args.out} and IN {args.source} are one, or lie in each other; give OUT a place elsewhere"
        )
    if not args.force:
        refuse_foreign(args.out, "convert", (), flag="OUT")


def _refuse_file(args: argparse.Namespace, form: str) -> None:
    """Raise UserError if a file is there of which nothing says that this command wrote it, without --force."""
    out = Path(args.out)
    is_known = form == "parquet" and out.exists() and is_own(out, "PARQUET")
    if out.exists() and out.stat().st_size and not is_known and not args.force:
        raise UserError(
            f"{out} is there, and may be somebody's; name another file, or say --force to write it anew, which keeps"
            f" what is there as {kept_name(out).name}"
        )


def _refuse_list(args: argparse.Namespace, path: Path | None) -> None:
    """Raise UserError if the list of what is left out would replace what is no such list, and nobody named it."""
    if path is None:
        return
    if path.resolve() == Path(args.out).resolve():
        raise UserError(f"OUT and --rejected name the same file, {path}; give two names")
    if file_to_write(path).exists() and not args.rejected and "reason" not in columns_of(path) and not args.force:
        raise UserError(f"{path} is there and lists no crystals that were left out; name another file by --rejected")


def listed_in(args: argparse.Namespace, form: str) -> Path | None:
    """Table of the crystals that are left out: that of --rejected, or beside a crystal table.

    Beside crystals.parquet it is rejected.parquet, as in every set; beside t.parquet t_rejected.parquet.
    """
    out = Path(args.out)
    name = "rejected.parquet" if out.name == "crystals.parquet" else f"{out.stem}_rejected.parquet"
    return args.rejected or (out.with_name(name) if form == "parquet" else None)


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.datasets.exports.writers import form_of, write_as
    from unimat.materials.datasets.ingest import read_crystals
    from unimat.materials.datasets.settings import ConvertSettings
    from unimat.settings import load_settings

    logger = logging.getLogger("unimat.convert")
    form = args.to or form_of(args.out)
    settings = load_settings(ConvertSettings, args.settings, "convert")
    table, rejected = read_crystals(args.source, settings, max(1, args.processes))
    n = len(table) + len(rejected)
    if form == "parquet":
        table = table.with_metadata(n_requested=n, made_by="convert")  # the denominator of every rate of this set
    rejected += write_as(table, args.out, form, args.force)
    if listed := listed_in(args, form):
        crystal_table.write_rejected(rejected, listed)
    for row in [] if listed else rejected[:NAMED]:
        logger.warning("%s is left out: %s, %s", row.material_id, row.reason, row.detail)
    if not listed and len(rejected) > NAMED:
        logger.warning("and %d more; --rejected lists them", len(rejected) - NAMED)
    if listed and rejected:
        reasons = Counter(row.reason for row in rejected)
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        logger.warning("%d of %d are left out (%s); %s lists them", len(rejected), n, told, listed)
    logger.info("%d of %d crystals -> %s (%s)", n - len(rejected), n, args.out, form)
