"""The force fields that `relax.engine` may name: their packages, and what their energies mean.

Importable without any of them. Names, default models and arguments are those of atomate2 (`atomate2.forcefields.utils`,
0.1.5) and of the packages' ASE calculators. What a force field was trained on decides what its energies may share a
hull with, so each entry names its source; where a model is the user's own, only the user knows.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from unimat.distributions import installed
from unimat.errors import UserError
from unimat.periodic_table import SYMBOLS

MATERIALS_PROJECT = "PBE/PBE+U mixed, as the Materials Project"
LEARNED, MP2020, NONE = "learned", "MP2020", "none"
# MPtrj has no crystal with Po, At, Rn, Fr or Ra, and none beyond Pu: 89 elements (Deng et al., Nat. Mach. Intell. 5,
# 1031, 2023). A network that saw no atom of an element still returns a number for it, which means nothing.
MPTRJ_ELEMENTS = frozenset(SYMBOLS[:94]) - {"Po", "At", "Rn", "Fr", "Ra"}


@dataclasses.dataclass(frozen=True)
class ForceField:
    """One force field.

    Attributes:
        label: its name in the energy type of a table.
        calculator: atomate2's name of it, or the import path of an ASE calculator.
        package: what pip installs.
        module: what Python imports.
        model: pretrained model that is taken unless the settings name another; None if the user must name a file.
        functional: of the energies that the pretrained model learned; None if the user must say.
        corrections: `learned`: the Materials Project's corrections (MP2020) are in the training data; `MP2020`: they
            are not, but the data is of the Materials Project's settings, so that they are added to the energies;
            `none`.
        model_argument: argument of the calculator for the model; a dot stands for a mapping inside a mapping.
        device_argument: the same for the device; None if the calculator takes none.
        elements: symbols that it was trained on; None: its calculator knows, and says.
        source: where functional, corrections and elements are from.
    """

    label: str
    calculator: str
    package: str
    module: str
    model: str | None
    functional: str | None
    corrections: str | None
    model_argument: str = "model"
    device_argument: str | None = "device"
    elements: frozenset[str] | None = None
    source: str = ""


def _mace(label: str, model: str, data: str) -> ForceField:
    return ForceField(
        label, label, "mace-torch", "mace", model, MATERIALS_PROJECT, MP2020, elements=MPTRJ_ELEMENTS,
        source=f"{data}, energies without corrections: Batatia et al., arXiv:2401.00096; Matbench Discovery adds MP2020"
        " to its predictions",
    )  # fmt: skip


def _matgl(label: str, calculator: str, model: str, functional: str) -> ForceField:
    return ForceField(
        label, calculator, "matgl", "matgl", model, functional, NONE, "path", None,
        source="MatPES 2025.2, without +U, newer potentials than the Materials Project's: Kaplan et al.,"
        " arXiv:2503.04070",
    )  # fmt: skip


def _own(label: str, calculator: str, package: str, module: str, argument: str, device: str | None) -> ForceField:
    return ForceField(label, calculator, package, module, None, None, None, argument, device, source="the user's model")


ASE = "ase"
FORCE_FIELDS: dict[str, ForceField] = {
    "chgnet": ForceField(
        "CHGNet", "CHGNet", "chgnet", "chgnet", "0.3.0", MATERIALS_PROJECT, LEARNED,
        device_argument="use_device", elements=MPTRJ_ELEMENTS,
        source="MPtrj, energies with MP2020 corrections: Deng et al., Nat. Mach. Intell. 5, 1031, 2023",
    ),
    "mace_mp_0": _mace("MACE-MP-0", "medium", "MPtrj"),
    "mace_mp_0b3": _mace("MACE-MP-0b3", "medium-0b3", "MPtrj"),
    "mace_mpa_0": _mace("MACE-MPA-0", "medium-mpa-0", "MPtrj and sAlex"),
    "m3gnet": _matgl("M3GNet", "M3GNet", "M3GNet-PES-MatPES-PBE-2025.2", "PBE, as MatPES"),
    "matpes_pbe": _matgl("TensorNet", "MatPES-PBE", "TensorNet-PES-MatPES-PBE-2025.2", "PBE, as MatPES"),
    "matpes_r2scan": _matgl("TensorNet", "MatPES-r2SCAN", "TensorNet-PES-MatPES-r2SCAN-2025.2", "r2SCAN, as MatPES"),
    "sevennet": ForceField(
        "SevenNet", "SevenNet", "sevenn", "sevenn", "7net-0", MATERIALS_PROJECT, MP2020, elements=MPTRJ_ELEMENTS,
        source="MPtrj, energies without corrections: Park et al., J. Chem. Theory Comput. 20, 4857, 2024; Matbench"
        " Discovery adds MP2020 to its predictions",
    ),
    "mattersim": ForceField(
        "MatterSim", "MatterSim", "mattersim", "mattersim", "MatterSim-v1.0.0-1M.pth", MATERIALS_PROJECT, MP2020,
        "load_path",
        source="pymatgen's MPRelaxSet (issue 170 of microsoft/mattersim), energies without corrections: Yang et al.,"
        " arXiv:2405.04967",
    ),
    "orb": ForceField(
        "ORB", "unimat.materials.relax.force_fields.orb.orb_calculator",
        "orb-models", "orb_models", "orb-v3-conservative-inf-mpa",
        MATERIALS_PROJECT, MP2020,
        source="MPtrj and Alexandria, energies without corrections (issue 33 of orbital-materials/orb-models): Rhodes"
        " et al., arXiv:2504.06231",
    ),
    "fairchem": ForceField(
        "UMA", "FAIRChem", "fairchem-core", "fairchem.core", "uma-s-1p1", "PBE/PBE+U mixed, as OMat24", NONE,
        "predict_unit.model_name", "predict_unit.device",
        source="task omat: newer potentials than the Materials Project's, with corrections of their own (issue 1260 of"
        " facebookresearch/fairchem): Barroso-Luque et al., arXiv:2410.12771",
    ),
    "upet": ForceField(
        "PET-MAD", "UPET", "upet", "upet", "pet-mad-s", "r2SCAN, as MAD-1.5", NONE,
        source="version 1.5.0: readme of lab-cosmo/upet",
    ),
    "nep": _own("NEP", "NEP", "calorine", "calorine", "model_filename", None),
    "gap": _own("GAP", "GAP", "quippy-ase", "quippy", "param_filename", None),
    "deepmd": _own("DeepMD", "DeepMD", "deepmd-kit", "deepmd", "model", None),
    "nequip": _own("NequIP", "Nequip", "nequip", "nequip", "compile_path", "device"),
    "allegro": _own("Allegro", "Allegro", "nequip-allegro", "allegro", "compile_path", "device"),
    ASE: _own("ASE calculator", "", "ase", "ase", "", None),
}  # fmt: skip


def demand_installed(engine: str, calculator: str | None = None) -> None:
    """UserError with the command that installs what an engine needs, if it is not there."""
    known = FORCE_FIELDS[engine]
    if engine == ASE:
        if not _found(str(calculator).split(".")[0]):  # a module of the user's, which pip need not know
            raise UserError(f"relax.force_field.calculator {calculator!r}: no module {str(calculator).split('.')[0]!r}")
    elif known.module not in sys.modules and not installed(known.package):
        raise UserError(
            f"relax.engine {engine!r} needs the package {known.package}, which is not installed:"
            f" pip install {'unimat[chgnet]' if engine == 'chgnet' else known.package}"
        )


def version_of(engine: str, calculator: str | None = None) -> str:
    """Package and version, such as ``mace-torch 0.3.13``; another version may give another energy."""
    package = str(calculator).split(".")[0] if engine == ASE else FORCE_FIELDS[engine].package
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        module = sys.modules.get(package if engine == ASE else FORCE_FIELDS[engine].module)
        return f"{package} {getattr(module, '__version__', 'of unknown version')}"


def unknown_elements(engine: str, symbols: set[str]) -> list[str]:
    """Those of `symbols` that the force field was not trained on, as far as is known beforehand."""
    elements = FORCE_FIELDS[engine].elements
    return sorted(symbols - elements) if elements else []


def arguments(engine: str, model: str | None, device: str, given: Mapping[str, object]) -> dict[str, object]:
    """Arguments of the calculator: the model, the device, and whatever the user gives on top."""
    known, found = FORCE_FIELDS[engine], dict(given)
    # atomate2 has the default models of those that it names; one inside a mapping would give way to the device there.
    if model or (known.model and "." in known.calculator + known.model_argument):
        _put(found, known.model_argument, model or known.model)
    if device != "auto" and known.device_argument:
        _put(found, known.device_argument, device)
    return found


def _put(mapping: dict[str, object], path: str, value: object) -> None:
    outer, _, inner = path.rpartition(".")
    if outer:
        mapping[outer] = {inner: value, **(mapping.get(outer) or {})}  # type: ignore[dict-item]
    else:
        mapping.setdefault(inner, value)


def _found(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that a module is in
        return False
