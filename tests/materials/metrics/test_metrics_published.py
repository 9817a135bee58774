"""Metrics of the 10,000 crystals that DiffCSP generated after training on MP-20, against the published ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice

from unimat.crystal_table import Crystal
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.metrics.distributions import distances as distances_of
from unimat.materials.metrics.distributions import properties
from unimat.materials.metrics.fingerprints.magpie import reduced
from unimat.materials.metrics.validity import composition_failure, distances, formula_failure, structure_failure

DATA = Path(os.environ.get("UNIMAT_DATA_DIR", "nowhere"))


def diffcsp_crystals(n=None):
    """All of them, or a seeded draw of n."""
    import torch

    found = torch.load(DATA / "generated" / "diffcsp_mp_20" / "DiffCSP_mp_20.pt", map_location="cpu", weights_only=True)
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    ends = np.cumsum(arrays["num_atoms"])
    rows = np.arange(len(ends)) if n is None else np.random.default_rng(0).choice(len(ends), n, replace=False)
    for row in rows:
        atoms = slice(ends[row] - arrays["num_atoms"][row], ends[row])
        cell = Lattice.from_parameters(*arrays["lengths"][row].tolist(), *arrays["angles"][row].tolist())
        yield Crystal(f"d{row}", cell.matrix, arrays["atom_types"][atoms], arrays["frac_coords"][atoms])


@pytest.mark.published
def test_validity_of_diffcsps_crystals_is_the_published_one():
    """Structure 1.000 and composition 0.832 (SMACT's older list) of 10,000; here structure of a draw of 1,000."""
    compositions = []
    for each in diffcsp_crystals():
        numbers, counts = np.unique(each.atomic_numbers, return_counts=True)
        compositions.append(Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True))))
    valid = [composition_failure(composition) is None for composition in compositions]
    assert np.mean(valid) == pytest.approx(0.832, abs=5e-4)
    drawn = [structure_failure(distances(each), 0.5, 0.1, images=False) for each in diffcsp_crystals(1000)]
    assert drawn.count(None) == 1000


@pytest.mark.published
def test_distributions_of_diffcsps_crystals_are_the_published_ones():
    """To all digits that the evaluation of those who released the set printed (see docs/metrics.md)."""
    crystals, reference = (
        read_crystals(DATA / path)[0] for path in ("generated/diffcsp_mp_20/DiffCSP_mp_20.pt", "mp_20/test.feather")
    )
    ok = np.array([formula_failure(reduced(each.atomic_numbers)) is None for each in crystals])
    found = distances_of(properties(crystals.take(ok)), properties(reference))
    assert ok.mean() == 0.8322
    assert found["density"]["wasserstein"] == pytest.approx(0.351324, abs=5e-7)
    assert found["n_elements"]["wasserstein"] == pytest.approx(0.346054, abs=5e-7)
