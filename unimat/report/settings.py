"""Settings of the report; importable without the packages that draw it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """What the report shows.

    Attributes:
        title: heading of the page; None makes one from the run's name.
        best: number of lowest-lying distinct crystals to picture.
        crystals: crystals that the table lists with their geometry, those of lowest decomposition energy first; of a
            larger set the rest is counted. 10,000, the size of the field's evaluations, make a page of some 8 MB.
        set: the set that the headline numbers speak of; None takes the first one that was sampled from a model.
        command: the command that made the run, shown under "How to reproduce".
        max_energy: decomposition and formation energies further than this above the hull are counted at the edge of
            the figures rather than drawn, eV/atom.
    """

    title: str | None = None
    best: int = 8
    crystals: int = 10_000
    set: str | None = None
    command: str | None = None
    max_energy: float = 2.0

    def __post_init__(self) -> None:
        if self.best < 0:
            raise ValueError(f"best must be 0 or more, found {self.best}")
        if self.crystals < 0:
            raise ValueError(f"crystals must be 0 or more, found {self.crystals}")
        if not self.max_energy > 0:
            raise ValueError(f"max_energy must be above 0 eV/atom, found {self.max_energy}")
