"""Settings of random structure search; importable without the packages that do the work."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class AirssSettings:
    """Random structure search.

    Attributes:
        elements: symbols to combine, e.g. ("C", "Si").
        n: number of structures.
        max_atoms: largest number of atoms in a primitive cell.
        compositions: formulas such as "Si4C4" to draw from instead of all combinations of `elements`.
        volume_factor: range that the cell volume is drawn from, as multiples of the volume estimated from covalent
            radii. The paper's Appendix 8 spans 0.4 to 1.2 times an estimate from atomic radii.
        seed: every structure is drawn from this seed and its index.
    """

    elements: tuple[str, ...] = ()
    n: int = 100
    max_atoms: int = 8
    compositions: tuple[str, ...] = ()
    volume_factor: tuple[float, float] = (0.4, 1.2)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.elements and not self.compositions:
            raise ValueError("give `elements` to combine or `compositions` to search")
        if not 0 < self.volume_factor[0] <= self.volume_factor[1]:
            raise ValueError(f"volume_factor must be a rising range above 0, found {self.volume_factor}")
