"""Pack a run for another machine: code, encoded crystals, settings, checkpoints.

Writes one archive that trains and samples where neither `unimat` nor a network is: unpacked there,
`python run.py train --minutes 9 --collect FOLDER` goes on from the packed checkpoint and leaves what it reaches in
FOLDER, which `unimat absorb` brings back. The machine needs Python 3.11 and JAX with its friends; run.py says what is
missing. Equal input gives equal bytes.
"""

import argparse
from pathlib import Path

EXAMPLE = (
    "unimat pack --encoded encoded --model-settings '{\"channels\": 64}' --settings '{\"steps\": 2000}' "
    "--work work --device gpu --out run.tar.gz"
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
    parser.add_argument("--name", help="of the folder in the archive (default: the archive's)")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="ARCHIVE", help=".tar, .tar.gz, or a folder without such an ending"
    )


def run(args: argparse.Namespace) -> None:
    from unimat.model.fine_tuning import model_settings_of
    from unimat.model.packed.pack import Packed, pack, say_size
    from unimat.model.settings import TrainSettings
    from unimat.settings import given, load_settings

    train = load_settings(TrainSettings, args.settings, "train")
    packed = Packed(
        name=args.name or args.out.name.split(".")[0],
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
    say_size(pack(packed, args.out), args.out, args.limit)
