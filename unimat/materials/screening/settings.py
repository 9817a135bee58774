"""Settings of screening; importable without the packages that do the work."""

import dataclasses
from typing import Literal

from unimat.materials.metrics.settings import MatcherPreset


@dataclasses.dataclass(frozen=True)
class EstimateSettings:
    """What core-hours are estimated from, besides the crystal and the engine's settings.

    Attributes:
        rate: core-hours on this machine for one of the machine that the model was fitted to; 1 is no more than a
            guess. Set it once a few crystals of one's own are done: hours taken over hours estimated.
        ionic_steps: of all relaxations of a crystal together, the static calculation included; None takes what is
            usual for the engine (`unimat.materials.screening.core_hours`).
        electronic_steps: for each ionic step; None the same.
    """

    rate: float = 1.0
    ionic_steps: float | None = None
    electronic_steps: float | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "ionic_steps", "electronic_steps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, found {value}")


@dataclasses.dataclass(frozen=True)
class ScreenSettings:
    """Choice of the crystals of a judged set that are worth a dearer engine; what is left out counts for nothing.

    Attributes:
        per_composition: only this many of each reduced composition, the lowest in decomposition energy.
        within: only crystals whose decomposition energy is at most this, eV/atom.
        take: only this many in all, the lowest in decomposition energy.
        unique: of crystals that are the same, only the lowest in decomposition energy.
        matcher: when two crystals are the same, by the name of a preset.
        max_seconds: for one comparison of two crystals; what takes longer counts as different.
        start: `relaxed` hands on the structures as the first engine relaxed them, `initial` as they were before.
        budget: core-hours that all crystals may take by the estimate; the lowest in decomposition energy come first.
        estimate: what the estimate is made from.
    """

    per_composition: int | None = None
    within: float | None = None
    take: int | None = None
    unique: bool = False
    matcher: MatcherPreset = "pymatgen"
    max_seconds: float = 60.0
    start: Literal["relaxed", "initial"] = "relaxed"
    budget: float | None = None
    estimate: EstimateSettings = dataclasses.field(default_factory=EstimateSettings)

    def __post_init__(self) -> None:
        for name in ("per_composition", "take"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
        for name in ("budget", "max_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, found {value}")
        if self.within is not None and self.within < 0:
            raise ValueError(f"within must be at least 0, found {self.within}; stable crystals lie below 0 anyway")
