"""What a calculation costs by: valence electrons, irreducible k-points and spins of a crystal, found in no time."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from unimat.materials.relax.settings import RelaxSettings

SYMMETRY_TOLERANCE = 1e-3  # Å; VASP's SYMPREC is 1e-5, but structures of force fields are symmetric to less than that


@dataclasses.dataclass(frozen=True)
class Workload:
    """Of one crystal.

    Attributes:
        n_electrons: valence electrons of its cell.
        n_kpoints, n_kpoints_static: irreducible k-points of the relaxations, and of the static calculation.
        n_spins: 1, or 2 with spin polarisation.
    """

    n_electrons: float
    n_kpoints: int
    n_kpoints_static: int
    n_spins: int


def vasp_workload(structure: Structure, relax: RelaxSettings) -> Workload:
    """Of the Materials Project's relaxation and static calculation.

    Raises:
        ValueError: if an element has no potential.
    """
    from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

    tags = relax.vasp.user_incar_settings
    electrons = valence_electrons(structure, relax.vasp.potcars)
    points = []
    for kind in (MPRelaxSet, MPStaticSet):
        kpoints = None if "KSPACING" in tags else kind(structure).kpoints
        mesh = kpoints.kpts[0] if kpoints else mesh_of_spacing(structure, float(tags["KSPACING"]))
        points.append(irreducible(structure, mesh))
    return Workload(electrons, points[0], points[1], int(tags.get("ISPIN", 2)))


def gpaw_workload(structure: Structure, relax: RelaxSettings) -> Workload:
    """Of the relaxation and static calculation by GPAW, which take one mesh; valences are those of VASP's potentials.

    Raises:
        ValueError: if the valence of an element is not known.
    """
    mesh = mesh_of_spacing(structure, 1 / relax.gpaw.kpoint_density)
    n = irreducible(structure, mesh)
    magnetic = relax.gpaw.spin == "auto" and bool(magnetic_elements() & {each.symbol for each in structure.elements})
    return Workload(valence_electrons(structure, {}), n, n, 2 if magnetic else 1)


def valence_electrons(structure: Structure, potcars: dict[str, str]) -> float:
    """Valence electrons of the cell by the Materials Project's potentials, or by others that `potcars` names.

    The numbers are those that pymatgen ships with its summaries of VASP's PBE potentials, which need no licence; a
    potential under a name of one's own (Li_sv_new) counts as the one whose name it begins with.

    Raises:
        ValueError: if an element has no potential.
    """
    names, valences = potential_names(), valences_by_potential()
    found = 0.0
    for element, amount in structure.composition.get_el_amt_dict().items():
        name = potcars.get(element, names.get(element, ""))
        while name and name not in valences:
            name = name.rpartition("_")[0]
        if not name:
            raise ValueError(f"no potential for {element}, neither the Materials Project's nor in relax.vasp.potcars")
        found += amount * valences[name]
    return found


def irreducible(structure: Structure, mesh: Sequence[float]) -> int:
    """k-points of a gamma-centred mesh that symmetry, time reversal included, leaves different."""
    a, b, c = (int(n) for n in mesh)
    try:
        return len(SpacegroupAnalyzer(structure, SYMMETRY_TOLERANCE).get_ir_reciprocal_mesh((a, b, c)))
    except Exception:  # spglib gives up in many ways on cells without sense, which have only time reversal
        return a * b * c // 2 + 1


def mesh_of_spacing(structure: Structure, spacing: float) -> tuple[int, ...]:
    """Mesh whose points lie at most `spacing` apart, Å⁻¹ with 2π: VASP's KSPACING, and the inverse of a density."""
    lengths = np.array(structure.lattice.reciprocal_lattice.abc)
    return tuple(int(n) for n in np.maximum(1, np.ceil(lengths / spacing - 1e-9)))


@functools.cache
def potential_names() -> dict[str, str]:
    """The Materials Project's potential of each element that has one."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    return dict(MPRelaxSet.CONFIG["POTCAR"])


@functools.cache
def magnetic_elements() -> set[str]:
    """Elements that the Materials Project starts with a moment."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    return {name.rstrip("0123456789+") for name in MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]}


@functools.cache
def valences_by_potential() -> dict[str, float]:
    """Valence electrons (ZVAL) of VASP's PBE potentials by name."""
    from monty.serialization import loadfn
    from pymatgen.io.vasp.inputs import POTCAR_STATS_PATH

    summaries = loadfn(POTCAR_STATS_PATH)["PBE"].values()
    return {each["symbol"]: each["ZVAL"] for versions in summaries for each in versions}
