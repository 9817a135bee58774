"""Settings of substitution; importable without the packages that do the work."""

import dataclasses

from unimat.materials.datasets.known import DATASETS
from unimat.periodic_table import ATOMIC_NUMBER

MOST = 100_000  # candidates of one composition
AFLOW = "aflow"  # among templates: the prototypes that pymatgen carries
# What templates are by name: these prototypes, and datasets whose files are read without another one beside them.
LIBRARIES = (AFLOW, *(name for name, dataset in DATASETS.items() if not dataset.join and not dataset.embedded))


@dataclasses.dataclass(frozen=True)
class SubstitutionSettings:
    """Known crystals, their elements exchanged: candidates of given compositions, or crystals of new compositions.

    Attributes:
        templates: the known crystals: splits of the dataset, sets, files of crystals in any readable form, the word
            aflow, or the name of a published dataset, which is fetched into the user's cache.
        compositions: formulas of whole cells such as "Sr1Ti1O3", or a file of them: a CSV with the column formula and,
            if wanted, count and truth_id, a text with a formula in each line, or crystals in any readable form.
        count: candidates of each composition.
        any_units: take cells of any number of formula units alike; else those of the formula come first.
        without_own: leave out the template whose id is the composition's truth_id, so that a table that holds the
            truths can be asked for them.
        n: crystals of new compositions, each of another one, in place of candidates of given ones.
        known: further crystals whose compositions are not new, as templates are named; those of the templates never
            are.
        elements: symbols that new compositions may have; empty: those that occur in the templates.
        chemical_system: elements that new compositions have, all of them and no others, such as Li-Fe-P-O.
        max_atoms: of a cell of a new composition.
        partial: share of new compositions for which a part of an element's atoms is exchanged: those of one orbit, or
            those of one orbit in every other cell.
        valid_only: only new compositions that pass SMACT's rule of charges and electronegativities, as `unimat metrics`
            counts.
        max_distance: nats; the largest distance of a crystal of a new composition from its template. null: any.
        seed: every crystal of a new composition is drawn from this seed and its index.
    """

    templates: tuple[str, ...] | str = ()
    compositions: tuple[str, ...] | str = ()
    count: int = 20
    any_units: bool = False
    without_own: bool = False
    n: int | None = None
    known: tuple[str, ...] | str = ()
    elements: tuple[str, ...] = ()
    chemical_system: str | None = None
    max_atoms: int = 20
    partial: float = 0.2
    valid_only: bool = True
    max_distance: float | None = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise ValueError(f"count is a number of candidates from 1 to {MOST}, found {self.count}")
        if self.n is not None and self.compositions:
            raise ValueError("n asks for new compositions and `compositions` for given ones; take one out")
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is a number of crystals from 1, found {self.n}")
        if self.max_atoms < 1:
            raise ValueError(f"max_atoms is a number of atoms from 1, found {self.max_atoms}")
        if self.max_distance is not None and not self.max_distance > 0:
            raise ValueError(f"max_distance must be positive, found {self.max_distance}")
        if not 0 <= self.partial <= 1:
            raise ValueError(f"partial is a share from 0 to 1, found {self.partial}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, found {self.seed}")
        for name, symbols in {"elements": self.elements, "chemical_system": self.system}.items():
            for symbol in symbols:
                if symbol not in ATOMIC_NUMBER:
                    raise ValueError(f"{name}: {symbol!r} is no element")
        if self.elements and (outside := set(self.system) - set(self.elements)):
            raise ValueError(f"chemical_system has {min(outside)}, which is not among `elements`")

    @property
    def system(self) -> tuple[str, ...]:
        """Symbols of the chemical system; none where it is free."""
        return tuple(self.chemical_system.split("-")) if self.chemical_system else ()
