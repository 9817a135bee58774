"""Bring the files of a published dataset into a folder, checked against its publisher's checksums.

Files are taken from --file, or copied from a local mirror where there is one (--mirror, or the environment variable
UNIMAT_DATA_DIR, a folder that holds <dataset>/<file>), and downloaded otherwise. Writes manifest.json beside them.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat fetch --dataset carbon_24 --out resources/carbon_24"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        required=True,
        metavar="NAME",
        help="carbon_24, perov_5, mp_20, alex_mp_20, gnome or silicon_carbon",
    )
    add_out_folder(parser, "folder for the files and manifest.json", by="fetch", beside=_files, required=True)
    add_force(parser)
    mirror = "folder to copy from (default: UNIMAT_DATA_DIR, if set)"
    parser.add_argument("--mirror", type=Path, metavar="DIR", help=mirror)
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="KEY=PATH",
        help="local file of any name in place of a published one; KEY is train, val or test (GNoME: table, structures)",
    )


def _files(args: argparse.Namespace) -> list[str]:
    """Names of the dataset's files in all forms, of the archives that they are in, and of files given by hand."""
    from unimat.materials.datasets.known import dataset_named

    dataset = dataset_named(args.dataset)
    names = [name for file in dataset.files for name in (file.name, file.url.rsplit("/", 1)[-1])]
    names += [form.name for form in dataset.other_forms]
    parts = [f"{name}.part{end}" for name in names for end in ("", ".etag")]
    return [*names, *parts, *dataset.keys, *(f"{key}.*" for key in dataset.keys)]


def run(args: argparse.Namespace) -> None:
    from unimat.materials.datasets.fetching.fetch import fetch_dataset
    from unimat.materials.datasets.known import dataset_named

    log = logging.getLogger("unimat.fetch")
    manifest = fetch_dataset(dataset_named(args.dataset), args.out, args.mirror, _by_key(args.file), args.force)
    if manifest["embedded"]:
        log.info("%s is embedded in unimat: nothing to download", args.dataset)
        return
    files = manifest["files"]
    verified = sum(entry["verified"] for entry in files)
    log.info("%d of %d files agree with a checksum of the publisher -> %s", verified, len(files), args.out)


def _by_key(given: list[str]) -> dict[str, str]:
    from unimat.errors import UserError

    pairs = [text.partition("=") for text in given]
    for key, equals, path in pairs:
        if not (key and equals and path):
            raise UserError(f"--file {key}{equals}{path}: expected KEY=PATH, such as train=/data/train.csv")
    return {key: path for key, _, path in pairs}
