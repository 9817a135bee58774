"""One self-contained HTML page of a run, opened from disk without a network.

Gathers what lies under the run's folder; a stage that has not run is named as missing on the page. Prints the headline
numbers with their denominators.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_file, add_out_folder

EXAMPLE = (
    "unimat report --run-dir results/demo --out-file results/demo/report.html --headline results/demo/headline.json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_dir, settings = "folder of the run, e.g. results/demo", "report settings: JSON text, or a JSON or YAML file"
    parser.add_argument("--run-dir", required=True, type=Path, metavar="DIR", help=run_dir)
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    config = "YAML or JSON file of the run's configuration, to show on the page"
    parser.add_argument("--config", type=Path, metavar="FILE", help=config)
    benchmarks = "Snakemake's folder of benchmarks, for times of the stages"
    parser.add_argument("--benchmarks", type=Path, metavar="DIR", help=benchmarks)
    add_out_file(parser, "HTML", "page to write", old=("--out",), required=True)
    add_out_file(parser, "JSON", "headline numbers to write", "--headline", columns=("name", "value", "unit", "note"))
    add_out_folder(parser, "folder for the figures as SVG files of their own", "--figures", by="report", names=())
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json, write_text
    from unimat.outputs import whole_folder
    from unimat.report.headline import as_json, summary
    from unimat.report.page import make_report
    from unimat.report.run_files import read_config, read_run
    from unimat.report.settings import ReportSettings
    from unimat.report.svg import figure_file
    from unimat.settings import load_settings

    settings = load_settings(ReportSettings, args.settings, "report")
    files = read_run(args.run_dir)
    config = read_config(args.config) if args.config else None
    report = make_report(files, settings, args.out_file, config, args.benchmarks)
    if args.figures:
        with whole_folder(args.figures, "report", complete=True, force=args.force) as folder:
            for name, figure in report.figures.items():
                (folder / f"{name}.svg").write_text(figure_file(figure), encoding="utf-8")
    if args.headline:
        write_json(args.headline, as_json(report.headlines))
    write_text(args.out_file, report.html)
    print(summary(files, report.headlines))
    known = sum(each.value is not None for each in report.headlines)
    log = logging.getLogger("unimat.report")
    log.info(
        "%d of %d headline numbers, %d figures -> %s", known, len(report.headlines), len(report.figures), args.out_file
    )
