"""Write the relaxation of each crystal as a jobflow flow, for jobflow-remote or another of jobflow's managers.

One JSON file for each crystal, of atomate2's makers alone, so that a worker needs atomate2 and the engine, not this
package. A file that is there already is left as it is. `unimat collect` reads the results from the job store.
"""

import argparse
import json
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder, add_work

EXAMPLE = "unimat flows --crystals sets/mine/crystals.parquet --settings relax.yaml --out flows/mine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="the set, in any readable form")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="relax settings: JSON text, or a JSON or YAML file")
    add_out_folder(
        parser,
        "folder of the flows, and of flows.json, their list",
        by="flows",
        beside=(f"{'[0-9a-f]' * 16}.json",),
        required=True,
    )
    add_force(parser)
    add_work(parser, "folder of finished results, which need no flow", by="relax --work")
    parser.add_argument("--submit", action="store_true", help="hand them to jobflow-remote, each once")
    parser.add_argument("--project", metavar="NAME", help="of jobflow-remote (default: its current one)")
    parser.add_argument("--worker", metavar="NAME", help="of jobflow-remote (default: the project's first)")
    parser.add_argument("--exec-config", metavar="NAME", help="of jobflow-remote, by name")
    parser.add_argument("--resources", type=_mapping, metavar="JSON", help="of jobflow-remote's queue, as JSON text")


def run(args: argparse.Namespace) -> None:
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.relax.flows.export import export_flows
    from unimat.materials.relax.flows.submit import submit_flows
    from unimat.materials.relax.jobs.context import labels_of
    from unimat.materials.relax.journal import Journal
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.settings import load_settings

    log, settings = logging.getLogger("unimat.flows"), load_settings(RelaxSettings, args.settings, "relax")
    finished = Journal(args.work, "flows") if args.work else ()
    rows = export_flows(crystals_of(args.crystals), settings, args.out, labels_of(args.crystals), finished)
    files = [row["file"] for row in rows if "file" in row]
    log.info("%d flows of %d crystals -> %s", len(set(files)), len(rows), args.out)
    if args.submit:
        options = {"exec_config": args.exec_config, "resources": args.resources}
        log.info("%d submitted", submit_flows(args.out, files, args.project, args.worker, **options))


def _mapping(text: str) -> dict:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no mapping")
    return value
