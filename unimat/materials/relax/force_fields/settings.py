"""Settings of the force fields; importable without any of them."""

import dataclasses
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from unimat.materials.relax.force_fields.known import ASE, FORCE_FIELDS, LEARNED, MP2020, version_of

WITHOUT_EFFECT = ("device",)  # of `ForceFieldSettings`: where a number is computed is not part of what it is


@dataclasses.dataclass(frozen=True)
class ForceFieldSettings:
    """What is taken in place of the pretrained model of a force field, and where it runs.

    Attributes:
        model: file of a model or name of a pretrained one; None takes the one that the table of engines names. Another
            one was trained on other energies, so `functional` and `corrections` must be given with it.
        calculator: import path of an ASE calculator, e.g. ``ase.calculators.emt.EMT``, or of a function that returns
            one; for the engine `ase` alone.
        calculator_kwargs: further arguments of the calculator.
        functional: of the energies that the model learned; as the table of engines writes it, if they are to share a
            hull. None: the table of engines knows.
        corrections: `learned` if the model learned energies that carry the Materials Project's corrections (MP2020);
            `MP2020` adds them to the energies, which must be of the Materials Project's settings; `none`. None: the
            table of engines knows.
        device: `auto` leaves it to the force field's package.
    """

    model: str | None = None
    calculator: str | None = None
    calculator_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    functional: str | None = None
    corrections: Literal["learned", "MP2020", "none"] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"


def check(engine: str, settings: ForceFieldSettings) -> None:
    """ValueError if the settings do not say what the engine's energies are, or ask for what it cannot do."""
    known = FORCE_FIELDS[engine]
    if (engine == ASE) != (settings.calculator is not None):
        raise ValueError(
            "force_field.calculator is the import path of an ASE calculator, such as ase.calculators.emt.EMT; the"
            f" engine ase needs it and no other takes it, found engine {engine} and calculator {settings.calculator}"
        )
    if engine == ASE and settings.model:
        raise ValueError("force_field.model: give the engine ase its model as force_field.calculator_kwargs")
    if engine != ASE and known.model is None and not settings.model:
        raise ValueError(f"force_field.model: the engine {engine} has no pretrained model; name the file of yours")
    for name in ("functional", "corrections"):
        if getattr(settings, name) is None and (settings.model or getattr(known, name) is None):
            of = f"the model {settings.model}" if settings.model else f"the engine {engine}"
            raise ValueError(
                f"force_field.{name} is not known of {of}; say what its training data is, e.g. functional:"
                " 'PBE/PBE+U mixed, as the Materials Project', corrections: learned, MP2020 (to be added) or none"
            )
    if settings.device != "auto" and known.device_argument is None:
        raise ValueError(
            f"force_field.device: the calculator of {engine} takes no device, found {settings.device!r}; leave it auto,"
            " or give the calculator's own arguments as force_field.calculator_kwargs"
        )


def energy_type(engine: str, settings: ForceFieldSettings) -> dict[str, str]:
    """What the energies are; needs no package but those that tell versions."""
    known = FORCE_FIELDS[engine]
    corrections = settings.corrections or known.corrections
    corrected = {
        LEARNED: {"corrections": "MP2020, learned"},
        MP2020: {"corrections": MP2020, "correction_version": f"pymatgen {version('pymatgen')}"},
    }
    return {
        "calculator": _calculator(engine, settings),
        "functional": str(settings.functional or known.functional),
        **corrected.get(str(corrections), {"corrections": "none"}),
        "quantity": "total energy",
    }


def _calculator(engine: str, settings: ForceFieldSettings) -> str:
    label, package = FORCE_FIELDS[engine].label, version_of(engine, settings.calculator)
    if engine == ASE:
        return f"{settings.calculator} ({package})"
    if engine == "chgnet" and not settings.model:
        return f"{label} ({package})"  # the package holds the weights
    return f"{label} ({package}, model {_model(settings.model) if settings.model else FORCE_FIELDS[engine].model})"


def _model(model: str) -> str:
    """Name of a model; of a file the first digits of its SHA-256, too, since another file may have the same name."""
    path = Path(model).expanduser()
    return f"{path.name} {_digest(path, path.stat().st_mtime_ns)}" if path.is_file() else model


@functools.cache
def _digest(path: Path, _changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
