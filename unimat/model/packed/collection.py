"""What a packed run gives back: a folder of a few whole files, and `collection.json` that lists them.

`collection.json` is written last and replaced as a whole, and files that it lists are never written over while it
does: whenever the machine is taken away, what it names is there.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.model.packed.contents import Parts, check, listing, read_tar, write_tar
from unimat.outputs import refuse_foreign

FORMAT = 1
MANIFEST = "collection.json"
HISTORIES = ("history.csv", "speed.csv")
PIECES = "pieces.json"
REMEDY = "copy the folder from that machine again"
ATTEMPTS = 3  # at reading checkpoints, the oldest of which the training may be removing


@dataclasses.dataclass(frozen=True)
class Collection:
    """A folder that was collected.

    Attributes:
        training: `step` reached of `steps`, `settings` of the working folder, `pieces` (what was trained where),
            `archive` (the names of its parts, in order), `finished`; None: nothing was trained.
        sets: by name, the `settings`, the hash of the `model`, `finished`, `files`.
        files: bytes and SHA-256 by name.
    """

    folder: Path
    training: dict[str, Any] | None = None
    sets: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    files: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def step(self) -> int:
        return self.training["step"] if self.training else 0

    def write(self) -> None:
        """Replace `collection.json`, then remove what it listed before and no longer does."""
        fields = {"training": self.training, "sets": self.sets, "files": self.files}
        before = listed(self.folder).files
        write_json(self.folder / MANIFEST, {"format": FORMAT, **fields})
        for name in before.keys() - self.files.keys():
            (self.folder / name).unlink(missing_ok=True)

    def add(self, files: Mapping[str, Path]) -> "Collection":
        """With files moved into the folder under these names; `write` is due."""
        for name, source in files.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        return dataclasses.replace(self, files=self.files | listing({name: self.folder / name for name in files}))

    def without(self, names: Any) -> "Collection":
        return dataclasses.replace(self, files={k: v for k, v in self.files.items() if k not in set(names)})


def open_collection(folder: Path) -> None:
    """Make the folder of a collection, and one in it that holds nothing yet.

    Raises:
        UserError: if the folder holds anything else.
    """
    refuse_foreign(folder, "run.py", flag="--collect", otherwise="or move it")
    if not (folder / MANIFEST).exists():
        Collection(folder).write()


def listed(folder: str | Path) -> Collection:
    """What `collection.json` of a folder says, its files unread; nothing, where there is none."""
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        return Collection(folder)
    values = read_json(folder / MANIFEST)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise UserError(f"{folder / MANIFEST} is no collection of format {FORMAT}; pack and collect with one version")
    try:
        return Collection(folder, **values)
    except TypeError as error:
        raise UserError(f"{folder / MANIFEST} is not a collection ({error}); {REMEDY}") from error


def read_collection(folder: str | Path) -> Collection:
    """What was collected, every file of it checked.

    Raises:
        UserError: if the folder has no `collection.json`, or a file of it is missing or another one, naming it.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no {MANIFEST}; give the folder that run.py filled (--collect)")
    collection = listed(folder)
    check(folder, collection.files, MANIFEST, REMEDY)
    return collection


def steps_of(work: Path) -> list[int]:
    """Steps of the whole checkpoints of a working folder, the last one first."""
    names = [path.name for path in (work / "checkpoints").glob("[0-9]*")]
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def pieces_of(work: Path) -> list[dict[str, Any]]:
    """What packed runs trained of a working folder: from and to which step, on what, in how many seconds."""
    return read_json(work / PIECES, ("pieces",))["pieces"] if (work / PIECES).exists() else []


def collect_training(
    work: Path,
    out: Path,
    steps: int,
    pieces: list[dict[str, Any]],
    newest_only: bool = False,
    largest: int | None = None,
) -> Collection | None:
    """Put the checkpoints and histories of a working folder into `out`; None if there is no checkpoint yet.

    Args:
        steps: that the training is to have. pieces: of `pieces_of`, this one included.
        newest_only: leave the checkpoint before the last out. largest: bytes of a file, more are cut into parts.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".collecting.", dir=out) as scratch:
        step, parts = _archived(work, Path(scratch), newest_only, largest)
        if step is None:
            return None
        known = listed(out)
        if known.training:
            known = known.without(set(known.training["archive"]) - {path.name for path in parts})
        training = {
            "step": step,
            "steps": steps,
            "settings": read_json(work / "settings.json"),
            "pieces": [piece for piece in pieces if piece["from_step"] < step],
            "archive": [path.name for path in parts],
            "finished": False,
        }
        collection = dataclasses.replace(known.add({path.name: path for path in parts}), training=training)
    collection.write()
    if (work / HISTORIES[0]).exists() and HISTORIES[0] not in collection.files:
        shutil.copyfile(work / HISTORIES[0], out / HISTORIES[0])  # to be looked at; that of the archive counts
    return collection


def _archived(work: Path, scratch: Path, newest_only: bool, largest: int | None) -> tuple[int | None, list[Path]]:
    """The step of the newest checkpoint, and an archive of what continues from it, in parts."""
    for attempt in range(ATTEMPTS):
        found = steps_of(work)
        if not found:
            return None, []
        try:
            return found[0], _archive(work, scratch / str(attempt), found[: 1 if newest_only else None], largest)
        except FileNotFoundError:
            continue
    raise UserError(f"the checkpoints of {work} change faster than they can be read; raise train.checkpoint_every")


def _archive(work: Path, scratch: Path, steps: list[int], largest: int | None) -> list[Path]:
    scratch.mkdir()
    folders = [work / "checkpoints" / str(step) for step in steps]
    members = {str(path.relative_to(work)): path for folder in folders for path in folder.rglob("*") if path.is_file()}
    members |= {name: work / name for name in HISTORIES if (work / name).exists()}
    # Named by its step: the last collection's files must stay until this one is listed.
    with Parts(scratch / f"training-{steps[0]:08d}.tar", largest) as stream:
        write_tar(members, stream)
    return stream.paths


def install_training(collection: Collection, work: Path) -> None:
    """Put what a collection holds into the working folder, its newest checkpoint last; see `absorb`."""
    assert collection.training is not None
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".absorbing.", dir=work) as name:
        scratch = Path(name)
        with read_tar([collection.folder / part for part in collection.training["archive"]]) as archive:
            archive.extractall(scratch, filter="data")
        steps = steps_of(scratch)
        if not steps or steps[0] != collection.step:
            raise UserError(f"{collection.folder}: its archive holds no checkpoint of step {collection.step}; {REMEDY}")
        write_json(work / "settings.json", collection.training["settings"])
        write_json(work / PIECES, {"pieces": collection.training["pieces"]})
        for each in HISTORIES:
            if (scratch / each).exists():
                (scratch / each).replace(work / each)
        (work / "checkpoints").mkdir(exist_ok=True)
        for step in reversed(steps):
            target = work / "checkpoints" / str(step)
            if not target.exists():
                (scratch / "checkpoints" / str(step)).replace(target)
