"""Energies of crystals as they are, by a force field or by somebody's own function: single points, nothing relaxed.

CDVAE's evaluation compares the energies that a property network of its own (DimeNet++) predicts for both sides; that
checkpoint can no longer be installed, and CHGNet stands in for it.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pymatgen.core import Structure

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.cached_map import TIME_UP, rows_of
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.crystals.structures import check_crystal, to_structure
from unimat.materials.crystals.time_limit import TimeUpError, time_limit
from unimat.materials.metrics.fingerprints.fingerprints import MAX_SECONDS, content_key

Predictor = Callable[[Sequence[Structure]], Sequence[float]]

# The limits of the relaxation: of denser crystals neighbours run into thousands, and the energy means nothing.
MIN_DISTANCE = 0.5  # Å, periodic images included
MIN_VOLUME_PER_ATOM = 2.0  # Å^3
MAX_CHGNET_NUMBER = 94  # plutonium is the last element that CHGNet has seen
_BATCH_FACTOR = 4  # crystals of a batch may take this many times one crystal's limit
_FIELDS = (pa.field("energy", pa.float64()), pa.field("failure", pa.string()))


@dataclasses.dataclass(frozen=True)
class Energies:
    """Energies of m crystals, in their order.

    Attributes:
        values: (m,) eV/atom; NaN where there is none.
        failures: why there is none; None where there is.
        energy_type: what the energies are: calculator, functional, corrections, quantity.
    """

    values: np.ndarray
    failures: list[str | None]
    energy_type: dict[str, str]


def energies(
    crystals: Sequence[Crystal],
    predictor: str,
    processes: int = 1,
    cache: str | Path | None = None,
    max_seconds: float = MAX_SECONDS,
    description: str = "energies",
) -> Energies:
    """Energies of `crystals` by `predictor`.

    Args:
        predictor: "chgnet", or ``module:function`` of a function that takes pymatgen Structures and gives eV/atom of
            each; its attribute `energy_type`, a dict of text, may say what the energies are.
        cache: folder that keeps energies by crystal and predictor (the file of its function included).
        max_seconds: for one crystal; one that takes longer fails, and is tried again next time.

    Raises:
        UserError: if there is no such predictor, or a process dies.
    """
    found = rows_of(
        [content_key(crystal) for crystal in crystals],
        [dataclasses.replace(crystal, properties={}) for crystal in crystals],
        functools.partial(energy_rows, predictor=predictor, max_seconds=max_seconds),
        RowCache(cache, "energies", _versions(predictor), _FIELDS),
        processes,
        description,
    )
    values = np.array([row["energy"] for row in found], float)
    return Energies(values, [row["failure"] for row in found], energy_type(predictor))


def energy_type(predictor: str) -> dict[str, str]:
    """What the energies of `predictor` are."""
    if predictor == "chgnet":
        return {
            "calculator": f"CHGNet (chgnet {version('chgnet')})",
            "functional": "PBE/PBE+U mixed, as the Materials Project",
            "corrections": "MP2020, learned",
            "quantity": "total energy of the crystal as it is, eV/atom",
        }
    named = getattr(load(predictor), "energy_type", None)
    return dict(named) if named else {"calculator": predictor, "quantity": "eV/atom, as the function returns them"}


def energy_rows(crystals: Sequence[Crystal], predictor: str, max_seconds: float = MAX_SECONDS) -> list[dict[str, Any]]:
    """Energy of each of some crystals, or why there is none; predicted together, one by one where that fails."""
    predict = load(predictor)
    failures = [_why_not(crystal, predictor) for crystal in crystals]
    structures = [to_structure(crystal) for crystal, why in zip(crystals, failures, strict=True) if why is None]
    found = iter(_predicted(predict, structures, max_seconds))
    return [{"energy": np.nan, "failure": why} if why else next(found) for why in failures]


@functools.cache
def load(predictor: str) -> Predictor:
    """The function behind the name of a predictor.

    Raises:
        UserError: if there is none.
    """
    if predictor == "chgnet":
        return _chgnet()
    module, _, name = predictor.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"energy_predictor {predictor!r} cannot be loaded ({error}); give none, chgnet, or module:function of a"
            " module on PYTHONPATH"
        ) from error


def _chgnet() -> Predictor:
    import torch
    from chgnet.model import CHGNet

    torch.set_num_threads(1)  # small graphs: processes are the better use of cores
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):  # it says how large it is
        warnings.simplefilter("ignore")
        model = CHGNet.load(verbose=False, use_device="cpu", check_cuda_mem=False)

    def predict(structures: Sequence[Structure]) -> list[float]:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of isolated atoms
            graphs = [model.graph_converter(structure) for structure in structures]
            found: Any = model.predict_graph(graphs, task="e")
        return [float(each["e"]) for each in ([found] if len(graphs) == 1 else found)]

    return predict


def _why_not(crystal: Crystal, predictor: str) -> str | None:
    try:
        check_crystal(crystal, MIN_DISTANCE, MIN_VOLUME_PER_ATOM)
    except CrystalRejected as error:
        return str(error)
    beyond = int(crystal.atomic_numbers.max())
    if predictor == "chgnet" and beyond > MAX_CHGNET_NUMBER:
        return f"unknown_element: CHGNet knows elements up to {MAX_CHGNET_NUMBER}, found atomic number {beyond}"
    return None


def _predicted(predict: Predictor, structures: list[Structure], max_seconds: float) -> list[dict[str, Any]]:
    try:
        with time_limit(max_seconds if len(structures) == 1 else _BATCH_FACTOR * max_seconds):
            values = [float(value) for value in predict(structures)] if structures else []
    except TimeUpError:
        reason = f"{TIME_UP}: more than {max_seconds:g} s"
    except Exception as error:  # a predictor that gives up on one crystal must not cost the others theirs
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    else:
        return [_row(value) for value in values]
    if len(structures) == 1:
        return [{"energy": np.nan, "failure": reason}]
    return [row for structure in structures for row in _predicted(predict, [structure], max_seconds)]


def _row(value: float) -> dict[str, Any]:
    return {"energy": value, "failure": None if np.isfinite(value) else f"the energy is {value}"}


def _versions(predictor: str) -> dict[str, str]:
    if predictor == "chgnet":
        return {"chgnet": version("chgnet")}
    source = inspect.getsourcefile(inspect.unwrap(load(predictor)))
    text = Path(source).read_bytes() if source else b""
    return {predictor.replace(":", "."): hashlib.sha256(text).hexdigest()[:16]}
