"""Random structure search: "sensible" random structures of given compositions, to relax or to compare with.

In the spirit of AIRSS (Pickard and Needs, J. Phys. Condens. Matter 23, 053201, 2011; the paper's Appendix 8): a random
space group with Wyckoff positions that fit, a volume drawn around an estimate from atomic radii, and atoms pushed apart
as soft spheres until no two are closer than a share of their radii. What does not come apart is drawn anew, as AIRSS
does; what never comes apart is rejected with the reason.
"""

from collections import Counter
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import Crystal, CrystalTable, Rejected, from_crystals
from unimat.materials.crystals.lattices import shortest_distance
from unimat.materials.crystals.processes import Processes
from unimat.materials.crystals.structures import from_structure
from unimat.materials.search.random_search.compositions import Counts, requests
from unimat.materials.search.random_search.draws import MAX_DRAWS, Drawn, covalent_radii, draw, wanted_distances
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.progress import progress
from unimat.settings import as_dict

UNITS = {"estimated_volume_factor": "", "closest_contact": ""}
DESCRIPTIONS = {
    "requested_formula": "what was asked for; the primitive cell may hold a fraction of it",
    "requested_spacegroup": "space group that was drawn; accidents and soft spheres can only raise the symmetry",
    "estimated_volume_factor": "volume over that of spheres half-way between covalent and van der Waals radius",
    "closest_contact": "smallest distance over the sum of the covalent radii",
    "attempt": "draws before this one whose spheres did not come apart",
}
ROUNDING = 1e-9  # of distances over wanted distances


def random_search(settings: AirssSettings, processes: int = 1) -> tuple[CrystalTable, list[Rejected]]:
    """Table of random structures, and those that could not be made; row i depends on the seed and i alone.

    Ids are ``airss-000000``... The primitive cell is kept, so translational symmetry may leave fewer atoms than asked
    for. `redrawn` in the table's metadata counts the draws that soft spheres did not mend.

    Args:
        processes: draw structures in so many processes.

    Raises:
        UserError: on a composition that cannot be read.
    """
    wanted = requests(settings)
    found: dict[int, Crystal] = {}
    rejected = _without_radii(wanted)
    pending, redrawn = [index for index in range(len(wanted)) if index not in rejected], 0
    with Processes(processes, len(pending)) as pool:
        for attempt in range(settings.attempts if settings.soft_spheres else 1):
            tasks = [(wanted[index], settings, index, attempt) for index in pending]
            drawn = list(progress(pool.over(_drawn, tasks), "random structures", len(tasks), unit="crystal"))
            unplaced = {index: "no_placement" for index, each in zip(pending, drawn, strict=True) if each is None}
            rejected |= unplaced
            placed = {index: each for index, each in zip(pending, drawn, strict=True) if each is not None}
            found |= _crystals(placed, wanted, settings, attempt)
            pending = [index for index in placed if index not in found]
            redrawn += len(pending)
            if not pending:
                break
    rejected |= dict.fromkeys(pending, "overlapping_spheres")
    rows = [_rejected(index, rejected[index], wanted[index], settings) for index in sorted(rejected)]
    return _table([found[index] for index in sorted(found)], len(wanted), redrawn, settings), rows


def _drawn(task: tuple[Counts, AirssSettings, int, int]) -> Drawn | None:
    """`draw` of one argument, for another process."""
    return draw(*task)


def _without_radii(wanted: list[Counts]) -> dict[int, str]:
    """Structures of elements without a radius."""
    radii = covalent_radii()
    return {
        index: "no_radius"
        for index, counts in enumerate(wanted)
        if np.isnan([radii[ATOMIC_NUMBER[symbol]] for symbol in counts]).any()
    }


def _crystals(
    placed: dict[int, Drawn], wanted: list[Counts], settings: AirssSettings, attempt: int
) -> dict[int, Crystal]:
    """Crystals of the drawn structures, less those whose spheres did not come apart."""
    if not settings.soft_spheres:
        return {
            index: _crystal(index, drawn.structure, wanted[index], requested_spacegroup=drawn.spacegroup)
            for index, drawn in placed.items()
        }
    crystals = {}
    for (index, drawn), structure in zip(placed.items(), _pushed(list(placed.values()), settings), strict=True):
        contact = closest_contact(structure, 1.0)
        if closest_contact(structure, settings.min_distance) >= 1 - ROUNDING:
            about = {"requested_spacegroup": drawn.spacegroup, "estimated_volume_factor": drawn.volume_factor}
            crystals[index] = _crystal(
                index, structure, wanted[index], **about, closest_contact=contact, attempt=attempt
            )
    return crystals


def _pushed(drawn: list[Drawn], settings: AirssSettings) -> list[Structure]:
    """Structures after the soft spheres."""
    from unimat.materials.search.random_search.soft_spheres import Spheres, push_apart  # JAX

    spheres = [
        Spheres(
            each.structure.lattice.matrix,
            each.structure.frac_coords,
            wanted_distances(np.array(each.structure.atomic_numbers), settings.min_distance),
        )
        for each in drawn
    ]
    pushed = push_apart(spheres, settings.relax_cell, settings.max_steps)
    return [
        Structure(Lattice(after.lattice), before.structure.species, after.frac_coords)
        for before, after in zip(drawn, pushed, strict=True)
    ]


def closest_contact(structure: Structure, factor: float) -> float:
    """Smallest distance over `wanted_distances` of `factor`, over all pairs and all periodic images."""
    wanted = wanted_distances(np.array(structure.atomic_numbers), factor)
    between = structure.lattice.get_all_distances(structure.frac_coords, structure.frac_coords)
    np.fill_diagonal(between, np.inf)
    of_images = shortest_distance(structure.lattice.matrix, np.zeros((1, 3))) / wanted.diagonal().max()
    return float(min((between / wanted).min(), of_images))


def _crystal(index: int, structure: Structure, counts: Counts, **properties: Any) -> Crystal:
    formula = "".join(f"{symbol}{n}" for symbol, n in counts.items())
    return from_structure(structure, _id(index), requested_formula=formula, **properties)


def _id(index: int) -> str:
    return f"airss-{index:06d}"


def _rejected(index: int, reason: str, counts: Counts, settings: AirssSettings) -> Rejected:
    formula = "".join(f"{symbol}{n}" for symbol, n in counts.items())
    low, high = settings.volume_factor
    details = {
        "no_radius": "PyXtal has no covalent radius of one of its elements",
        "no_placement": f"PyXtal could not place the atoms in {MAX_DRAWS} draws of space group and volume",
        "overlapping_spheres": f"atoms closer than {settings.min_distance:g} times their covalent radii in each of "
        f"{settings.attempts} draws at {low:g} to {high:g} times the estimated volume",
    }
    return Rejected(_id(index), "airss", reason, f"{formula}: {details[reason]}")


def _table(crystals: list[Crystal], n_requested: int, redrawn: int, settings: AirssSettings) -> CrystalTable:
    how = ", pushed apart as soft spheres" if settings.soft_spheres else ""
    return from_crystals(
        crystals,
        units=UNITS,
        descriptions=DESCRIPTIONS,
        name="random search",
        source=f"unimat airss: random symmetric structures by PyXtal{how}",
        n_requested=n_requested,
        redrawn=dict(Counter({"overlapping_spheres": redrawn})),
        settings=as_dict(settings),
    )
