"""Settings of discovery; importable without the packages that do the work."""

import dataclasses

from unimat.periodic_table import ATOMIC_NUMBER


@dataclasses.dataclass(frozen=True)
class DiscoverySettings:
    """New compositions by likely substitution in known crystals.

    Attributes:
        n: crystals, each of another composition.
        elements: symbols that may take part; empty: those that occur in the templates.
        chemical_system: elements that each crystal has, all of them and no others, such as Li-Fe-P-O.
        max_atoms: of a cell.
        partial: share of crystals in which a part of an element's atoms is exchanged: those of one orbit, or those of
            one orbit in every other cell.
        valid_only: only compositions that pass SMACT's rule of charges and electronegativities, as `unimat metrics`
            counts.
        max_distance: nats; the largest distance of a crystal from its template. null: any.
        seed: every crystal is drawn from this seed and its index.
    """

    n: int = 100
    elements: tuple[str, ...] = ()
    chemical_system: str | None = None
    max_atoms: int = 20
    partial: float = 0.2
    valid_only: bool = True
    max_distance: float | None = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n", "max_atoms"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.max_distance is not None and not self.max_distance > 0:
            raise ValueError(f"max_distance must be positive, found {self.max_distance}")
        if not 0 <= self.partial <= 1:
            raise ValueError(f"partial is a share from 0 to 1, found {self.partial}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, found {self.seed}")
        for name, symbols in {"elements": self.elements, "chemical_system": self.system}.items():
            unknown = [symbol for symbol in symbols if symbol not in ATOMIC_NUMBER]
            if unknown:
                raise ValueError(f"{name}: {unknown[0]!r} is no element")
        if self.elements and (outside := set(self.system) - set(self.elements)):
            raise ValueError(f"chemical_system has {min(outside)}, which is not among `elements`")

    @property
    def system(self) -> tuple[str, ...]:
        """Symbols of the chemical system; none where it is free."""
        return tuple(self.chemical_system.split("-")) if self.chemical_system else ()
