"""Fingerprints of compositions: the Magpie statistics of 22 elemental properties.

After Ward et al., npj Comput. Mater. 2, 16028 (2016); standardised by the means and deviations that CDVAE ships
(`magpie_scaler.json`).
"""

import functools
import importlib.resources
import json
from typing import Any

import numpy as np
from pymatgen.core import Composition

N_COMPOSITION = 132
Formula = tuple[tuple[int, int], ...]  # atomic number and count of each element, rising; counts without common divisor


def reduced(atomic_numbers: np.ndarray) -> Formula:
    """Elements of a crystal (n,) and their smallest whole-number ratios."""
    numbers, counts = np.unique(atomic_numbers, return_counts=True)
    return tuple(zip(numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


def key(formula: Formula) -> str:
    """Text of a formula, one for each, e.g. ``11:1,17:1``."""
    return ",".join(f"{number}:{count}" for number, count in formula)


def composition(formula: Formula) -> Composition:
    return Composition(dict(formula))


def composition_fingerprint(composition: Composition) -> np.ndarray:
    """(132,) Magpie statistics of a pymatgen Composition, not standardised; NaN where an element has no value."""
    return np.array(featurizer().featurize(composition), np.float64)


def standardised(composition: np.ndarray) -> np.ndarray:
    """(m, 132) Magpie statistics in CDVAE's units; a value that an element lacks becomes 0, the mean.

    Rows that are NaN throughout stay so: their crystal has no fingerprint.
    """
    scaler = magpie_scaler()
    scaled = (composition - np.array(scaler["means"])) / np.array(scaler["stds"])
    failed = np.isnan(composition).all(axis=1, keepdims=True)
    return np.where(np.isnan(scaled) & ~failed, 0.0, scaled)


@functools.cache
def magpie_scaler() -> dict:
    """CDVAE's means and standard deviations of the 132 Magpie statistics, with their source and licence."""
    text = importlib.resources.files(__package__).joinpath("magpie_scaler.json").read_text("utf-8")
    return json.loads(text)


@functools.cache
def featurizer() -> Any:  # matminer has no types
    """matminer's own featurizer."""
    from matminer.featurizers.composition.composite import ElementProperty

    # CDVAE's matminer knew no imputation: a missing value becomes the mean, after standardisation.
    return ElementProperty.from_preset("magpie", impute_nan=False)
