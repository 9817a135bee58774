"""Settings of random structure search; importable without the packages that do the work."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class AirssSettings:
    """Random structure search.

    Attributes:
        elements: symbols to combine, e.g. ("C", "Si").
        n: number of structures in all, the compositions taking turns; None: `per_composition` of each.
        per_composition: structures of each composition; 100 in the paper's Section 3.3 and Appendix 8.
        max_atoms: largest number of atoms in a cell of the combinations of `elements`.
        compositions: formulas such as "Si4C4" to search instead of all combinations of `elements`, or a CSV with the
            column formula and, if wanted, count, as sampling takes it.
        volume_factor: range that the cell volume is drawn from, as multiples of the volume estimated from atomic radii;
            the paper's Appendix 8 spans 0.4 to 1.2.
        without_symmetry: share of structures without any symmetry asked for; all others have a space group drawn from
            all 230.
        soft_spheres: push atoms apart at the drawn volume as soft spheres. Without it, structures stay as PyXtal makes
            them at a volume of its own, drawn between spheres of covalent and of van der Waals radii.
        relax_cell: let the soft spheres change the shape of the cell at constant volume, too.
        min_distance: smallest distance between two atoms, as a multiple of the sum of their covalent radii; 99 of 100
            crystals of MP-20 have none below 0.745.
        max_steps: of the soft spheres, before a draw is given up.
        attempts: draws of symmetry, volume and positions before a structure is given up.
        seed: every structure is drawn from this seed and its index.
    """

    elements: tuple[str, ...] = ()
    n: int | None = None
    per_composition: int = 100
    max_atoms: int = 8
    compositions: tuple[str, ...] | str = ()
    volume_factor: tuple[float, float] = (0.4, 1.2)
    without_symmetry: float = 0.0
    soft_spheres: bool = True
    relax_cell: bool = True
    min_distance: float = 0.7
    max_steps: int = 500
    attempts: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.volume_factor[0] <= self.volume_factor[1]:
            raise ValueError(f"volume_factor must be a rising range above 0, found {self.volume_factor}")
        if not 0 <= self.without_symmetry <= 1:
            raise ValueError(f"without_symmetry is a share from 0 to 1, found {self.without_symmetry}")
        for name in ("per_composition", "max_atoms", "min_distance", "max_steps", "attempts"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
