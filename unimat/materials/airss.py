"""Random structure search: "sensible" random structures of given compositions, to relax or to compare with.

Symmetric random structures in the spirit of AIRSS (Pickard and Needs, J. Phys. Condens. Matter 23, 053201, 2011; the
paper's Appendix 8), made by PyXtal (Fredericks et al., Comput. Phys. Commun. 261, 107810, 2021): a random space group,
a random volume, Wyckoff positions that fit the composition, no two atoms closer than PyXtal's limits.
"""

import itertools
import logging

import numpy as np
from pymatgen.core import Composition, Structure
from pyxtal import pyxtal
from pyxtal.msg import Comp_CompatibilityError, VolumeError
from tqdm import tqdm

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import UserError
from unimat.materials.airss_settings import AirssSettings
from unimat.materials.structures import from_structure
from unimat.periodic_table import ATOMIC_NUMBER

log = logging.getLogger("unimat.airss")
N_SPACE_GROUPS = 230
MAX_DRAWS = 200  # of space group and volume, before a composition is given up


def random_search(settings: AirssSettings) -> CrystalTable:
    """Crystal table of random structures; row i depends on the seed and i alone.

    Compositions take turns. Ids are ``airss-000000``...; columns `requested_formula` and `requested_spacegroup` say
    what was asked for. The primitive cell is kept, so translational symmetry may leave fewer atoms than requested.
    """
    wanted = compositions(settings)
    crystals = [
        _random_crystal(f"airss-{index:06d}", wanted[index % len(wanted)], settings, index)
        for index in tqdm(range(settings.n), desc="random structures", unit="crystal", disable=None)
    ]
    return from_crystals(
        crystals,
        name="random search",
        source="unimat airss: random symmetric structures by PyXtal",
        n_requested=settings.n,
    )


def compositions(settings: AirssSettings) -> list[dict[str, int]]:
    """Atom counts by symbol: the configured formulas, or all combinations of the elements up to max_atoms."""
    if settings.compositions:
        return [_atom_counts(formula) for formula in settings.compositions]
    counts = itertools.product(range(settings.max_atoms + 1), repeat=len(settings.elements))
    return [
        {symbol: n for symbol, n in zip(settings.elements, each, strict=True) if n}
        for each in counts
        if 0 < sum(each) <= settings.max_atoms
    ]


def _atom_counts(formula: str) -> dict[str, int]:
    try:
        amounts = Composition(formula).get_el_amt_dict()
    except ValueError as error:
        raise UserError(f"composition {formula!r} cannot be read; write it like Si4C4") from error
    if not amounts or any(amount != int(amount) or symbol not in ATOMIC_NUMBER for symbol, amount in amounts.items()):
        raise UserError(f"composition {formula!r} needs whole numbers of atoms of known elements, e.g. Si4C4")
    return {symbol: int(amount) for symbol, amount in amounts.items()}


def _random_crystal(material_id: str, counts: dict[str, int], settings: AirssSettings, index: int) -> Crystal:
    rng = np.random.default_rng([settings.seed, index])
    for _ in range(MAX_DRAWS):
        group = int(rng.integers(1, N_SPACE_GROUPS + 1))
        structure = _draw(counts, group, float(rng.uniform(*settings.volume_factor)), rng)
        if structure is not None:
            formula = "".join(f"{symbol}{n}" for symbol, n in counts.items())
            return from_structure(structure, material_id, requested_formula=formula, requested_spacegroup=group)
    raise UserError(
        f"no random structure of {counts} in {MAX_DRAWS} draws; widen volume_factor, now {settings.volume_factor}"
    )


def _draw(counts: dict[str, int], group: int, factor: float, rng: np.random.Generator) -> Structure | None:
    crystal = pyxtal()
    try:
        crystal.from_random(3, group, list(counts), list(counts.values()), factor=factor, random_state=rng)
    except (Comp_CompatibilityError, VolumeError):
        return None
    if not crystal.valid:
        return None
    return crystal.to_pymatgen().get_primitive_structure(tolerance=0.01)
