"""What `run.py` of an archive does on the machine that it was unpacked on: check, train, sample.

Only the standard library is imported before the files and the packages are known to be there.
"""

import argparse
import dataclasses
import logging
import sys
import time
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import read_json
from unimat.model.packed import contents, machine

STARTED = time.monotonic()
FORMAT = 1
MANIFEST = "pack.json"
REMEDY = "unpack the archive again"
DESCRIPTION = """\
Train or sample with the run that is packed beside run.py.

What is trained stays in the folder work beside run.py, and goes into --collect whenever a checkpoint is new: whole
files, and collection.json, which lists them and is written last. Copy that folder back, and `unimat absorb` brings it
into the run that it came from. The same command, here or beside that folder elsewhere, goes on.

Exit codes: 0 when finished; 75 when the time is over and the same command goes on; 2 for something that is missing
or wrong, in one line.
"""

logger = logging.getLogger("unimat.packed")


def main(folder: str, argv: list[str]) -> int:
    """Run a verb of `run.py`; the exit code."""
    args = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("unimat").setLevel(logging.INFO)
    try:
        return _run(args, Path(folder).resolve())
    except UserError as error:
        if args.debug:
            raise
        print(f"run.py {args.verb}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"run.py {args.verb}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if args.debug:
            raise
        print(f"run.py {args.verb}: error: {error}; nothing was half-written", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace, folder: Path) -> int:
    manifest = checked_manifest(folder)
    wanted = args.device or manifest["device"]
    packed_wheels = folder / "wheels" if (folder / "wheels").is_dir() else None
    machine.check_packages(manifest["requirements"], wanted, args.wheels or packed_wheels, args.install)
    found = machine.check_device(wanted)
    about = (manifest["name"], manifest["unimat"], found)
    logger.info("%s, packed by unimat %s: all files are whole; devices: %s", *about)
    if args.verb == "check":
        return 0
    from unimat.model.packed import there
    from unimat.model.packed.collection import open_collection

    open_collection(args.collect)
    act = there.train if args.verb == "train" else there.sample
    return act(folder, Options(**_options(args), seconds=_remaining(args), device=found))


def _remaining(args: argparse.Namespace) -> float | None:
    """Seconds of --minutes that are left to work in; UserError if there are none."""
    if args.minutes is None:
        return None
    remaining = 60 * args.minutes - args.reserve - (time.monotonic() - STARTED)
    if remaining <= 0:
        raise UserError(f"--minutes {args.minutes:g} leaves nothing beside --reserve {args.reserve:g} s; give more")
    return remaining


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train or sample.

    Attributes:
        collect: folder to give back. seconds: that are left for it; None: as long as it takes.
        device: what it runs on, in words. every: minutes between collections. largest: bytes of a collected file.
        checkpoint_every: steps, in place of the run's. newest_only: collect one checkpoint.
        set: name of the set to sample; None: all that are packed. count: crystals, in place of the set's.
        settings: keys of the sample section, before those of the set.
    """

    collect: Path
    seconds: float | None
    device: str
    every: float = 3.0
    checkpoint_every: int | None = None
    newest_only: bool = False
    largest: int | None = None
    set: str | None = None
    count: int | None = None
    settings: str | None = None


def _options(args: argparse.Namespace) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(Options)} - {"seconds", "device", "largest"}
    largest = getattr(args, "largest_file", None)
    return {
        **{name: value for name, value in vars(args).items() if name in names - {"collect"}},
        "collect": args.collect.resolve(),
        "largest": None if largest is None else int(largest * contents.MIB),
    }


def checked_manifest(folder: Path) -> dict[str, Any]:
    """Content of pack.json; UserError if a file that it lists is missing or another one, or the code has others."""
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{folder / MANIFEST} is of another version than run.py; unpack into an empty folder")
    contents.check(folder, manifest["files"], MANIFEST, REMEDY)
    for path in (folder / "code").rglob("*.py"):
        if path.relative_to(folder).as_posix() not in manifest["files"]:
            raise UserError(f"{path} is of another archive; unpack into an empty folder")
    return manifest


def _parse(argv: list[str]) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--device", choices=machine.DEVICES, help="refuse another one (default: what was packed)")
    common.add_argument("--wheels", type=Path, metavar="DIR", help="wheels to install missing packages from")
    common.add_argument("--install", action="store_true", help="install what is missing, by the line that is shown")
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    timed = argparse.ArgumentParser(add_help=False)
    timed.add_argument("--collect", type=Path, required=True, metavar="DIR", help="folder to give back")
    timed.add_argument("--minutes", type=float, metavar="N", help="stop in time, counted from the start of run.py")
    timed.add_argument(
        "--reserve",
        type=float,
        default=45.0,
        metavar="SECONDS",
        help="of --minutes, for starting and saving (default: %(default)g)",
    )
    parser = argparse.ArgumentParser(
        prog="run.py", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("check", parents=[common], help="are the files whole, the packages there, which device")
    train = verbs.add_parser("train", parents=[common, timed], help="train, or go on training")
    train.add_argument("--every", type=float, default=3.0, metavar="MINUTES", help="collect so often (default: 3)")
    train.add_argument("--checkpoint-every", type=int, metavar="STEPS", help="in place of the run's setting")
    train.add_argument("--newest-only", action="store_true", help="collect one checkpoint, not the one before too")
    train.add_argument("--largest-file", type=float, metavar="MIB", help="cut collected checkpoints into such files")
    sample = verbs.add_parser("sample", parents=[common, timed], help="sample with the model trained here or packed")
    sample.add_argument("--set", metavar="NAME", help="of the packed sets (default: all of them)")
    sample.add_argument("--count", type=int, metavar="N", help="crystals, in place of the set's number")
    sample.add_argument("--settings", metavar="FILE_OR_JSON", help="keys of the sample section, before the set's")
    return parser.parse_args(argv)
