"""Settings of the reproduction; importable without the packages that draw it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ReproductionSettings:
    """What is written down of a run for the page of reproduced numbers.

    Attributes:
        folder: of the result files and pictures; used by the workflow.
        set: the unconditional set whose metrics stand beside Tables 1 and 5 of the paper.
        pictures: samples to draw, each beside a crystal of the test split; drawn by lot, not chosen.
        seed: of that draw.
        hardware: what it was trained on, in words; None takes what the training recorded.
        ablation: what this run leaves out or changes, in a few words; None if it is no part of an ablation.
        notes: further differences from the published runs that no file can know.
        command: the command that makes the run; given by the workflow.
    """

    folder: str = "docs/reproduction"
    set: str = "generated"
    pictures: int = 4
    seed: int = 0
    hardware: str | None = None
    ablation: str | None = None
    notes: tuple[str, ...] = ()
    command: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.pictures <= 12:
            raise ValueError(f"pictures must lie in 0 to 12, found {self.pictures}")
