"""Write the pages that say what the code and the results say: configuration, commands, benchmarks, models and so on.

python docs/generate.py [PAGE ...] [--out FOLDER]
"""

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from configuration_page import configuration
from faults_page import faults
from models_page import cards, models
from reproduction_page import reproduction

from unimat import cli
from unimat.cli._outputs import OutFile, OutFolder

ROOT = Path(__file__).parents[1]
GENERATED = "<!-- Written by docs/generate.py from {}: change that instead. -->\n\n"
COMMANDS_INTRODUCTION = textwrap.dedent(
    """\
    # Commands

    Every rule of the workflow calls one command, and every command works without Snakemake. `--settings` takes a
    JSON or YAML file, or JSON text; its keys are those of the command's section on the page
    [Configuration](configuration.md), less those that only the workflow reads (`sets`, `shards`, `pairs`,
    `reference_split`).

    ## What a command writes

    `--out` is a folder, `--out-file` a file, in every command that has them; further files have flags named after their
    content. `convert` has neither: the name of OUT, or `--to`, says which of both it is.

    | command | folder | file | further files | kept between calls |
    |---|---|---|---|---|
    {outputs}

    A file is never written where a folder is, nor where a link to one is; a link to a file is followed, and stays. A
    folder is written if it is missing, is empty, or holds nothing but what a command wrote there. A command knows its
    files by their names and by what they say of themselves (columns, keys, first bytes). `convert`, `report --figures`
    and `pack` take their files' names from their input and leave a hidden list, `.unimat-COMMAND.json`. All else is
    refused before any work, in one line that names it. `--force` writes beside it. What lies there stays; a file of a
    name that the command writes stays as `NAME.kept`. Folders kept between calls may hold anything else, which stays.

    A file is replaced only if `unimat` wrote it, or if it is empty. A command knows its files by what they say of
    themselves: a checksum, the columns of a CSV. Other programs' forms say nothing of that kind. `convert` therefore
    needs `--force` to write such a file anew, and keeps what is there as `NAME.kept`.

    Nothing appears by halves: files are made in a hidden folder beside, and those of one command move to their places
    together, when all are whole. What was there before stays until then, whatever happens: a kill, a full disk.

    A finished set or model of other settings is refused, too: `unimat sample` and `unimat train` name what differs. A
    finished set of the same settings is left as it is.

    `--out` for a file, `compare --out-json` and `compare --out-pairs` still work in this version, with a warning.

    ## Exit codes

    0; 2 for bad input, told in one line (`--debug` shows the traceback); 75 for a training that was
    asked to stop and can go on; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. A signal ends a command within
    seconds, and the processes that it started with it. Where there is no terminal, a long command writes a line of
    progress into the log after 10, 30 and 60 seconds, and then every minute.

    """
)
BENCHMARKS_INTRODUCTION = textwrap.dedent(
    """\
    # Benchmarks

    `make bench` runs the scripts of `tests/benchmarks/` and writes this page. The baseline is the alternative that
    a script compares with, measured in the same run. Times are wall times; where the load exceeds the number of
    cores, something else was running too, and they are upper bounds.
    """
)


def commands() -> str:
    """The help of every command."""
    rows = [f"| {' | '.join(row)} |" for row in map(outputs_of, cli.COMMANDS) if any(row[1:])]
    parts = [COMMANDS_INTRODUCTION.replace("{outputs}", "\n".join(rows))]
    parts += [f"- [{name}](#{name}): {summary}\n" for name, summary in cli.COMMANDS.items()]
    for name in cli.COMMANDS:
        parts.append(f"\n## {name}\n\n```text\n{help_of(name)}\n```\n")
    return "".join(parts)


def outputs_of(name: str) -> tuple[str, ...]:
    """A row of the table of what commands write."""
    parser = cli.parser_of(name)
    files, folders, kept = [], [], []
    for action in parser._actions:
        flag = f"`{action.option_strings[0]} {action.metavar}`" if action.option_strings else ""
        if isinstance(action, OutFile):
            files.append(flag)
        elif isinstance(action, OutFolder):
            (folders if action.strict else kept).append(flag)
    main = [flag for flag in files if flag.startswith("`--out-file")]
    further = [flag for flag in files if flag not in main]
    columns = (folders, main, further, kept)
    if name == "convert":
        columns = (["`OUT`"], ["`OUT`"], further, kept)
    return (f"`{name}`", *(", ".join(column) for column in columns))


def help_of(name: str) -> str:
    """What `unimat NAME --help` prints at a width of 100."""
    text = io.StringIO()
    exits = contextlib.suppress(SystemExit)
    with mock.patch.dict(os.environ, COLUMNS="100"), contextlib.redirect_stdout(text), exits:
        cli.main([name, "--help"])
    return text.getvalue().strip()


def benchmarks() -> str:
    """The results in docs/benchmarks/*.json, each with what its script says it measures."""
    parts = [BENCHMARKS_INTRODUCTION]
    for path in sorted(ROOT.glob("docs/benchmarks/*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        source = (ROOT / f"tests/benchmarks/{result['benchmark']}.py").read_text(encoding="utf-8")
        parts.append(f"\n## {path.stem}\n\n{ast.get_docstring(ast.parse(source))}\n\n")
        parts += ["| figure | value | unit | target | met | baseline |\n", "|---|---:|---|---:|---|---:|\n"]
        for figure in result["figures"]:
            cells = [cell(figure[key]) for key in ("name", "value", "unit", "target", "met", "baseline")]
            parts.append(f"| {' | '.join(cells)} |\n")
        parts.append(f"\n{machine_in_words(result['machine'])}\n")
    return "".join(parts if len(parts) > 1 else [*parts, "\nNothing has been measured yet.\n"])


def cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def machine_in_words(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items())
    return (
        f"Measured on {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, load {machine['load']} "
        f"at the end, {machine['system']}, Python {machine['python']}, {packages}."
    )


# What a page is made from, and how.
PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "configuration": ("workflow/schemas and the settings classes of unimat", configuration),
    "commands": ("the commands in unimat/cli", commands),
    "benchmarks": ("the results in docs/benchmarks, which `make bench` writes", benchmarks),
    "faults": ("docs/faults_page.py and the results in docs/benchmarks", faults),
    "reproduction": ("the results in docs/reproduction, which `snakemake reproduction` writes", reproduction),
    "models": ("the cards in unimat/pretrained, which `unimat publish` writes", models),
    **{f"models/{name}": (f"unimat/pretrained/{name}.json", page) for name, page in cards().items()},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the generated pages.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)} (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder to write into (default: docs)")
    args = parser.parse_args()
    if unknown := sorted(set(args.pages) - set(PAGES)):
        sys.exit(f"no page {unknown[0]!r}; there are {', '.join(PAGES)}")
    for name in args.pages or PAGES:
        source, page = PAGES[name]
        path = args.out / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GENERATED.format(source) + page(), encoding="utf-8")


if __name__ == "__main__":
    main()
