"""One self-contained HTML page of a run, opened from disk without a network.

Gathers what lies under the run's folder; a stage that has not run is named as missing on the page. Prints the headline
numbers with their denominators.
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = "unimat report --run-dir results/demo --out results/demo/report.html --headline results/demo/headline.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-dir", required=True, type=Path, help="folder of the run, e.g. results/demo")
    parser.add_argument("--settings", help="report settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--config", type=Path, help="YAML or JSON file of the run's configuration, to show on the page")
    parser.add_argument("--benchmarks", type=Path, help="Snakemake's folder of benchmarks, for times of the stages")
    parser.add_argument("--out", required=True, type=Path, help="HTML page to write")
    parser.add_argument("--headline", type=Path, help="JSON file for the headline numbers")
    parser.add_argument("--figures", type=Path, help="folder for the figures as SVG files of their own")


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json, write_text, written_whole
    from unimat.report.headline import as_json, summary
    from unimat.report.page import make_report
    from unimat.report.run_files import read_config, read_run
    from unimat.report.settings import ReportSettings
    from unimat.report.svg import figure_file
    from unimat.settings import load_settings

    settings = load_settings(ReportSettings, args.settings, "report")
    files = read_run(args.run_dir)
    config = read_config(args.config) if args.config else None
    report = make_report(files, settings, args.out, config, args.benchmarks)
    if args.figures:
        with written_whole(args.figures) as folder:
            folder.mkdir()
            for name, figure in report.figures.items():
                (folder / f"{name}.svg").write_text(figure_file(figure), encoding="utf-8")
    if args.headline:
        write_json(args.headline, as_json(report.headlines))
    write_text(args.out, report.html)
    print(summary(files, report.headlines))
    known = sum(each.value is not None for each in report.headlines)
    log = logging.getLogger("unimat.report")
    log.info("%d of %d headline numbers, %d figures -> %s", known, len(report.headlines), len(report.figures), args.out)
