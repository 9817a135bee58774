"""What VASP needs before it can start: its program, and a potential for every element."""

import functools
import shlex
import shutil
from pathlib import Path
from typing import Any

from atomate2 import SETTINGS as ATOMATE2_SETTINGS
from pymatgen.core import SETTINGS, Structure
from pymatgen.io.vasp.inputs import PmgVaspPspDirError, PotcarSingle

from unimat.errors import UserError
from unimat.materials.relax.settings import VaspSettings

FOLDER_VARIABLE = "PMG_VASP_PSP_DIR"


class InputsMissing(Exception):
    """A crystal cannot be computed with the potentials that are there.

    Args:
        transient: a file is missing, which somebody may put there; otherwise the settings name no potential at all.
    """

    def __init__(self, message: str, transient: bool):
        super().__init__(message)
        self.transient = transient


def vasp_command(settings: VaspSettings) -> str:
    """How VASP is called.

    Raises:
        UserError: if there is no such program.
    """
    command = settings.command or ATOMATE2_SETTINGS.VASP_CMD
    words = shlex.split(command)
    if not words or shutil.which(words[0]) is None:
        raise UserError(
            f"the VASP command {command!r} cannot be run: no program {words[0] if words else ''!r} is found; set"
            " relax.vasp.command or ATOMATE2_VASP_CMD, or load VASP's module"
        )
    return command


def check_potentials_folder() -> None:
    """Raise UserError unless pymatgen knows a folder of POTCAR files."""
    folder = SETTINGS.get(FOLDER_VARIABLE)
    if folder is None or not Path(folder).expanduser().is_dir():
        found = "is not set" if folder is None else f"is {folder!r}, which is no folder"
        raise UserError(
            f"VASP's potentials are not found: {FOLDER_VARIABLE} {found}; set it in the environment or in"
            " ~/.config/.pmgrc.yaml to the folder that holds POT_GGA_PAW_PBE"
        )


def check_potentials(structure: Structure, generator: Any) -> None:
    """Raise `InputsMissing` unless each element of the crystal has a potential by name, and that one a file.

    Args:
        generator: pymatgen's input set with the settings of the run.
    """
    names = generator._config_dict["POTCAR"]
    for symbol in sorted({element.symbol for element in structure.composition.elements}):
        if symbol not in names:
            raise InputsMissing(
                f"not relaxed, no potential for {symbol}: the Materials Project names none; name one in"
                f" relax.vasp.potcars, e.g. {{{symbol}: {symbol}_d}}",
                transient=False,
            )
        name = names[symbol]
        if trouble := _trouble(name, generator.user_potcar_functional or "PBE", str(SETTINGS.get(FOLDER_VARIABLE))):
            raise InputsMissing(
                f"not relaxed, no POTCAR file for {symbol}: {trouble}; add it under {FOLDER_VARIABLE}, or name another"
                " potential in relax.vasp.potcars",
                transient=True,
            )


@functools.cache
def _trouble(name: str, functional: str, folder: str) -> str | None:
    """Why the potential `name` cannot be read from `folder`, if so."""
    wanted = f"{folder}/{PotcarSingle.functional_dir[functional]}/POTCAR.{name}"
    try:
        PotcarSingle.from_symbol_and_functional(name, functional)
    except (FileNotFoundError, PmgVaspPspDirError):
        return f"{wanted} (or .gz, or {name}/POTCAR) does not exist"
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        return f"{wanted} cannot be read ({' '.join(str(error).split())})"
    return None
