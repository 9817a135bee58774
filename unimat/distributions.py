"""Whether an optional package is there. Its distribution is asked for: a folder that bears its name is no package."""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

from unimat.errors import UserError


def installed(name: str) -> bool:
    """Whether the distribution `name`, as pip calls it, is installed; nothing is imported."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def imported(module: str, name: str, remedy: str) -> ModuleType:
    """The module of the distribution `name`, imported.

    Raises:
        UserError: `remedy`, if the distribution is not installed or its module cannot be imported.
    """
    if module not in sys.modules and not installed(name):
        raise UserError(remedy)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{remedy} ({error})") from error
