"""Flags that name what a command reads and writes, and the check of them before any work."""

import argparse
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import file_to_write
from unimat.outputs import folder_to_write, refuse_foreign, refuse_replacing
from unimat.own_files import refuse_foreign_file
from unimat.owned import WRITTEN

Names = Collection[str] | Callable[[argparse.Namespace], Collection[str]]


class OutFile(argparse.Action):
    """A flag for a file to write.

    Attributes:
        old: flags that meant the same before, which still work, with a warning. columns: by which a CSV is known.
    """

    def __init__(self, *args: Any, old: Collection[str] = (), columns: Collection[str] = (), **options: Any):
        super().__init__(*args, **{**options, "type": _file})
        self.old, self.columns = old, columns

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if option_string in self.old:
            note_renamed(namespace, f"{parser.prog}: warning: {option_string} is now {self.option_strings[0]}")
        setattr(namespace, self.dest, values)


class OutFolder(argparse.Action):
    """A flag for a folder to write.

    Attributes:
        by: command whose files lie there. names: of the files that are replaced. beside: of those that may be there.
        strict: whether a folder that holds anything else is refused.
    """

    def __init__(
        self, *args: Any, by: str, names: Names | None = None, beside: Names = (), strict: bool = True,
        **options: Any,
    ):  # fmt: skip
        super().__init__(*args, **{**options, "type": _folder})
        self.by, self.beside, self.strict = by, beside, strict
        self.names = WRITTEN[by] if names is None else names

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, values)

    def names_of(self, args: argparse.Namespace) -> Collection[str]:
        return self.names(args) if callable(self.names) else self.names

    def beside_of(self, args: argparse.Namespace) -> Collection[str]:
        return self.beside(args) if callable(self.beside) else self.beside


def add_out_file(parser: Any, metavar: str, help: str, *flags: str, old: Collection[str] = (), **options: Any) -> None:
    """Add a flag for a file to write: `--out-file`, or those given.

    Args:
        old: flags that meant the same before; they are in no help.
    """
    action = parser.add_argument(
        *(flags or ("--out-file",)), action=OutFile, metavar=metavar, help=help, old=old, **options
    )
    for flag in old:
        parser._option_string_actions[flag] = action


def add_out_folder(parser: Any, help: str, *flags: str, by: str, **options: Any) -> None:
    """Add a flag for a folder to write: `--out`, or those given. See `OutFolder`; `add_force` is due."""
    options = {"action": OutFolder, "metavar": "DIR", "help": help, "by": by, **options}
    parser.add_argument(*(flags or ("--out",)), **options)


def add_work(parser: Any, help: str, *flags: str, by: str, **options: Any) -> None:
    """Add a flag for a folder that commands keep results in, `--work` or those given, where other files may lie."""
    add_out_folder(parser, help, *(flags or ("--work",)), by=by, strict=False, **options)


def note_renamed(namespace: Any, warning: str) -> None:
    """Keep a warning for the end: an error before it is one line."""
    namespace.renamed = [*getattr(namespace, "renamed", []), warning]


def add_force(parser: Any) -> None:
    """Add --force."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="write into a folder that holds other files, too; they stay, those of the same names as NAME.kept",
    )


def check_outputs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Raise UserError if something would be lost or cannot be written, so that no work is done in vain."""
    files = [(action, path) for action, path in _given(parser, args, OutFile)]
    folders = [(action, path) for action, path in _given(parser, args, OutFolder)]
    inputs = [path for action, path in _inputs(parser, args)]
    written: dict[Path, str] = {}
    for action, path in files:
        file_to_write(path)
        refuse_inputs(path, _flag(action), inputs)
        refuse_foreign_file(path, str(action.metavar), action.columns)
        if first := written.get(path.resolve()):
            raise UserError(f"{first} and {_flag(action)} name the same file, {path}; give two names")
        written[path.resolve()] = _flag(action)
    places = [path for _, path in files + folders]
    for action, path in folders:
        check_folder(action, path, args, inputs, places)


def check_folder(
    action: OutFolder, path: Path, args: argparse.Namespace, inputs: Collection[Path], places: Collection[Path]
) -> None:
    """Raise UserError if the folder holds what the command did not write; with --force, if it would replace inputs.

    Args:
        inputs: what the command reads, which may lie in the folder. places: what else it writes, which may, too.
    """
    names = action.names_of(args)
    folder_to_write(path)
    inside = [name for each in inputs if (name := _within(each, path)) is not None]
    for name in inside:
        if any(Path(name).match(pattern) and "/" not in name for pattern in names):
            raise UserError(f"{_flag(action)} {path} would replace {path / name}, which is read; give another folder")
    if getattr(args, "force", False):
        return
    if action.strict:
        inside += [name for each in places if (name := _within(each, path)) is not None]
        top = {name.split("/")[0] for name in inside}
        refuse_foreign(
            path, action.by, names, {*action.beside_of(args), *top, *(f"{each}/**" for each in top)}, _flag(action)
        )
    else:
        refuse_replacing(path, action.by, names, _flag(action), "or move it")


def _flag(action: argparse.Action) -> str:
    return action.option_strings[0] if action.option_strings else str(action.metavar)


def _given(parser: argparse.ArgumentParser, args: argparse.Namespace, kind: type) -> Iterator[tuple[Any, Path]]:
    """Flags of a kind that were given, or have a default, with their paths."""
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if isinstance(action, kind) and value is not None:
            yield action, Path(value)


def _inputs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Iterator[tuple[argparse.Action, Path]]:
    """Flags that name what is read: those of type Path."""
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if action.type is Path and value is not None:
            yield from ((action, Path(each)) for each in (value if isinstance(value, list) else [value]))


def refuse_inputs(path: Path, flag: str, inputs: Collection[Path]) -> None:
    """Raise UserError if a file to write is one of those that are read."""
    for each in inputs:
        if path.exists() and each.exists() and path.samefile(each):
            raise UserError(f"{flag} {path} would replace what is read; give another name")


def _within(path: Path, folder: Path) -> str | None:
    """Path relative to a folder that it lies in; None elsewhere, and of the folder itself."""
    inner, outer = path.resolve(), folder.resolve()
    return inner.relative_to(outer).as_posix() if inner != outer and inner.is_relative_to(outer) else None


def _file(text: str) -> Path:
    """A path, unless the text is of none or of a folder, which `Path` would not tell."""
    if not text or text.endswith("/"):
        file_to_write(text)  # raises
    return Path(text)


def _folder(text: str) -> Path:
    return Path(text) if text else folder_to_write(text)  # raises
