"""The command line: one subcommand per acting rule of the workflow, each usable by hand."""

import argparse
import errno
import importlib
import logging
import os
import signal
import sys

from unimat import __version__, signals
from unimat.cli._outputs import check_outputs
from unimat.errors import UserError

# The order of the science. Each command is a module of this package with `add_arguments(parser)` and
# `run(args)`, a docstring whose first line is its help, and an EXAMPLE. Only the module of the command that
# was called is imported, so that `unimat --help` answers at once.
COMMANDS = {
    "fetch": "download a published dataset, checked against its publisher's checksums",
    "templates": "make a library of templates of known crystals",
    "substitute": "candidates of given compositions from known crystals, their elements exchanged",
    "predict": "the crystals of a formula: from known crystals and a trained model, relaxed and ranked",
    "airss": "random symmetric structures of given compositions",
    "ingest": "read crystals of any format into checked crystal tables, split, with a data card",
    "convert": "turn a crystal table into CIF, POSCAR or extxyz files, or such files into a table",
    "select": "choose rows of a crystal table: a seeded draw, or the lowest energies per composition",
    "compositions": "formulas of the crystals of a table, to generate samples for",
    "encode": "lay crystals over the periodic table as compact arrays",
    "doctor": "say what would go wrong if a training started here, or jobs were submitted",
    "train": "train the diffusion model",
    "pack": "pack a run for another machine: code, encoded crystals, settings, checkpoints",
    "absorb": "bring back what a packed run made on another machine",
    "sample": "generate crystals with a trained model",
    "pretrained": "trained models that ship: a list, and the card of each",
    "publish": "make a file to share of a trained model, and its card",
    "metrics": "validity, coverage, distributions, uniqueness and novelty of a set",
    "match": "match rate and error of crystals predicted for given compositions",
    "relax": "relax a set with an engine (CHGNet, VASP), in shards, resumable",
    "flows": "the relaxations of a set as jobflow flows, for jobflow-remote",
    "collect": "a relaxed set from the documents that flows left in a job store",
    "gather": "join the tables of shards into one",
    "reference": "build the hull reference that stabilities are judged against",
    "hull": "formation energy, decomposition energy and energy above the hull of a relaxed set",
    "md": "molecular dynamics of a set's best crystals: energy drift, mean-square displacement, structure kept or not",
    "compare": "per-composition energies of two sets (Equations 3 and 4 of the paper)",
    "estimate": "core-hours that an engine would take for a set, before anything is submitted",
    "screen": "the best crystals of a judged set, within a budget of core-hours, for a dearer engine",
    "agreement": "how often the verdicts of one engine held under another",
    "report": "one self-contained HTML page of a run",
    "reproduction": "the numbers of a run for the reproduction page, and pictures",
}


# What the disk may refuse; the remedy is the user's.
STORAGE = {
    errno.ENOSPC: "no space left on the disk: make room, or write elsewhere, and run the command again",
    errno.EDQUOT: "the disk quota is used up: make room, or write elsewhere, and run the command again",
    errno.EFBIG: "the file would be larger than the limit of this system (ulimit -f): raise it, or write elsewhere",
    errno.EIO: "the disk cannot be read or written: look into the system's log, and copy what must not be lost",
    errno.EROFS: "the disk is read-only: write elsewhere",
    errno.EACCES: "permission denied: check who owns the folder, or write elsewhere",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 on bad input, 75 for a training that can go on.

    As a program, without `argv`, a signal that ends it does so within seconds, with 128 + the signal's number, and its
    child processes end with it (`unimat.signals`). Called from Python, signals are left as they are.
    """
    if argv is not None:
        return _run(argv)
    name = f"unimat {next((word for word in sys.argv[1:] if not word.startswith('-')), '')}".strip()
    try:
        with signals.ending_on_signals():
            return _run(sys.argv[1:])
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        signals.leave(signal.SIGINT)
    except signals.Terminated as ended:
        print(f"{name}: ended by {ended}", file=sys.stderr)
        signals.leave(ended.number)


def _run(argv: list[str]) -> int:
    try:
        args = _parse(argv)
    except UserError as error:
        print(f"unimat: error: {error}", file=sys.stderr)
        return 2
    level = logging.DEBUG if args.debug else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("unimat").setLevel(level)
    try:
        check_outputs(parser_of(args.command), args)
        module = importlib.import_module(f"unimat.cli.{args.command}")
        if hasattr(module, "check"):
            module.check(args)
        module.run(args)
        for warning in getattr(args, "renamed", ()):
            print(warning, file=sys.stderr)
    except UserError as error:
        if args.debug:
            raise
        print(f"unimat {args.command}: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if args.debug or (error.name or "").startswith("unimat"):
            raise
        print(f"unimat {args.command}: error: {_missing_package(error.name or '')}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output (head, say) has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if args.debug or error.errno not in STORAGE:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"unimat {args.command}: error: {STORAGE[error.errno]}{where}; nothing was half-written", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    return _parsers(next((word for word in argv if not word.startswith("-")), None))[0].parse_args(argv)


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command's flags."""
    return _parsers(command)[1]


def _parsers(called: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of all, and that of the command that is called, with its flags."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="log more, and show tracebacks")
    parser = argparse.ArgumentParser(
        prog="unimat", description="Generate crystals with UniMat diffusion and judge their stability."
    )
    parser.add_argument("--version", action="version", version=f"unimat {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = parser
    for name, summary in COMMANDS.items():
        if name != called:
            subparsers.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f"unimat.cli.{name}")
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,  # --out would be short for --out-file in one command and a flag of its own in another
        )
        module.add_arguments(subparser)
        chosen = subparser
    return parser, chosen


def _missing_package(name: str) -> str:
    extra = {"chgnet": "chgnet", "torch": "chgnet", "snakemake": "workflow"}.get(name.split(".")[0], "materials")
    return f"the package {name!r} is not installed; pip install 'unimat[{extra}]'"
