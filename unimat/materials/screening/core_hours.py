"""Core-hours that an engine would take for a crystal, estimated before anything is computed.

Density functional theory: for each electronic step, k-point and spin, a part that every cell costs and one that grows
with the valence electrons,

    core-seconds = electronic steps x irreducible k-points x spins x (a + b N_e^p),

with a and b fitted to real timings and p between 2 (transforms of the wave functions) and 3 (their orthogonalisation).
Force fields: core-seconds = c x atoms x steps. An estimate is good for the size of a bill, within the factor that its
model names.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.structures import reduced_formula, to_structure
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.screening.settings import EstimateSettings
from unimat.materials.screening.workload import Workload, gpaw_workload, vasp_workload


@dataclasses.dataclass(frozen=True)
class CostModel:
    """Coefficients of one engine.

    Attributes:
        each: `a`, core-seconds of an electronic step at one k-point of one spin; of a force field `c`, core-seconds of
            an atom in one step.
        growing: `b`, core-seconds for each electron to the power of `exponent`.
        exponent: `p`.
        ionic_steps: of all relaxations of a crystal, the static calculation included; settings may say otherwise.
        electronic_steps: for each ionic step.
        factor: an estimate may be this many times too high or too low.
        source: what the coefficients were fitted to.
    """

    each: float
    growing: float
    exponent: float
    ionic_steps: float
    electronic_steps: float
    factor: float
    source: str


# The fit, and what it leaves, are remade by tests/materials/screening/test_core_hours_published.py from the
# calculations themselves.
VASP = CostModel(
    1.57, 5.6e-5, 2.5, 13.0, 8.0, 4.0,
    "15 calculations of Si, V, O2, V2O3 and VO2 (8 to 92 electrons) published by the Materials Project and atomate2: 12"
    " by VASP 6.4.2 on 64 cores with 8 GPUs, 3 by VASP 6.3.2 on 64 cores",
)  # fmt: skip
GPAW = CostModel(
    0.004, 1.8e-5, 2.5, 15.0, 14.0, 5.0,
    "static calculations by GPAW 26.7.0 on one core: diamond cells of 2, 4 and 8 atoms (1.9, 5 and 15 s)",
)  # fmt: skip
FORCE_FIELD = CostModel(
    0.015, 0.0, 1.0, 50.0, 1.0, 4.0, "CHGNet 0.4.2 on one core: C, Si and Si-C cells of 1 to 8 atoms"
)
MODELS = {"vasp": (VASP, vasp_workload), "gpaw": (GPAW, gpaw_workload)}
COLUMNS = ("material_id", "formula", "n_atoms", "n_electrons", "n_kpoints", "n_spins", "core_hours", "problem")


def core_hours(table: CrystalTable, relax: RelaxSettings, settings: EstimateSettings) -> pd.DataFrame:
    """The estimate for each crystal of a table, in its order.

    Args:
        table: structures as the engine would get them.
        relax: settings of the engine.

    Returns:
        material_id, formula, n_atoms, n_electrons (valence), n_kpoints (irreducible, of the relaxation), n_spins,
        core_hours, and problem: why there is no estimate, which is null then. A force field has no electrons.
    """
    rows = [_row(crystal, relax, settings) for crystal in table]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = dict.fromkeys(("n_atoms", "n_electrons", "n_kpoints", "n_spins"), "Int64")
    return frame.astype(whole | {"core_hours": float, "material_id": object, "formula": object, "problem": object})


def total(frame: pd.DataFrame, relax: RelaxSettings, settings: EstimateSettings) -> dict[str, Any]:
    """Sum, largest and median of an estimate, the span that it may be wrong by, and what it stands on; JSON-ready."""
    model, hours = model_of(relax), frame["core_hours"].dropna()
    amount = float(hours.sum())
    return {
        "engine": relax.engine,
        "total": amount,
        "low": amount / model.factor,
        "high": amount * model.factor,
        "factor": model.factor,
        "n": len(hours),
        "of": len(frame),
        "median": float(hours.median()) if len(hours) else None,
        "largest": float(hours.max()) if len(hours) else None,
        "unit": "core-hours",
        "ionic_steps": steps(model, settings)[0],
        "electronic_steps": steps(model, settings)[1],
        "rate": settings.rate,
        "fitted_to": model.source,
    }


def model_of(relax: RelaxSettings) -> CostModel:
    """Coefficients of an engine; every engine that is not density functional theory is taken for a force field."""
    return MODELS[relax.engine][0] if relax.engine in MODELS else FORCE_FIELD


def steps(model: CostModel, settings: EstimateSettings) -> tuple[float, float]:
    """Ionic steps of a crystal and electronic ones of each: the settings', or the engine's."""
    return settings.ionic_steps or model.ionic_steps, settings.electronic_steps or model.electronic_steps


def seconds(model: CostModel, work: Workload, ionic: float, electronic: float) -> float:
    """Core-seconds of density functional theory for one crystal; its last ionic step is the static calculation."""
    of_one = model.each + model.growing * work.n_electrons**model.exponent
    relaxing = max(ionic - 1.0, 0.0) * work.n_kpoints
    return electronic * (relaxing + work.n_kpoints_static) * work.n_spins * of_one


def _row(crystal: Crystal, relax: RelaxSettings, settings: EstimateSettings) -> list[Any]:
    about = [crystal.material_id, reduced_formula(crystal.atomic_numbers), len(crystal.atomic_numbers)]
    model = model_of(relax)
    ionic, electronic = steps(model, settings)
    if relax.engine not in MODELS:
        hours = model.each * len(crystal.atomic_numbers) * ionic / 3600
        return [*about, None, None, None, settings.rate * hours, None]
    try:
        work = MODELS[relax.engine][1](to_structure(crystal), relax)
    except ValueError as error:
        return [*about, None, None, None, np.nan, str(error)]
    hours = seconds(model, work, ionic, electronic) / 3600
    return [*about, round(work.n_electrons), work.n_kpoints, work.n_spins, settings.rate * hours, None]
