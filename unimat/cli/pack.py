"""Pack a run for another machine: code, encoded crystals, settings, checkpoints.

Writes one archive that trains and samples where neither `unimat` nor a network is: unpacked there,
`python run.py train --minutes 9 --collect FOLDER` goes on from the packed checkpoint and leaves what it reaches in
FOLDER, which `unimat absorb` brings back. The machine needs Python 3.11 and JAX with its friends; run.py says what is
missing. Equal input gives equal bytes.
"""

import argparse
from pathlib import Path
from typing import Any

from unimat.cli._outputs import OutFolder, add_force, add_out_file, add_out_folder, note_renamed

EXAMPLE = (
    "unimat pack --encoded encoded --model-settings '{\"channels\": 64}' --settings '{\"steps\": 2000}' "
    "--work work --device gpu --out-file run.tar.gz"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoded", type=Path, metavar="DIR", help="encoded dataset to train on (less its test split)")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="train section of the configuration")
    parser.add_argument("--model-settings", metavar="FILE_OR_JSON", help="model section of the configuration")
    parser.add_argument("--work", type=Path, metavar="DIR", help="working folder whose checkpoints go along, if any")
    parser.add_argument("--newest-only", action="store_true", help="of the checkpoints, one, not the one before too")
    parser.add_argument("--model", type=Path, metavar="NPZ", help="trained model to sample with")
    parser.add_argument(
        "--sets", metavar="FILE_OR_JSON", help="sample sections by name of a set (default: one set `generated`)"
    )
    parser.add_argument(
        "--device", choices=("any", "gpu", "tpu", "cpu"), default="any", help="run.py refuses another (default: any)"
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels to go along, for what is missing there")
    parser.add_argument("--limit", type=float, metavar="MIB", help="warn above this size")
    parser.add_argument("--name", metavar="NAME", help="of the folder in the archive (default: the archive's)")
    out = parser.add_mutually_exclusive_group(required=True)
    add_out_file(out, "ARCHIVE", ".tar or .tar.gz to write")
    add_out_folder(out, "folder to write in place of an archive", by="pack", names=(), action=_OutFolder)
    add_force(parser)


class _OutFolder(OutFolder):
    """--out, which was the flag for archives, too."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if is_archive(values):
            note_renamed(namespace, f"{parser.prog}: warning: --out of an archive is now --out-file")
            namespace.out_file = values
        else:
            super().__call__(parser, namespace, values, option_string)


def is_archive(path: Path) -> bool:
    return path.suffix in (".tar", ".gz", ".tgz", ".xz", ".bz2", ".zst", ".zip")


def run(args: argparse.Namespace) -> None:
    from unimat.model.packed.pack import Packed, pack, say_size
    from unimat.model.settings import TrainSettings
    from unimat.model.training.fine_tuning import model_settings_of
    from unimat.settings import given, load_settings

    train, out = load_settings(TrainSettings, args.settings, "train"), args.out_file or args.out
    packed = Packed(
        name=args.name or out.resolve().name.split(".")[0],
        model=model_settings_of(args.model_settings, train.initial),
        train=train,
        sets=given(args.sets, "sets") or {"generated": {}},
        encoded=args.encoded,
        work=args.work,
        newest_only=args.newest_only,
        trained=args.model,
        wheels=args.wheels,
        device=args.device,
    )
    say_size(pack(packed, out, args.force), out, args.limit)
