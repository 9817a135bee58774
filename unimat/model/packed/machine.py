"""What a machine has of what a packed run needs: packages and devices. The standard library does for the packages."""

import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from unimat.errors import UserError

DEVICES = ("any", "gpu", "tpu", "cpu")
EXTRAS = {"gpu": "jax[cuda12]", "tpu": "jax[tpu]"}
# What we do without: bars.
OPTIONAL = ("tqdm",)

logger = logging.getLogger("unimat.packed")


def requirements() -> list[str]:
    """What the installed `unimat` asks for besides its extras, such as ``jax>=0.10.2,<0.12``."""
    lines = [line for line in requires("unimat") or [] if "extra ==" not in line]
    return sorted(line for line in lines if _name(line) not in OPTIONAL)


def check_packages(wanted: Sequence[str], device: str, wheels: Path | None, install: bool) -> None:
    """Raise UserError unless every package is there and new enough, naming the line that installs those that are not.

    Args:
        wanted: requirements of `requirements`. device: which decides the build of JAX to be named.
        wheels: folder of wheels to install from, in place of the network.
        install: run that line first.
    """
    unmet = [line for line in wanted if fault(line)]
    if unmet and install:
        _install(unmet, device, wheels)
        unmet = [line for line in wanted if fault(line)]
    if unmet:
        faults = "; ".join(f"{_name(line)} {fault(line)}" for line in unmet)
        raise UserError(f"{faults}: {shlex.join(install_command(unmet, device, wheels))}")
    for line in wanted:
        if _above(line):
            logger.warning("%s %s is newer than what was tried (%s)", _name(line), version(_name(line)), line)


def fault(requirement: str) -> str | None:
    """What is wrong with the package of a requirement here; None: it is there and not too old."""
    try:
        found = version(_name(requirement))
    except PackageNotFoundError:
        return "is not installed"
    low = re.search(r">=([\d.]+)", requirement)
    return f"{found} is older than {low[1]}" if low and _numbers(found) < _numbers(low[1]) else None


def install_command(wanted: Sequence[str], device: str, wheels: Path | None) -> list[str]:
    """The call of pip that installs requirements, JAX in the build of a device, without a network where it can."""
    lines = [re.sub(r"^jax\b", EXTRAS.get(device, "jax"), line) for line in wanted]
    offline = ["--no-index", "-f", str(wheels)] if wheels else []
    return [Path(sys.executable).name, "-m", "pip", "install", *offline, *lines]


def _install(wanted: Sequence[str], device: str, wheels: Path | None) -> None:
    command = install_command(wanted, device, wheels)
    logger.info("%s", shlex.join(command))
    done = subprocess.run([sys.executable, *command[1:]], check=False, stdout=sys.stderr)
    if done.returncode:
        raise UserError(f"pip could not install what is missing (its words are above): {shlex.join(command)}")


def check_device(wanted: str) -> str:
    """Devices that JAX found, in words; UserError if they are not of the kind `wanted` (`any`: of whatever kind)."""
    import jax

    try:
        found: list[Any] = jax.devices()
    except RuntimeError as error:
        raise UserError(f"JAX finds no device ({str(error).splitlines()[0]}); check its driver") from error
    text = f"{len(found)} x {found[0].device_kind}"
    if wanted not in ("any", found[0].platform):
        remedy = f"pip install '{EXTRAS[wanted]}' and check the driver, or " if wanted in EXTRAS else ""
        kind = found[0].platform
        raise UserError(f"a {wanted} was asked for, and JAX found {text} ({kind}); {remedy}say --device {kind}")
    return text


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _above(requirement: str) -> bool:
    high = re.search(r"<([\d.]+)", requirement)
    return bool(high) and _numbers(version(_name(requirement))) >= _numbers(high[1])  # type: ignore[index]


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version: (0, 12) of 0.12.0rc1, so that trailing zeros weigh nothing."""
    numbers = [int(part) for part in re.match(r"\d+(\.\d+)*", text)[0].split(".")]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
